"""Solana as the engine's chain: every question of `ports.Chain`, asked of real nodes.

In: plans, signed bytes, signatures. Out: what nodes answered, with what they can't be believed about said as
ChainError. Must not: decide an order's fate, hold a key, or send anything that it was not handed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec
from solders.pubkey import Pubkey

from fillwright.chain import programs
from fillwright.chain.bids import Priced
from fillwright.chain.endpoint import EndpointState
from fillwright.chain.fees import FeePolicy, raised_price, unit_price
from fillwright.chain.landed import read_landed
from fillwright.chain.lookup import LookupTables
from fillwright.chain.messages import (
    AccountJson,
    EpochInfo,
    HistoryEntry,
    InContext,
    StatusJson,
    TransactionJson,
)
from fillwright.chain.news import SignatureNews
from fillwright.chain.realised import Realised, Reread
from fillwright.chain.reverts import explain
from fillwright.chain.rpc import NODE_BEHIND, NODE_FAULT, Rpc
from fillwright.chain.sender import Senders
from fillwright.chain.simulate import Outcome, Simulator
from fillwright.chain.stream import Stream
from fillwright.chain.transaction import (
    MAX_COMPUTE_UNITS,
    SIGNATURE_BYTES,
    Payment,
    build_instructions,
    compile_message,
)
from fillwright.chain.warm import RecentBlockhash, RecentFees
from fillwright.domain.accounts import Mint
from fillwright.domain.errors import BlockhashNotFound, ChainError, SimulationFailed
from fillwright.domain.transactions import (
    Blockhash,
    Commitment,
    LandedTransaction,
    Offer,
    RevertReason,
    SignatureStatus,
    Simulation,
    SwapPlan,
)
from fillwright.market.drift import DriftSentinel
from fillwright.market.guards import GuardPolicy, judge_price
from fillwright.market.snapshot import Snapshot
from fillwright.ports import Clock
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TOKEN_PROGRAM

MAX_BUILT = 4_096
"""Messages whose plan is remembered between build and simulate."""
MAX_UNITS_KNOWN = 4_096
MAX_MINTS = 100_000
MAX_MARKER_RENT = 100_000_000
"""In lamports. A hundred times what it has ever been; what a wallet pays is the signer's policy to bound."""
MAX_HISTORY_PAGES = 50
HISTORY_PAGE = 1_000
_MARGIN_PERCENT = 130
"""Compute units asked for, against those that the simulation used: the price may move meanwhile."""

Market = Callable[[], Snapshot]
_UnitsKey = tuple[tuple[str, str], ...]


class Tip(msgspec.Struct, frozen=True):
    """Paid to one of `accounts`, chosen by the order: for senders that want one."""

    lamports: int
    accounts: tuple[str, ...]


