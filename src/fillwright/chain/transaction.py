"""A swap plan as an unsigned v0 message: marker, compute budget, token accounts, wrapping, swaps, unwrapping, tip.

In: a plan, the pools' state, a blockhash, what to pay. Out: message bytes that fit the network's limits.
Must not: sign, send or ask anyone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise

import msgspec
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from fillwright.chain import programs
from fillwright.domain.accounts import WRAPPED_SOL, Address, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import ChainError, QuoteRefused, SimulationFailed
from fillwright.domain.lookup_tables import LookupTable, choose_tables, index_tables
from fillwright.domain.routes import Leg
from fillwright.domain.transactions import Blockhash, RevertReason, SwapPlan
from fillwright.market.snapshot import Snapshot, venue_for
from fillwright.venues.venue import ROUTE_ARRAYS, Swap, SwapAccounts

MAX_TRANSACTION_BYTES = 1_232
MAX_ACCOUNT_LOCKS = 64
MAX_COMPUTE_UNITS = 1_400_000
SIGNATURE_BYTES = 1 + 64


class Payment(msgspec.Struct, frozen=True):
    """What the wallet pays beside the swap. `unit_price` in micro-lamports per compute unit."""

    unit_limit: int
    unit_price: int
    marker_rent_lamports: int
    tip_lamports: int = 0
    tip_account: Pubkey | None = None


class LegSwap(msgspec.Struct, frozen=True):
    """A leg with the bound that its instruction enforces."""

    leg: Leg
    swap: Swap
    limit: int


_Legs = list[tuple[int, Leg]]
"""Legs with their numbers in the plan."""


def plan_swaps(plan: SwapPlan) -> list[LegSwap]:
    """The plan's legs with their bounds, which together enforce the plan's own, in the plan's order.

    Parallel legs share a bound in proportion to their quotes, to the unit; none is asked for more than its quote
    unless the plan asks for more than all of them. On a path of several hops, what a hop gives for certain covers
    what the next one takes: with a fixed input a hop must yield what the next one spends, with a fixed output a hop
    may spend what the one before gives. Raises ChainError `plan_unsupported`.
    """
    numbered = enumerate(plan.legs)
    paths = [_hops(plan, list(legs)) for _, legs in groupby(numbered, key=lambda each: each[1].path)]
    exact_in = plan.mode is SwapMode.EXACT_IN
    free = [path[-1] if exact_in else path[0] for path in paths]
    swaps = _parallel(plan.mode, [each for legs in free for each in legs], plan.limit)
    for path in paths:
        for before, after in pairwise(path):
            given, taken = sum(leg.amount_out for _, leg in before), sum(leg.amount_in for _, leg in after)
            if taken > given:
                raise ChainError("a hop spends more than the one before yields", code="plan_unsupported")
            swaps |= _parallel(plan.mode, before, taken) if exact_in else _parallel(plan.mode, after, given)
    _check_sides(plan, paths)
    return [swaps[number] for number in range(len(plan.legs))]


def build_instructions(
    plan: SwapPlan, snapshot: Snapshot, wallet: Pubkey, payment: Payment, token_programs: Mapping[Mint, Pubkey]
) -> list[Instruction]:
    """The transaction's instructions, the marker's first.

    `token_programs` holds each of the plan's mints. Raises ChainError `pool_gone`, `plan_unsupported`, and
    SimulationFailed where a venue refuses to build the swap.
    """
    swaps = plan_swaps(plan)
    mints = _mints(plan)
    account = {mint: programs.token_account(wallet, Pubkey.from_string(mint), token_programs[mint]) for mint in mints}
    parts: list[Instruction] = []
    if plan.marker_seed:
        parts.append(programs.create_marker(wallet, plan.marker_seed, payment.marker_rent_lamports))
    # The price stands there whatever it is: an attempt that bids takes no more room than one that does not.
    parts += [set_compute_unit_limit(payment.unit_limit), set_compute_unit_price(payment.unit_price)]
    parts += [
        programs.create_token_account(wallet, Pubkey.from_string(mint), token_programs[mint])
        for mint in mints
        if mint != plan.input_mint or mint == WRAPPED_SOL
    ]
    if plan.input_mint == WRAPPED_SOL:
        parts += programs.wrap(wallet, plan.amount_in if plan.mode is SwapMode.EXACT_IN else plan.limit)
    parts += [_swap_instruction(each, snapshot, wallet, account) for each in swaps]
    if WRAPPED_SOL in mints:
        parts.append(programs.unwrap(wallet))
    if payment.tip_lamports and payment.tip_account is not None:
        parts.append(programs.tip(wallet, payment.tip_account, payment.tip_lamports))
    return parts


def compile_message(
    instructions: Sequence[Instruction],
    wallet: Pubkey,
    blockhash: Blockhash,
    tables: Sequence[AddressLookupTableAccount] = (),
) -> bytes:
    """The v0 message, with those of the tables that make it shortest.

    Raises ChainError `transaction_too_large` or `too_many_locks`: nothing was signed.
    """
    used = shortening(instructions, wallet, tables)
    message = MessageV0.try_compile(wallet, list(instructions), used, Hash.from_string(blockhash.value))
    raw = to_bytes_versioned(message)
    size = SIGNATURE_BYTES + len(raw)
    if size > MAX_TRANSACTION_BYTES:
        text = f"a transaction of {size} bytes exceeds the network's {MAX_TRANSACTION_BYTES}"
        raise ChainError(text, code="transaction_too_large")
    looked_up = sum(len(t.writable_indexes) + len(t.readonly_indexes) for t in message.address_table_lookups)
    locks = len(message.account_keys) + looked_up
    if locks > MAX_ACCOUNT_LOCKS:
        text = f"a transaction that locks {locks} accounts exceeds the network's {MAX_ACCOUNT_LOCKS}"
        raise ChainError(text, code="too_many_locks")
    return raw


def shortening(
    instructions: Sequence[Instruction], wallet: Pubkey, tables: Sequence[AddressLookupTableAccount]
) -> list[AddressLookupTableAccount]:
    """Those of the tables that a transaction of `instructions` is shortest with."""
    if not tables:
        return []
    metas = [meta for instruction in instructions for meta in instruction.accounts]
    stated = {wallet, *(instruction.program_id for instruction in instructions)}
    stated |= {meta.pubkey for meta in metas if meta.is_signer}
    may_be_looked_up = {bytes(meta.pubkey) for meta in metas if meta.pubkey not in stated}
    holders = index_tables([LookupTable(Address(str(t.key)), frozenset(map(bytes, t.addresses))) for t in tables])
    return [tables[number] for number in choose_tables(holders.get(key, 0) for key in may_be_looked_up)]


def _mints(plan: SwapPlan) -> list[Mint]:
    """The plan's mints, each once: input first, then in the order in which they are reached."""
    found = [plan.input_mint]
    for leg in plan.legs:
        found += [mint for mint in (leg.input_mint, leg.output_mint) if mint not in found]
    return found


