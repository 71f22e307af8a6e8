"""Made-up CPMM pools for the tests: a decoded snapshot of ours with other numbers in it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from tests.venues.raydium_data import pool_accounts

from fillwright.domain.accounts import ChainClock
from fillwright.venues.raydium_cpmm import VENUE
from fillwright.venues.raydium_cpmm.layout import CpmmPool
from fillwright.venues.token_program import TransferFee
from fillwright.venues.vectors import pool_in

CLOCK = ChainClock(slot=430_000_100, epoch=995, unix_timestamp=1_780_000_040)
U64_MAX = 2**64 - 1


def snapshot(name: str = "FRESH_SOL-SPL") -> CpmmPool:
    """One of our snapshots, decoded."""
    accounts = pool_accounts(f"raydium_cpmm/{name}")
    return VENUE.decode(pool_in(accounts)[1], accounts)


def pool_with(**changes: Any) -> CpmmPool:
    """A plain pool of 10^12 to 2·10^12 with a fee of 0.25 %, changed."""
    plain = msgspec.structs.replace(snapshot(), balances=(10**12, 2 * 10**12))
    return msgspec.structs.replace(plain, **changes)


def with_transfer_fees(pool: CpmmPool, *fees: TransferFee) -> CpmmPool:
    """`pool` whose mints charge these transfer fees in every epoch."""
    infos = tuple(
        msgspec.structs.replace(info, older=fee, newer=fee) for info, fee in zip(pool.mint_infos, fees, strict=True)
    )
    return msgspec.structs.replace(pool, mint_infos=infos)


reserves = st.one_of(st.integers(1, 10**4), st.integers(1, 10**13), st.integers(1, 2**62))
transfer_fees = st.builds(
    TransferFee,
    epoch=st.just(0),
    maximum=st.sampled_from([0, 1, 777, 10**6, 10**12, U64_MAX]),
    bps=st.sampled_from([0, 0, 1, 100, 300, 5_000, 9_999, 10_000]),
)


@st.composite
def pools(draw: st.DrawFn, *, fee_free_transfers: bool = False) -> CpmmPool:
    """Any pool that a config of the program allows, with accrued fees in its vaults."""
    balances = (draw(reserves), draw(reserves))
    protocol = draw(st.sampled_from([0, 120_000, 500_000]))
    pool = pool_with(
        balances=balances,
        protocol_fees=(balances[0] // draw(st.integers(2, 1_000)), 0),
        fund_fees=(0, balances[1] // draw(st.integers(2, 1_000))),
        creator_fees=(balances[0] // 7, balances[1] // 9),
        trade_fee_rate=draw(st.sampled_from([1, 100, 2_500, 10_000, 40_000, 900_000])),
        protocol_fee_rate=protocol,
        fund_fee_rate=draw(st.sampled_from([0, 40_000, 500_000])),
        creator_fee_rate=draw(st.sampled_from([0, 500, 10_000, 90_000])),
        creator_fee_on=draw(st.sampled_from([0, 1, 2])),
    )
    if fee_free_transfers:
        return pool
    return with_transfer_fees(pool, draw(transfer_fees), draw(transfer_fees))


amounts = st.one_of(st.integers(1, 10**4), st.integers(1, 10**13), st.integers(1, U64_MAX))
sides = st.sampled_from([0, 1])
