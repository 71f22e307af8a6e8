"""Random pools and swaps, executed by the real program: amounts, failures and next states are equal.

Left out are cases that a real chain can't reach or that the older bytecode decides otherwise: a balance
beyond a mint's possible supply, and fees or inputs below half a unit (dust rounding of before 2025-08).
"""

import random

import pytest
from tests.venues.raydium_amm_v4.pools import CLOCK
from tests.venues.raydium_data import pool_accounts, put, u64
from tests.venues.raydium_programs import Program, compare, needs_program

from fillwright.domain.accounts import Account, Accounts, Address
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.raydium_amm_v4 import VENUE, RaydiumAmmV4, SwapForm
from fillwright.venues.raydium_amm_v4.layout import AmmV4Pool
from fillwright.venues.raydium_amm_v4.quote import direction
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap

POOLS = 150
SMALLEST = 2_000
"""Amounts below it are drawn often."""


@needs_program(VENUE.program_id)
@pytest.mark.parametrize("form", [SwapForm.MARKET, SwapForm.TARGET_ORDERS])
def test_random_swaps_come_out_as_the_program_executes_them(form: SwapForm) -> None:
    draw = random.Random(form)
    program = Program(RaydiumAmmV4(form))
    for _ in range(POOLS):
        name = draw.choice(["SYN_SOL-6_fee25", "SYN_6-6_fee5", "SYN_6-SOL_fee100"])
        accounts = made_up(draw, pool_accounts(f"raydium_amm_v4/{name}"))
        compare(program, VENUE, accounts, CLOCK, draw, smallest=SMALLEST, is_dust=is_dust)


def is_dust(pool: AmmV4Pool, swap: Swap) -> bool:
    """Whether the fee, or the input that the curve asks for, is less than half a unit."""
    try:
        way = direction(pool, swap.input_mint, CLOCK)
    except QuoteRefused:
        return False
    if swap.mode is SwapMode.EXACT_IN:
        return 2 * swap.amount * way.fee_numerator < way.fee_denominator
    left = way.reserve_out - swap.amount
    return left > 0 and 2 * way.reserve_in * swap.amount < left


def made_up(draw: random.Random, snapshot: Accounts) -> dict[Address, Account]:
    """The snapshot with other balances, profit set aside, fee, status and open time."""
    accounts = dict(snapshot)
    address = pool_in(accounts)[1]
    pool = VENUE.decode(address, accounts)
    balances = [int(2 ** draw.uniform(0, 62)) for _ in range(2)]
    for vault, balance in zip(pool.vaults, balances, strict=True):
        put(accounts, vault, 64, u64(balance))
    for offset, balance in zip((192, 200), balances, strict=True):
        put(accounts, address, offset, u64(draw.choice([0, 0, balance // 10, balance // 2, balance, balance + 1])))
    put(accounts, address, 0, u64(draw.choice([6, 6, 6, 6, 7, 7, 2, 3, 4])))
    put(accounts, address, 224, u64(CLOCK.unix_timestamp + draw.choice([-1, -1, 0, 1])))
    fee = draw.choice([(25, 10_000), (5, 10_000), (0, 10_000), (1, 1_000), (9_999, 10_000), (10_000, 10_000), (0, 0)])
    put(accounts, address, 176, u64(fee[0]) + u64(fee[1]))
    return accounts