class SolanaChain:
    """Implements `ports.Chain` and `ports.Bidder`; see there for the contracts. It opens and closes nothing that it was
    given."""

    def __init__(
        self,
        *,
        rpc: Rpc,
        senders: Senders,
        clock: Clock,
        wallet: str,
        market: Market,
        stream: Stream | None = None,
        fees: FeePolicy | None = None,
        tip: Tip | None = None,
        lookup_tables: LookupTables | None = None,
        sentinel: DriftSentinel | None = None,
        reread: Reread | None = None,
        guards: GuardPolicy | None = None,
        blockhashes: RecentBlockhash | None = None,
    ) -> None:
        self._rpc = rpc
        self._senders = senders
        self._clock = clock
        self._wallet = Pubkey.from_string(wallet)
        self._market = market
        self._news = SignatureNews(stream, clock)
        self._fees = fees or FeePolicy()
        self._tip = tip
        self._tables = lookup_tables or LookupTables(rpc)
        self._realised = Realised(sentinel, market, reread)
        self._guards = guards
        self._simulator = Simulator(rpc, self._tables)
        self._token_programs: dict[Mint, Pubkey] = {}
        self._marker_rent: int | None = None
        self._built: OrderedDict[bytes, tuple[SwapPlan, _UnitsKey]] = OrderedDict()
        self._units: OrderedDict[_UnitsKey, int] = OrderedDict()
        self._fee_samples = RecentFees(rpc, clock)
        self._blockhashes = blockhashes or RecentBlockhash(rpc, clock)
        self._told_height = 0
        self._told_slot = 0

    async def close(self) -> None:
        """End what it asks for ahead of time."""
        await self._fee_samples.close()

    async def latest_blockhash(self) -> Blockhash:
        """As recent as `blockhashes` keeps them."""
        return await self._blockhashes.get()

    async def block_height(self, commitment: Commitment) -> int:
        return (await self._epoch_info(commitment)).block_height

    async def slot(self, commitment: Commitment) -> int:
        return (await self._epoch_info(commitment)).absolute_slot

    async def build(self, plan: SwapPlan, blockhash: Blockhash) -> bytes:
        """As the port says. Raises ChainError `transaction_too_large`, `too_many_locks`, `plan_unsupported`,
        `pool_gone`, `mint_unknown`; SimulationFailed where a price guard or a venue refuses the swap."""
        snapshot = self._market()
        self._check_prices(plan, snapshot)
        token_programs = await self._programs_of(plan)
        tables = self._tables.usable
        key = _units_key(plan)
        units = self._units.get(key)

        async def message_for(unit_limit: int) -> bytes:
            payment = await self._payment(plan, unit_limit)
            parts = build_instructions(plan, snapshot, self._wallet, payment, token_programs)
            return compile_message(parts, self._wallet, blockhash, tables)

        if units is None:
            draft = await message_for(MAX_COMPUTE_UNITS)
            outcome = await self._simulator.run(draft)
            # A draft that reverts tells nothing about units; `simulate` will say why it reverts.
            units = MAX_COMPUTE_UNITS if outcome.revert else self._learn_units(key, outcome.units)
        message = await message_for(min(MAX_COMPUTE_UNITS, units * _MARGIN_PERCENT // 100))
        self._remember_plan(message, plan)
        return message

    async def outbid(self, raw: bytes, plan: SwapPlan) -> Offer | None:
        """As the port says: nothing but the price changes, so the tip and whom it goes to stay as they are."""
        last = Priced(raw[SIGNATURE_BYTES:])
        if not last.has_marker or not plan.marker_seed:
            return None
        recent = await self._fee_samples.of([str(leg.pool) for leg in plan.legs])
        price = raised_price(recent, last.unit_price, last.unit_limit, self._fees)
        message = last.at(price) if price > last.unit_price else None
        if message is None:
            return None
        self._remember_plan(message, plan)
        return Offer(message, price)

    async def simulate(self, message: bytes) -> Simulation:
        """As the port says; also raises SimulationFailed where the wallet's balances would not change as the
        plan behind the message allows."""
        try:
            outcome = await self._simulator.run(message)
        except BlockhashNotFound:
            self._blockhashes.forget()
            raise
        if outcome.revert:
            raise SimulationFailed(outcome.detail, reason=outcome.revert)
        known = self._built.pop(message, None)
        if known is not None:
            plan, key = known
            self._learn_units(key, outcome.units)
            await self._realised.simulated(message, plan, outcome)
            _check_against(plan, outcome.amount_in, outcome.amount_out)
        return Simulation(outcome.amount_in, outcome.amount_out, outcome.slot)

    async def rehearse(self, plan: SwapPlan, snapshot: Snapshot) -> Outcome:
        """What a transaction of `plan` would do now, with the pools of `snapshot`; it is not for signing. Raises
        ChainError."""
        token_programs = await self._programs_of(plan)
        blockhash = await self.latest_blockhash()
        payment = await self._payment(plan, MAX_COMPUTE_UNITS)
        parts = build_instructions(plan, snapshot, self._wallet, payment, token_programs)
        return await self._simulator.run(compile_message(parts, self._wallet, blockhash, self._tables.usable))

    def _check_prices(self, plan: SwapPlan, snapshot: Snapshot) -> None:
        """Raises SimulationFailed where a leg's pool is too far from the others, or too thin."""
        if self._guards is None:
            return
        for leg in plan.legs:
            pool = snapshot.pools.get(leg.pool)
            why = "" if pool is None else judge_price(snapshot, pool, leg.input_mint, self._guards)
            if why:
                raise SimulationFailed(f"pool {leg.pool}: {why}", reason=RevertReason.POOL_REFUSED)

    async def send(self, raw: bytes) -> None:
        await self._senders.send(raw)

    async def status(self, signature: str, search_history: bool) -> SignatureStatus | None:
        """As the port says. A null counts only from a node that has itself told the greatest finalized height
        that anyone was told here: a node that lags knows less than the caller already does."""
        told_height, told_slot = self._told_height, self._told_slot
        among = [state for state in self._rpc.endpoints if state.finalized_height >= told_height]
        params = [[signature], {"searchTransactionHistory": search_history}]
        answer, state = await self._rpc.ask(
            "getSignatureStatuses", params, InContext[list[StatusJson | None]], among or None
        )
        if len(answer.value) != 1:
            raise ChainError(f"{state.name} answered for another number of signatures", code=NODE_FAULT)
        found = answer.value[0]
        if found is None:
            if state.finalized_height < told_height or answer.context.slot < told_slot:
                raise ChainError(f"{state.name} lags behind what is known", code=NODE_BEHIND)
            return None
        revert, detail = explain(found.err, (), (), marker=False)
        return SignatureStatus(found.slot, _commitment(found), revert, detail)

    async def transaction(self, signature: str) -> LandedTransaction | None:
        options = {"encoding": "base64", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
        problem: ChainError | None = None
        for state in self._rpc.endpoints:
            # A node that has pruned or missed it says null: the others are asked too.
            try:
                answer = await self._rpc.ask_one(state, "getTransaction", [signature, options], TransactionJson | None)
            except ChainError as error:
                problem = error
                continue
            if answer is not None:
                landed = read_landed(signature, answer)
                self._realised.landed(answer, landed)
                return landed
        if problem is not None:
            raise problem
        return None

    async def marker_exists(self, marker_seed: str, min_context_slot: int) -> bool:
        key = programs.marker_account(self._wallet, marker_seed)
        options = {"encoding": "base64", "commitment": "finalized", "minContextSlot": min_context_slot}
        answer = await self._rpc.call("getAccountInfo", [str(key), options], InContext[AccountJson | None])
        if answer.context.slot < min_context_slot:
            raise ChainError("the node ignores minContextSlot", code=NODE_BEHIND)
        return answer.value is not None

    async def signature_in_history(self, signature: str, min_context_slot: int) -> bool:
        """Newest first, back to the first entry older than the wallet's oldest possible use of the signature: all
        of the history within MAX_HISTORY_PAGES. Raises ChainError `history_too_long` beyond."""
        before: str | None = None
        for _ in range(MAX_HISTORY_PAGES):
            options: dict[str, object] = {
                "commitment": "finalized",
                "limit": HISTORY_PAGE,
                "minContextSlot": min_context_slot,
            }
            if before is not None:
                options["before"] = before
            params = [str(self._wallet), options]
            page = await self._rpc.call("getSignaturesForAddress", params, list[HistoryEntry])
            if any(entry.signature == signature for entry in page):
                return True
            if len(page) < HISTORY_PAGE:
                return False
            before = page[-1].signature
        raise ChainError("the wallet's history is too long to search", code="history_too_long")

    async def wait_for_news(self, signature: str, timeout_s: float) -> None:
        await self._news.wait(signature, timeout_s)

    def _remember_plan(self, message: bytes, plan: SwapPlan) -> None:
        """For `simulate`, which compares what the message does with what the plan allows."""
        self._built[message] = (plan, _units_key(plan))
        while len(self._built) > MAX_BUILT:
            self._built.popitem(last=False)

    async def _epoch_info(self, commitment: Commitment) -> EpochInfo:
        info, state = await self._rpc.ask("getEpochInfo", [{"commitment": commitment}], EpochInfo)
        if commitment is Commitment.FINALIZED:
            self._remember(state, info)
        return info

    def _remember(self, state: EndpointState, info: EpochInfo) -> None:
        state.finalized_height = max(state.finalized_height, info.block_height)
        state.finalized_slot = max(state.finalized_slot, info.absolute_slot)
        self._told_height = max(self._told_height, info.block_height)
        self._told_slot = max(self._told_slot, info.absolute_slot)

    async def _payment(self, plan: SwapPlan, unit_limit: int) -> Payment:
        recent = await self._fee_samples.of([str(leg.pool) for leg in plan.legs])
        price = unit_price(recent, plan.attempt, unit_limit, self._fees, plan.bids)
        tip = self._tip
        account = None
        if tip is not None and tip.accounts:
            # Spread over the accounts, but always the same one for the same order.
            account = Pubkey.from_string(tip.accounts[sum(plan.order_id.encode()) % len(tip.accounts)])
        lamports = tip.lamports if tip is not None else 0
        return Payment(unit_limit, price, await self._rent(), lamports, account)

    async def _rent(self) -> int:
        """Of an empty account. Raises ChainError where the node tells nothing that a marker could stand on: with no
        lamports it would be gone when its transaction ends, and guard nothing."""
        if self._marker_rent is None:
            rent = await self._rpc.call("getMinimumBalanceForRentExemption", [0], int)
            if not 0 < rent <= MAX_MARKER_RENT:
                raise ChainError("the node tells a rent that can't be", code=NODE_FAULT)
            self._marker_rent = rent
        return self._marker_rent

    async def _programs_of(self, plan: SwapPlan) -> dict[Mint, Pubkey]:
        """The token program of each mint: it never changes, so each is asked for once."""
        mints = {
            plan.input_mint,
            plan.output_mint,
            *(m for leg in plan.legs for m in (leg.input_mint, leg.output_mint)),
        }
        missing = sorted(mint for mint in mints if mint not in self._token_programs)
        if missing:
            if len(self._token_programs) > MAX_MINTS:
                self._token_programs.clear()
            options = {"encoding": "base64", "commitment": "confirmed", "dataSlice": {"offset": 0, "length": 0}}
            answer = await self._rpc.call(
                "getMultipleAccounts", [missing, options], InContext[list[AccountJson | None]]
            )
            if len(answer.value) != len(missing):
                raise ChainError("the node answered for another number of accounts", code=NODE_FAULT)
            for mint, account in zip(missing, answer.value, strict=True):
                if account is None or account.owner not in (TOKEN_PROGRAM, TOKEN_2022_PROGRAM):
                    raise ChainError(f"{mint} is no mint", code="mint_unknown")
                self._token_programs[mint] = Pubkey.from_string(account.owner)
        return {mint: self._token_programs[mint] for mint in mints}

    def _learn_units(self, key: _UnitsKey, units: int) -> int:
        """Remember the most units that these pools have used in this direction."""
        most = max(units, self._units.pop(key, 0))
        self._units[key] = most
        while len(self._units) > MAX_UNITS_KNOWN:
            self._units.popitem(last=False)
        return most


def _units_key(plan: SwapPlan) -> _UnitsKey:
    return tuple((leg.pool, leg.input_mint) for leg in plan.legs)


def _check_against(plan: SwapPlan, amount_in: int, amount_out: int) -> None:
    """Raises SimulationFailed where the simulated balance changes are not what the order allows."""
    exact_in = plan.mode == "exact_in"
    most_in = plan.amount_in if exact_in else plan.limit
    least_out = plan.limit if exact_in else plan.amount_out
    if amount_in > most_in or amount_out < least_out:
        text = f"the simulated swap takes {amount_in} and gives {amount_out}; allowed are {most_in} and {least_out}"
        raise SimulationFailed(text, reason=RevertReason.SLIPPAGE)


def _commitment(status: StatusJson) -> Commitment:
    if status.confirmation_status in ("processed", "confirmed", "finalized"):
        return Commitment(status.confirmation_status)
    told = status.confirmation_status is None and status.confirmations is None
    return Commitment.FINALIZED if told else Commitment.PROCESSED
