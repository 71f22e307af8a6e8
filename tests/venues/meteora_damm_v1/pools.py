"""Pools for the tests: snapshots of ours and of third parties, and made-up ones.

Third-party snapshots are read from `../shared/onchain` or below FILLWRIGHT_SHARED; their tests are skipped
where that is absent.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from fillwright.domain.accounts import Account, Address, ChainClock
from fillwright.domain.amounts import SwapMode
from fillwright.market import dumps
from fillwright.venues.meteora_damm_v1 import VENUE
from fillwright.venues.meteora_damm_v1.layout import DammV1Pool, Depeg, DepegKind, Fees, Stable, Vault
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap

_ROOT = Path(__file__).parents[3]
OWN = _ROOT / "tests" / "data" / "onchain"
SHARED = Path(os.environ.get("FILLWRIGHT_SHARED", _ROOT.parent / "shared")) / "onchain"
OWN_POOLS = ("SYN_CP_locked-profit", "SYN_stable_6-6", "SYN_stable_6-9")
THIRD_PARTY_POOL = "mSOL-SOL_HcjZvf"

CLOCK = ChainClock(slot=430_500_100, epoch=996, unix_timestamp=1_782_500_040)
U64_MAX = 2**64 - 1


@cache
def accounts_of(name: str) -> dict[Address, Account]:
    """The accounts of a snapshot; skips the test where it is not at hand."""
    for root in (OWN, SHARED):
        folder = root / "pools" / "meteora_damm_v1" / name
        if folder.is_dir():
            return dumps.read_folder(folder)
    pytest.skip(f"the snapshot {name} is neither in tests/data nor below FILLWRIGHT_SHARED")


@cache
def snapshot(name: str = OWN_POOLS[0]) -> DammV1Pool:
    """A snapshot, decoded."""
    accounts = accounts_of(name)
    return VENUE.decode(pool_in(accounts)[1], accounts)


def exact_in(pool: DammV1Pool, given: int, amount: int) -> Swap:
    return Swap(pool.mints[given], SwapMode.EXACT_IN, amount)


def pool_with(**changes: Any) -> DammV1Pool:
    """A constant product pool of 10^12 to 2·10^12 in vaults without locked profit, changed."""
    pool = snapshot()
    vaults = tuple(
        replace(vault, total_amount=total, reserve=total, lp_supply=total, locked_profit=0)
        for vault, total in zip(pool.vaults, (10**13, 3 * 10**13), strict=True)
    )
    plain = replace(
        pool, vaults=vaults, lp_amounts=(10**12, 2 * 10**12), fees=Fees(2_500, 10**6, 200_000, 10**6), stable=None
    )
    return replace(plain, **changes)


@st.composite
def vaults(draw: st.DrawFn, template: Vault) -> tuple[Vault, int]:
    """A vault with a share price mostly around 1 and maybe locked profit, and the pool's share of it."""
    supply = draw(st.one_of(st.integers(1, 10**4), st.integers(10**6, 10**13), st.integers(1, 2**61)))
    price = draw(st.one_of(st.just(1_000), st.integers(700, 2_500), st.sampled_from([50_000, 10**8])))
    total = min(max(1, supply * price // 1_000), 2**63)
    locked = draw(st.sampled_from([0, total // 1_000, total // 2]))
    vault = replace(
        template,
        total_amount=total,
        lp_supply=supply,
        reserve=draw(st.sampled_from([total, total // 2, total // 100])),
        locked_profit=locked,
        last_report=CLOCK.unix_timestamp - draw(st.sampled_from([0, 1, 3_600, 21_600, 10**6])),
        degradation=draw(st.sampled_from([0, 46_296_296, 10**12])),
    )
    return vault, draw(st.integers(0, supply)) if draw(st.booleans()) else supply


@st.composite
def depegs(draw: st.DrawFn) -> Depeg:
    return Depeg(
        kind=draw(st.sampled_from(list(DepegKind))),
        stake_account=Address("8szGkuLTAux9XMgZ2vtY39jVSowEcpBfFfD8hXSEqdGC"),
        virtual_price=draw(st.sampled_from([10**6, 1_198_000, 1_300_001])),
        cached_at=CLOCK.unix_timestamp - draw(st.sampled_from([0, 600, 601])),
        fresh_price=draw(st.sampled_from([10**6, 1_198_765, None])),
    )


@st.composite
def stables(draw: st.DrawFn) -> Stable:
    return Stable(
        amp=draw(st.sampled_from([1, 2, 10, 100, 1_000, 10_000])),
        multipliers=draw(st.sampled_from([(1, 1), (1_000, 1), (1, 1_000)])),
        depeg=draw(st.one_of(st.none(), depegs())),
    )


@st.composite
def pools(draw: st.DrawFn) -> DammV1Pool:
    """Any pool that the program could hold, shallow and deep, balanced or not."""
    pool = snapshot()
    (vault_a, lp_a), (vault_b, lp_b) = (draw(vaults(vault)) for vault in pool.vaults)
    return replace(
        pool,
        vaults=(vault_a, vault_b),
        lp_amounts=(lp_a, lp_b),
        fees=Fees(
            draw(st.sampled_from([0, 10, 2_500, 10_000, 150_000])),
            10**6,
            draw(st.sampled_from([0, 200_000, 999_999])),
            10**6,
        ),
        partner_fee_numerator=draw(st.sampled_from([0, 0, 50_000, 100_000])),
        partner_pending=(draw(st.sampled_from([0, U64_MAX - 1_000])), 0),
        stable=draw(st.one_of(st.none(), stables())),
    )


amounts = st.one_of(st.integers(1, 10**4), st.integers(1, 10**13), st.integers(1, U64_MAX))
sides = st.sampled_from([0, 1])
