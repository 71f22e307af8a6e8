"""What every chain must do, whatever it is made of. A subclass gives `open_chain`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Protocol

import pytest

from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import AlreadyProcessed, BlockhashNotFound, ChainError, SimulationFailed
from fillwright.domain.transactions import Commitment, LandedTransaction, RevertReason, Signed, SwapPlan
from fillwright.ports import Chain, Signer

BLOCKHASH_LIFE = 150


class PlanMaker(Protocol):
    """A plan that would succeed now; `limit` replaces the bound, `marker` asks for a marker account."""

    def __call__(
        self,
        order: int = 1,
        *,
        attempt: int = 1,
        amount: int = ...,
        mode: SwapMode = SwapMode.EXACT_IN,
        limit: int | None = None,
        marker: bool = True,
    ) -> SwapPlan: ...


class Harness(Protocol):
    chain: Chain
    signer: Signer
    plan: PlanMaker


class ChainConformance(ABC):
    """Tests run on a chain that lands at once and without random failures."""

    @abstractmethod
    def open_chain(self, folder: Path) -> AbstractAsyncContextManager[tuple[Harness, Callable[[int], Awaitable[None]]]]:
        """A chain, and a function that lets so many blocks pass."""

    def run(self, folder: Path, test: Callable[[Harness, Callable[[int], Awaitable[None]]], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with self.open_chain(folder) as (harness, pass_blocks):
                await test(harness, pass_blocks)

        asyncio.run(inside())

    def test_a_sent_transaction_lands_with_the_simulated_amounts(self, tmp_path: Path) -> None:
        async def test(harness: Harness, _: object) -> None:
            plan = harness.plan()
            message = await harness.chain.build(plan, await harness.chain.latest_blockhash())
            simulated = await harness.chain.simulate(message)
            signed = await harness.signer.sign(message)
            landed = await land(harness, signed)
            assert (landed.amount_in, landed.amount_out) == (simulated.amount_in, simulated.amount_out)
            assert landed.amount_in == plan.amount_in
            assert landed.revert == ""
            status = await harness.chain.status(signed.signature, search_history=True)
            assert status is not None
            assert (status.slot, status.revert) == (landed.slot, "")

        self.run(tmp_path, test)

    def test_exact_out_brings_exactly_the_output(self, tmp_path: Path) -> None:
        async def test(harness: Harness, _: object) -> None:
            plan = harness.plan(mode=SwapMode.EXACT_OUT, amount=1_000_000)
            landed = await land(harness, await sign(harness, plan))
            assert landed.amount_out == 1_000_000
            assert landed.amount_in == plan.amount_in

        self.run(tmp_path, test)

    def test_simulating_changes_nothing(self, tmp_path: Path) -> None:
        async def test(harness: Harness, _: object) -> None:
            message = await harness.chain.build(harness.plan(), await harness.chain.latest_blockhash())
            first = await harness.chain.simulate(message)
            assert await harness.chain.simulate(message) == first

        self.run(tmp_path, test)

    def test_a_signature_that_was_never_sent_has_no_status(self, tmp_path: Path) -> None:
        async def test(harness: Harness, _: object) -> None:
            signed = await sign(harness, harness.plan())
            assert await harness.chain.status(signed.signature, search_history=True) is None
            assert await harness.chain.transaction(signed.signature) is None
            assert not await harness.chain.signature_in_history(signed.signature, 0)

        self.run(tmp_path, test)

    def test_landed_bytes_sent_again_are_already_processed_and_move_nothing(self, tmp_path: Path) -> None:
        async def test(harness: Harness, _: object) -> None:
            signed = await sign(harness, harness.plan(marker=False))
            landed = await land(harness, signed)
            with pytest.raises(AlreadyProcessed):
                await harness.chain.send(signed.raw)
            assert await harness.chain.transaction(signed.signature) == landed

        self.run(tmp_path, test)

    def test_bytes_sent_twice_before_they_land_land_once(self, tmp_path: Path) -> None:
        async def test(harness: Harness, _: object) -> None:
            signed = await sign(harness, harness.plan(marker=False))
            await harness.chain.send(signed.raw)
            with suppress(AlreadyProcessed):
                await harness.chain.send(signed.raw)
            assert (await landed_of(harness, signed)).revert == ""

        self.run(tmp_path, test)

    def test_an_old_blockhash_is_not_found_even_for_landed_bytes(self, tmp_path: Path) -> None:
        async def test(harness: Harness, pass_blocks: Callable[[int], Awaitable[None]]) -> None:
            sent, kept = await sign(harness, harness.plan(1)), await sign(harness, harness.plan(2))
            await land(harness, sent)
            await pass_blocks(BLOCKHASH_LIFE + 2)
            for signed in (sent, kept):
                with pytest.raises(BlockhashNotFound):
                    await harness.chain.send(signed.raw)
            assert await harness.chain.status(sent.signature, search_history=True) is not None
            assert await harness.chain.status(kept.signature, search_history=True) is None

        self.run(tmp_path, test)

    def test_a_blockhash_is_good_up_to_its_last_valid_height(self, tmp_path: Path) -> None:
        async def test(harness: Harness, pass_blocks: Callable[[int], Awaitable[None]]) -> None:
            blockhash = await harness.chain.latest_blockhash()
            signed = await harness.signer.sign(await harness.chain.build(harness.plan(), blockhash))
            height = await harness.chain.block_height(Commitment.PROCESSED)
            await pass_blocks(blockhash.last_valid_block_height - height)
            assert await harness.chain.block_height(Commitment.PROCESSED) == blockhash.last_valid_block_height
            await harness.chain.send(signed.raw)
            assert (await landed_of(harness, signed)).slot == await harness.chain.slot(Commitment.PROCESSED)

        self.run(tmp_path, test)

    def test_a_second_attempt_of_an_order_fails_on_the_marker(self, tmp_path: Path) -> None:
        async def test(harness: Harness, _: object) -> None:
            first = await land(harness, await sign(harness, harness.plan(attempt=1)))
            second = await land(harness, await sign(harness, harness.plan(attempt=2)))
            assert first.revert == ""
            assert second.revert == RevertReason.MARKER_EXISTS
            assert (second.amount_in, second.amount_out, second.rent_lamports) == (0, 0, 0)
            assert second.fee_lamports > 0

        self.run(tmp_path, test)

    def test_a_reverted_swap_leaves_no_marker_so_that_a_retry_works(self, tmp_path: Path) -> None:
        async def test(harness: Harness, _: object) -> None:
            plan = harness.plan(limit=2**63)
            failed = await land(harness, await sign(harness, plan))
            slot = await harness.chain.slot(Commitment.FINALIZED)
            assert failed.revert == RevertReason.SLIPPAGE
            assert (failed.amount_in, failed.amount_out, failed.rent_lamports) == (0, 0, 0)
            assert not await harness.chain.marker_exists(plan.marker_seed, slot)
            assert (await land(harness, await sign(harness, harness.plan(attempt=2)))).revert == ""
            assert await harness.chain.marker_exists(plan.marker_seed, slot)

        self.run(tmp_path, test)

    def test_a_simulation_names_the_reason_it_would_fail_for(self, tmp_path: Path) -> None:
        async def test(harness: Harness, _: object) -> None:
            message = await harness.chain.build(harness.plan(limit=2**63), await harness.chain.latest_blockhash())
            with pytest.raises(SimulationFailed) as failure:
                await harness.chain.simulate(message)
            assert failure.value.reason == RevertReason.SLIPPAGE

        self.run(tmp_path, test)

    def test_bytes_that_nobody_signed_are_refused(self, tmp_path: Path) -> None:
        async def test(harness: Harness, _: object) -> None:
            raw = (await sign(harness, harness.plan())).raw
            for bad in (b"", raw[:40], raw[:-1], raw + b"\0", raw[:20] + bytes([raw[20] ^ 1]) + raw[21:], bytes(1_300)):
                with pytest.raises(ChainError):
                    await harness.chain.send(bad)

        self.run(tmp_path, test)

    def test_what_is_asked_as_of_a_future_slot_has_no_answer(self, tmp_path: Path) -> None:
        async def test(harness: Harness, _: object) -> None:
            ahead = await harness.chain.slot(Commitment.FINALIZED) + 1_000
            with pytest.raises(ChainError):
                await harness.chain.marker_exists("0" * 32, ahead)
            with pytest.raises(ChainError):
                await harness.chain.signature_in_history("1" * 64, ahead)

        self.run(tmp_path, test)

    def test_heights_grow_with_blocks_and_never_exceed_less_final_ones(self, tmp_path: Path) -> None:
        async def test(harness: Harness, pass_blocks: Callable[[int], Awaitable[None]]) -> None:
            before = await heights(harness)
            await pass_blocks(40)
            after = await heights(harness)
            assert all(later > earlier for earlier, later in zip(before, after, strict=True))
            assert after == sorted(after, reverse=True)

        self.run(tmp_path, test)


async def heights(harness: Harness) -> list[int]:
    """Processed, confirmed, finalized."""
    order = (Commitment.PROCESSED, Commitment.CONFIRMED, Commitment.FINALIZED)
    return [await harness.chain.block_height(commitment) for commitment in order]


async def sign(harness: Harness, plan: SwapPlan) -> Signed:
    return await harness.signer.sign(await harness.chain.build(plan, await harness.chain.latest_blockhash()))


async def land(harness: Harness, signed: Signed) -> LandedTransaction:
    await harness.chain.send(signed.raw)
    return await landed_of(harness, signed)


async def landed_of(harness: Harness, signed: Signed) -> LandedTransaction:
    await harness.chain.wait_for_news(signed.signature, 60)
    landed = await harness.chain.transaction(signed.signature)
    assert landed is not None
    return landed
