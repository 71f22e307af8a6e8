"""One attempt and its bids on a chain that does what each test says: when there is a bid, and what they come to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import msgspec
import pytest

from execution.worlds import NO_FAULTS, run
from fakes.orders import NOW_MS, ROUTED, attempt_of, built, new_order, step
from fillwright.domain.errors import AlreadyProcessed, ChainError, SignerRefused, SimulationFailed, StoreError
from fillwright.domain.lifecycle import replay
from fillwright.domain.orders import Attempt, AttemptStatus, Landed, Order, Rebid, RolledBack, Submitted
from fillwright.domain.transactions import (
    Blockhash,
    Commitment,
    LandedTransaction,
    Offer,
    RevertReason,
    SignatureStatus,
    Signed,
    Simulation,
    SwapPlan,
)
from fillwright.execution.attempt import MAX_FEE_DOUBTS, Attempts
from fillwright.execution.bids import LAST_BID_BLOCKS, WINDOW_BLOCKS, Bidding, BidPolicy
from fillwright.execution.held import HeldOrder
from fillwright.execution.outcomes import Ending, Outcome
from simulation.ports import LoopClock, Process, SimStore, StoreView

FIRST = 1_000
"""The block height at which the attempt was signed."""
LAST = FIRST + WINDOW_BLOCKS
FINALITY = 32
POLICY = BidPolicy(after_blocks=10, max_bids=3)
FEE = 5_000


class Known(msgspec.Struct):
    """A transaction on the chain."""

    slot: int
    revert: str = ""
    final: bool = False


class Script:
    """A chain and its bidder, one block further after each wait; `at` says what happens at which height."""

    def __init__(self) -> None:
        self.height = FIRST
        self.known: dict[str, Known] = {}
        self.sent: list[str] = []
        self.at: dict[int, Callable[[], object]] = {}
        self.fails: ChainError | None = None
        self.simulated = 0
        self.hidden: set[str] = set()
        self._grown_s = 0.0

    def land(self, signature: str, revert: str = "", *, final: bool = False) -> None:
        self.known[signature] = Known(self.height, revert, final)

    async def wait_for_news(self, signature: str, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)
        now_s = asyncio.get_running_loop().time()
        if now_s == self._grown_s:
            return  # other bids were waited for at the same time
        self._grown_s = now_s
        self.height += 1
        for known in self.known.values():
            known.final = known.final or known.slot <= self.height - FINALITY
        if self.height in self.at:
            self.at[self.height]()

    async def send(self, raw: bytes) -> None:
        self.sent.append(raw.decode())
        if raw.decode() in self.known:
            raise AlreadyProcessed("already processed")

    async def status(self, signature: str, search_history: bool) -> SignatureStatus | None:
        known = self.known.get(signature)
        if known is None or signature in self.hidden:
            return None
        commitment = Commitment.FINALIZED if known.final else Commitment.PROCESSED
        return SignatureStatus(known.slot, commitment, known.revert)

    async def transaction(self, signature: str) -> LandedTransaction | None:
        known = self.known.get(signature)
        if known is None or signature in self.hidden:
            return None
        moved = (0, 0) if known.revert else (10, 20)
        return LandedTransaction(signature, known.slot, 0, known.revert, "", *moved, FEE + len(signature), 0)

    async def block_height(self, commitment: Commitment) -> int:
        return self.height - (FINALITY if commitment is Commitment.FINALIZED else 0)

    async def slot(self, commitment: Commitment) -> int:
        return await self.block_height(commitment)

    async def marker_exists(self, marker_seed: str, min_context_slot: int) -> bool:
        return any(known.final and not known.revert for known in self.known.values())

    async def signature_in_history(self, signature: str, min_context_slot: int) -> bool:
        known = self.known.get(signature)
        return known is not None and known.final

    async def latest_blockhash(self) -> Blockhash:
        raise AssertionError("a bid keeps its blockhash")

    async def build(self, plan: SwapPlan, blockhash: Blockhash) -> bytes:
        raise AssertionError("a bid is not built anew")

    async def outbid(self, raw: bytes, plan: SwapPlan) -> Offer | None:
        assert plan.marker_seed
        number = int(raw.decode().rpartition("-")[2]) + 1
        return Offer(b"bid-%d" % number, 1_000 * number)

    async def simulate(self, message: bytes) -> Simulation:
        self.simulated += 1
        if isinstance(self.fails, SimulationFailed):
            raise self.fails
        return Simulation(10, 20, self.height)

    @property
    def wallet(self) -> str:
        return "w"

    async def sign(self, message: bytes, plan: SwapPlan) -> Signed:
        if isinstance(self.fails, SignerRefused):
            raise self.fails
        return Signed(message.decode(), message)


class Case:
    """A submitted order with one attempt, whose first transaction is `bid-1`, in the hands of a worker."""

    def __init__(self, *, marker: bool = True, witness: Script | None = None) -> None:
        self.chain = Script()
        self.witness = witness
        self.truth = SimStore(random.Random(1), NO_FAULTS)
        self.store = StoreView(self.truth, Process(random.Random(1), 0.0))
        self.marker = marker

    async def submitted(self) -> HeldOrder:
        order, event = new_order(1)
        await self.store.insert(order, event)
        self.lease = await self.store.register("w")
        await self.store.claim(self.lease, NOW_MS, 1)
        seed = "m" * 32 if self.marker else ""
        attempt = msgspec.structs.replace(
            attempt_of(order, signature="bid-1"), raw=b"bid-1", marker_seed=seed, last_valid_block_height=LAST
        )
        sent = msgspec.structs.replace(attempt, status=AttemptStatus.SENT)
        for body, written in ((ROUTED, None), (built(attempt), attempt), (Submitted(1, "bid-1"), sent)):
            change = step(order, body, self.lease, attempt=written)
            await self.store.change(change)
            order = change.order
        return self.held(order)

    def held(self, order: Order) -> HeldOrder:
        held = HeldOrder(order, self.lease, self.store, LoopClock())
        held.attempt = self.attempt
        return held

    def attempts(self, policy: BidPolicy = POLICY) -> Attempts:
        return Attempts(
            chain=self.chain, signer=self.chain, clock=LoopClock(), marker_secret=b"s", rebroadcast_s=1.0,
            witness=self.witness, bidding=Bidding(self.chain, policy),
        )  # fmt: skip

    async def land(self, policy: BidPolicy = POLICY) -> Outcome:
        return await self.attempts(policy).land(await self.submitted())

    @property
    def order(self) -> Order:
        return next(iter(self.truth.orders.values()))

    @property
    def attempt(self) -> Attempt:
        return next(iter(self.truth.all_attempts.values()))

    @property
    def kinds(self) -> list[type]:
        assert replay(self.truth.log) == self.order
        return [type(event.body) for event in self.truth.log[4:]]


def test_an_attempt_that_nobody_sees_bids_again_after_so_many_blocks_until_it_has_bid_enough() -> None:
    async def test() -> None:
        case = Case()
        outcome = await case.land()
        assert outcome.ending is Ending.ABSENT
        assert [(bid.number, bid.signature, bid.unit_price, bid.height) for bid in case.attempt.bids] == [
            (2, "bid-2", 2_000, FIRST + 10), (3, "bid-3", 3_000, FIRST + 20),
        ]  # fmt: skip
        assert case.kinds == [Rebid, Rebid]
        assert (case.order.bids, case.order.signature) == (2, "bid-3")
        assert case.chain.sent == sorted(case.chain.sent)
        assert case.chain.sent.index("bid-2") == 10
        assert case.chain.sent.index("bid-3") == 20

    run(test)


@pytest.mark.parametrize("policy", [BidPolicy(0, 3), BidPolicy(10, 1)])
def test_a_policy_without_bids_makes_none(policy: BidPolicy) -> None:
    async def test() -> None:
        case = Case()
        assert (await case.land(policy)).ending is Ending.ABSENT
        assert set(case.chain.sent) == {"bid-1"}

    run(test)


def test_without_a_marker_there_is_never_a_second_transaction() -> None:
    async def test() -> None:
        case = Case(marker=False)
        assert (await case.land()).ending is Ending.ABSENT
        assert set(case.chain.sent) == {"bid-1"}
        assert case.attempt.bids == ()

    run(test)


def test_no_bid_is_made_so_late_that_nothing_is_gained() -> None:
    async def test() -> None:
        case = Case()
        case.chain.height = LAST - LAST_BID_BLOCKS
        assert (await case.land()).ending is Ending.ABSENT
        assert set(case.chain.sent) == {"bid-1"}

    run(test)


@pytest.mark.parametrize("revert", ["", "slippage_exceeded"])
def test_no_bid_is_made_once_one_was_seen_even_if_its_block_is_abandoned(revert: str) -> None:
    async def test() -> None:
        case = Case()
        case.chain.at[FIRST + 5] = lambda: case.chain.land("bid-1", revert)
        case.chain.at[FIRST + 8] = lambda: case.chain.known.clear()
        assert (await case.land()).ending is Ending.ABSENT
        assert set(case.chain.sent) == {"bid-1"}
        assert case.kinds == ([] if revert else [Landed, RolledBack])

    run(test)


def test_no_bid_is_made_after_a_restart_either_once_one_was_seen() -> None:
    async def test() -> None:
        case = Case()
        held = await case.submitted()
        case.chain.at[FIRST + 5] = lambda: case.chain.land("bid-1")
        case.chain.at[FIRST + 7] = lambda: case.chain.known.clear()
        task = asyncio.create_task(case.attempts().land(held))
        while RolledBack not in case.kinds:
            await asyncio.sleep(0.5)
        task.cancel()
        assert (await case.attempts().land(case.held(case.order))).ending is Ending.ABSENT
        assert set(case.chain.sent) == {"bid-1"}

    run(test)


def test_no_bid_is_made_once_one_was_seen_though_writing_that_down_has_failed() -> None:
    async def test() -> None:
        case = Case()
        held = await case.submitted()
        attempts = case.attempts()
        case.chain.at[FIRST + 5] = lambda: (case.chain.land("bid-1"), setattr(case.truth, "fault", _lost))
        with pytest.raises(StoreError):
            await attempts.land(held)
        del case.truth.fault  # type: ignore[method-assign]
        case.chain.known.clear()
        assert case.attempt.slot is None
        assert (await attempts.land(case.held(case.order))).ending is Ending.ABSENT
        assert set(case.chain.sent) == {"bid-1"}

    run(test)


@pytest.mark.parametrize("error", [SimulationFailed("no", reason="slippage_exceeded"), SignerRefused("too dear")])
def test_a_bid_that_would_fail_or_is_refused_is_not_made_and_what_there_is_goes_on(error: ChainError) -> None:
    async def test() -> None:
        case = Case()
        case.chain.fails = error
        case.chain.at[FIRST + 45] = lambda: setattr(case.chain, "fails", None)
        assert (await case.land()).ending is Ending.ABSENT
        assert case.chain.simulated == 4 + 2
        assert [bid.height for bid in case.attempt.bids] == [FIRST + 50, FIRST + 60]
        assert case.chain.sent.count("bid-1") == 50

    run(test)


def test_a_chain_that_can_not_raise_the_price_is_asked_once() -> None:
    async def test() -> None:
        case = Case()
        asked = []

        async def outbid(raw: bytes, plan: SwapPlan) -> Offer | None:
            asked.append(raw)
            return None

        case.chain.outbid = outbid  # type: ignore[method-assign]
        assert (await case.land()).ending is Ending.ABSENT
        assert asked == [b"bid-1"]

    run(test)


def test_after_a_restart_only_the_newest_bid_is_sent_and_the_next_one_follows_in_its_time() -> None:
    async def test() -> None:
        case = Case()
        task = asyncio.create_task(case.attempts().land(await case.submitted()))
        while case.order.bids == 0:
            await asyncio.sleep(0.5)
        task.cancel()
        case.chain.sent.clear()
        await case.attempts().land(case.held(case.order))
        assert set(case.chain.sent) == {"bid-2", "bid-3"}
        assert case.attempt.bids[1].height == FIRST + 20

    run(test)


def test_a_bid_whose_commit_was_not_answered_is_not_sent_by_the_one_that_asked() -> None:
    async def test() -> None:
        case = Case()
        held = await case.submitted()
        case.truth.lose_reply = _lost  # type: ignore[method-assign]
        with pytest.raises(StoreError):
            await case.attempts().land(held)
        assert set(case.chain.sent) == {"bid-1"}
        del case.truth.lose_reply  # type: ignore[method-assign]
        assert [bid.number for bid in case.attempt.bids] == [2]
        await case.attempts().land(case.held(case.order))
        assert [bid.number for bid in case.attempt.bids] == [2, 3]

    run(test)


@pytest.mark.parametrize("winner", ["bid-1", "bid-2"])
def test_whichever_bid_lands_is_the_fill_and_the_others_fee_is_booked_beside_it(winner: str) -> None:
    async def test() -> None:
        case = Case()
        loser = "bid-2" if winner == "bid-1" else "bid-1"
        case.chain.at[FIRST + 15] = lambda: case.chain.land(winner)
        case.chain.at[FIRST + 70] = lambda: case.chain.land(loser, RevertReason.MARKER_EXISTS)
        outcome = await case.land()
        assert outcome.ending is Ending.SWAPPED
        assert outcome.transaction is not None
        assert outcome.transaction.signature == winner
        assert outcome.fees_beside == FEE + 5
        assert case.chain.height == FIRST + 70 + FINALITY
        assert case.kinds == [Rebid, Landed]
        assert case.order.signature == winner

    run(test)


def test_news_of_an_older_bid_wakes_as_soon_as_of_the_newest() -> None:
    async def test() -> None:
        case = Case()
        held = await case.submitted()
        chain = case.chain
        never = asyncio.Event()

        async def wait_for_news(signature: str, timeout_s: float) -> None:
            if len(case.attempt.bids) < 2:
                await asyncio.sleep(timeout_s)
                chain.height += 1
            elif signature == "bid-2":
                for each in ("bid-1", "bid-3"):
                    chain.land(each, RevertReason.MARKER_EXISTS, final=True)
                chain.land("bid-2", final=True)
            else:
                await never.wait()

        chain.wait_for_news = wait_for_news  # type: ignore[method-assign]
        outcome = await case.attempts().land(held)
        assert (outcome.ending, outcome.fees_beside) == (Ending.SWAPPED, 2 * (FEE + 5))

    run(test)


def test_a_swap_is_over_when_the_other_bid_can_land_no_more() -> None:
    async def test() -> None:
        case = Case()
        case.chain.at[FIRST + 15] = lambda: case.chain.land("bid-1")
        outcome = await case.land()
        assert (outcome.ending, outcome.fees_beside) == (Ending.SWAPPED, 0)
        assert case.chain.height == LAST + FINALITY + 1

    run(test)


def test_a_bid_that_failed_does_not_end_the_attempt_while_another_can_land() -> None:
    async def test() -> None:
        case = Case()
        case.chain.at[FIRST + 15] = lambda: case.chain.land("bid-1", "slippage_exceeded")
        case.chain.at[FIRST + 120] = lambda: case.chain.land("bid-2")
        outcome = await case.land()
        assert outcome.ending is Ending.SWAPPED
        assert outcome.fees_beside == FEE + 5
        assert "bid-2" in case.chain.sent[60:]

    run(test)


def test_bids_that_have_all_failed_or_expired_end_the_attempt_with_all_their_fees() -> None:
    async def test() -> None:
        for second, height in ((True, FIRST + 60 + FINALITY), (False, LAST + FINALITY + 1)):
            case = Case()
            policy = BidPolicy(10, 2)
            case.chain.at[FIRST + 15] = lambda case=case: case.chain.land("bid-1", RevertReason.MARKER_EXISTS)
            if second:
                case.chain.at[FIRST + 60] = lambda case=case: case.chain.land("bid-2", "slippage_exceeded")
            outcome = await case.land(policy)
            assert outcome.ending is Ending.REVERTED
            assert outcome.error is not None
            assert outcome.error.code == ("slippage_exceeded" if second else "marker_exists")
            assert outcome.transaction is not None
            assert outcome.transaction.fee_lamports + outcome.fees_beside == (FEE + 5) * (2 if second else 1)
            assert case.chain.height == height

    run(test)


def test_a_bid_that_failed_on_the_marker_leads_to_the_one_that_made_it() -> None:
    """The node does not tell the winner's status, but has its metadata."""

    async def test() -> None:
        case = Case()
        chain = case.chain
        plain = chain.status

        async def status(signature: str, search_history: bool) -> SignatureStatus | None:
            return None if signature == "bid-1" else await plain(signature, search_history)

        chain.status = status  # type: ignore[method-assign]
        chain.at[FIRST + 15] = lambda: (chain.land("bid-1"), chain.land("bid-2", RevertReason.MARKER_EXISTS))
        outcome = await case.land()
        assert outcome.ending is Ending.SWAPPED
        assert outcome.transaction is not None
        assert (outcome.transaction.signature, outcome.fees_beside) == ("bid-1", FEE + 5)
        assert chain.height == FIRST + 15 + FINALITY

    run(test)


