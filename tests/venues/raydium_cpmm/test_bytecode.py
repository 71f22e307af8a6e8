"""Random pools and swaps, executed by the real program: amounts, failures and next states are equal.

Left out are cases that a real chain can't reach or that the older bytecode decides otherwise: a balance
beyond a mint's possible supply, a creator fee, and inputs below half a unit (dust rounding of before 2025-08).
"""

import random

import pytest
from tests.venues.raydium_cpmm.pools import CLOCK, U64_MAX
from tests.venues.raydium_data import pool_accounts, put, u64
from tests.venues.raydium_programs import Program, compare, needs_program

from fillwright.domain.accounts import Account, Accounts, Address
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.raydium_cpmm import VENUE
from fillwright.venues.raydium_cpmm.layout import CpmmPool
from fillwright.venues.raydium_cpmm.quote import direction
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap

POOLS = 150
SMALLEST = 200
"""Amounts below it are drawn often."""


@needs_program(VENUE.program_id)
@pytest.mark.parametrize("name", ["FRESH_SOL-SPL", "FRESH_T22FEE-SOL"])
def test_random_swaps_come_out_as_the_program_executes_them(name: str) -> None:
    draw = random.Random(name)
    program = Program(VENUE)
    for _ in range(POOLS):
        accounts = made_up(draw, pool_accounts(f"raydium_cpmm/{name}"))
        compare(program, VENUE, accounts, CLOCK, draw, smallest=SMALLEST, is_dust=is_dust)


def is_dust(pool: CpmmPool, swap: Swap) -> bool:
    """Whether the curve asks for less than half a unit of input."""
    try:
        way = direction(pool, swap.input_mint, CLOCK)
        out = way.fee_out.gross(swap.amount)
    except QuoteRefused:
        return False
    return (
        swap.mode is SwapMode.EXACT_OUT and out < way.reserve_out and 2 * way.reserve_in * out < way.reserve_out - out
    )


def made_up(draw: random.Random, snapshot: Accounts) -> dict[Address, Account]:
    """The snapshot with other balances, accrued fees, rates, status, open time and transfer fees."""
    accounts = dict(snapshot)
    address = pool_in(accounts)[1]
    pool = VENUE.decode(address, accounts)
    balances = [int(2 ** draw.uniform(0, 62)) for _ in range(2)]
    for vault, balance in zip(pool.vaults, balances, strict=True):
        put(accounts, vault, 64, u64(balance))
    for offset, side in ((341, 0), (349, 1), (357, 0), (365, 1)):
        put(accounts, address, offset, u64(draw.choice([0, balances[side] // 10, balances[side] // 2])))
    put(accounts, address, 329, bytes([draw.choice([0] * 8 + [3, 4])]))
    put(accounts, address, 373, u64(CLOCK.unix_timestamp + draw.choice([-1, -1, -1, 0, 1])))
    put(accounts, pool.config, 12, u64(draw.choice([1, 100, 2_500, 10_000, 999_999, 1_000_000])))
    put(accounts, pool.config, 20, u64(draw.choice([0, 120_000, 960_000])) + u64(draw.choice([0, 40_000])))
    fees = b"".join(transfer_fee(draw, CLOCK.epoch + when) for when in (-1, draw.choice([-1, 0, 1])))
    if len(accounts[Address(pool.mints[1])].data) > 82:
        put(accounts, Address(pool.mints[1]), 242, fees)
    return accounts


def transfer_fee(draw: random.Random, epoch: int) -> bytes:
    bps = draw.choice([0, 1, 100, 500, 5_000, 9_000, 10_000])
    return u64(epoch) + u64(draw.choice([0, 1, 777, 10**6, 10**12, U64_MAX])) + bps.to_bytes(2, "little")
