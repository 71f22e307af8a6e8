"""Made-up AMM v4 pools for the tests: a decoded snapshot of ours with other numbers in it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from tests.venues.raydium_data import pool_accounts

from fillwright.domain.accounts import ChainClock
from fillwright.venues.raydium_amm_v4 import VENUE
from fillwright.venues.raydium_amm_v4.layout import AmmV4Pool
from fillwright.venues.vectors import pool_in

CLOCK = ChainClock(slot=440_000_000, epoch=1_018, unix_timestamp=1_786_000_000)
U64_MAX = 2**64 - 1


def snapshot(name: str = "SYN_SOL-6_fee25") -> AmmV4Pool:
    """One of our snapshots, decoded."""
    accounts = pool_accounts(f"raydium_amm_v4/{name}")
    return VENUE.decode(pool_in(accounts)[1], accounts)


def pool_with(**changes: Any) -> AmmV4Pool:
    """A plain pool of 10^12 to 2·10^12 with a fee of 25 in 10,000 and nothing set aside, changed."""
    plain = msgspec.structs.replace(snapshot(), balances=(10**12, 2 * 10**12), need_take_pnl=(0, 0))
    return msgspec.structs.replace(plain, **changes)


reserves = st.one_of(st.integers(1, 10**4), st.integers(1, 10**13), st.integers(1, 2**62))
fees = st.sampled_from([(25, 10_000), (5, 10_000), (100, 10_000), (0, 10_000), (1, 1_000), (9_999, 10_000), (1, 3)])


@st.composite
def pools(draw: st.DrawFn) -> AmmV4Pool:
    """Any open pool, with profit set aside in its vaults."""
    balances = (draw(reserves), draw(reserves))
    numerator, denominator = draw(fees)
    return pool_with(
        balances=balances,
        need_take_pnl=(balances[0] // draw(st.integers(2, 1_000)), balances[1] // draw(st.integers(2, 1_000))),
        fee_numerator=numerator,
        fee_denominator=denominator,
        status=draw(st.sampled_from([6, 7])),
    )


amounts = st.one_of(st.integers(1, 10**4), st.integers(1, 10**13), st.integers(1, U64_MAX))
sides = st.sampled_from([0, 1])