def test_what_only_the_witness_knows_of_is_believed() -> None:
    async def test() -> None:
        witness = Script()
        case = Case(witness=witness)
        case.chain.hidden = {"bid-1", "bid-2"}
        case.chain.at[FIRST + 15] = lambda: case.chain.land("bid-2")
        case.chain.at[FIRST + 16] = lambda: case.chain.land("bid-1", RevertReason.MARKER_EXISTS)
        witness.known = case.chain.known
        witness.height = LAST + 2 * FINALITY
        outcome = await case.land(BidPolicy(10, 2))
        assert outcome.ending is Ending.SWAPPED
        assert outcome.transaction is not None
        assert (outcome.transaction.signature, outcome.fees_beside) == ("bid-2", FEE + 5)

    run(test)


def test_a_marker_that_nobody_can_explain_goes_to_a_person() -> None:
    async def test() -> None:
        case = Case()
        case.chain.hidden = {"bid-2"}
        case.chain.at[FIRST + 15] = lambda: case.chain.land("bid-2")
        outcome = await case.land()
        assert outcome.ending is Ending.UNPROVABLE
        assert case.order.status == "submitted"

    run(test)


def test_a_fee_that_no_node_can_tell_holds_up_no_swap() -> None:
    async def test() -> None:
        case = Case()
        case.chain.hidden = {"bid-2"}
        case.chain.at[FIRST + 15] = lambda: case.chain.land("bid-1")
        case.chain.at[FIRST + 16] = lambda: case.chain.land("bid-2", RevertReason.MARKER_EXISTS)
        outcome = await case.land()
        assert (outcome.ending, outcome.doubtful) == (Ending.SWAPPED, True)
        assert case.chain.height < LAST + FINALITY + 60

    run(test)