def _hops(plan: SwapPlan, legs: _Legs) -> list[_Legs]:
    """One path's legs by hop. Raises ChainError where they do not lead from the plan's input to its output."""
    hops = [list(parallel) for _, parallel in groupby(legs, key=lambda each: (each[1].input_mint, each[1].output_mint))]
    mints = [plan.input_mint, *(parallel[0][1].output_mint for parallel in hops)]
    chained = all(parallel[0][1].input_mint == mint for parallel, mint in zip(hops, mints, strict=False))
    if not chained or mints[-1] != plan.output_mint or len(set(mints)) != len(mints):
        raise ChainError("the plan's legs do not lead from its input to its output", code="plan_unsupported")
    return hops


def _check_sides(plan: SwapPlan, paths: Sequence[Sequence[_Legs]]) -> None:
    """Raises ChainError where the legs' fixed side is not the plan's, in all."""
    if not paths:
        raise ChainError("the plan has no legs", code="plan_unsupported")
    if plan.mode is SwapMode.EXACT_IN:
        if sum(leg.amount_in for path in paths for _, leg in path[0]) != plan.amount_in:
            raise ChainError("the plan's legs do not spend its input", code="plan_unsupported")
    elif sum(leg.amount_out for path in paths for _, leg in path[-1]) != plan.amount_out:
        raise ChainError("the plan's legs do not yield its output", code="plan_unsupported")


def _parallel(mode: SwapMode, legs: _Legs, total: int) -> dict[int, LegSwap]:
    """The legs with their shares of `total`, by their numbers."""
    exact_in = mode is SwapMode.EXACT_IN
    quoted = [leg.amount_out if exact_in else leg.amount_in for _, leg in legs]
    whole, before, given = sum(quoted), 0, 0
    if whole <= 0:
        raise ChainError("the plan's legs can't meet its bound", code="plan_unsupported")
    swaps = {}
    for (number, leg), amount in zip(legs, quoted, strict=True):
        before += amount
        # Cumulative shares, rounded down: they sum to `total`, and none exceeds its quote while total <= whole.
        share = total * before // whole - given
        given += share
        fixed = leg.amount_in if exact_in else leg.amount_out
        swaps[number] = LegSwap(leg, Swap(leg.input_mint, mode, fixed), share)
    return swaps


def _swap_instruction(each: LegSwap, snapshot: Snapshot, wallet: Pubkey, account: Mapping[Mint, Pubkey]) -> Instruction:
    leg = each.leg
    pool = snapshot.pools.get(leg.pool)
    if pool is None:
        raise ChainError(f"pool {leg.pool} is not in the market any more", code="pool_gone")
    accounts = SwapAccounts(wallet, account[leg.input_mint], account[leg.output_mint], ROUTE_ARRAYS)
    try:
        return venue_for(pool).instruction(pool, each.swap, each.limit, accounts, snapshot.clock)
    except QuoteRefused as error:
        raise SimulationFailed(error.message, reason=RevertReason.POOL_REFUSED) from error