def test_a_failed_bid_that_a_node_denies_for_a_moment_is_booked_beside_the_one_that_it_shows() -> None:
    async def test() -> None:
        case = Case()
        chain = case.chain
        plain_status, plain_transaction = chain.status, chain.transaction
        busy = [True]

        async def status(signature: str, search_history: bool) -> SignatureStatus | None:
            return None if signature == "bid-2" else await plain_status(signature, search_history)

        async def transaction(signature: str) -> LandedTransaction | None:
            if signature == "bid-2" and busy:
                busy.pop()
                raise ChainError("too many requests")
            return await plain_transaction(signature)

        chain.status, chain.transaction = status, transaction  # type: ignore[method-assign]
        chain.at[FIRST + 15] = lambda: chain.land("bid-1", RevertReason.PROGRAM_ERROR)
        chain.at[FIRST + 16] = lambda: chain.land("bid-2", RevertReason.PROGRAM_ERROR)
        outcome = await case.land(BidPolicy(10, 2))
        assert (outcome.ending, outcome.doubtful, busy) == (Ending.REVERTED, False, [])
        assert outcome.transaction is not None
        assert outcome.transaction.fee_lamports + outcome.fees_beside == 2 * (FEE + 5)

    run(test)


def test_an_attempt_ends_though_no_node_keeps_a_history_of_transactions() -> None:
    async def test() -> None:
        case = Case()

        async def transaction(signature: str) -> LandedTransaction | None:
            raise ChainError("transaction history is not available from this node")

        case.chain.transaction = transaction  # type: ignore[method-assign]
        outcome = await case.land()
        assert (outcome.ending, outcome.doubtful) == (Ending.ABSENT, True)
        assert case.chain.height == LAST + FINALITY + 1 + MAX_FEE_DOUBTS

    run(test)


def test_what_a_node_denies_but_keeps_the_metadata_of_is_booked() -> None:
    async def test() -> None:
        case = Case(marker=False)
        chain = case.chain

        async def status(signature: str, search_history: bool) -> SignatureStatus | None:
            return None

        async def history(signature: str, min_context_slot: int) -> bool:
            return False

        chain.status, chain.signature_in_history = status, history  # type: ignore[method-assign]
        chain.at[FIRST + 5] = lambda: chain.land("bid-1", "slippage_exceeded")
        outcome = await case.land()
        assert outcome.ending is Ending.REVERTED
        assert outcome.transaction is not None
        assert outcome.transaction.fee_lamports == FEE + 5

    run(test)


def _lost() -> None:
    raise StoreError("connection lost after the statement was sent")
