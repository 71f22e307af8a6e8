"""Guards: tokens whose issuer can take, freeze or tax them are refused; so are prices that nobody else offers."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.venues.raydium_data import pool_accounts

from fillwright.domain.accounts import Account, Address, ChainClock, Mint
from fillwright.market.drift import DriftPolicy, DriftSentinel
from fillwright.market.guards import GuardPolicy, MintVerdict, PriceGuard, TokenGuard, judge_mint, judge_price, median
from fillwright.market.snapshot import Snapshot, index_pairs
from fillwright.venues.raydium_cpmm import VENUE
from fillwright.venues.raydium_cpmm.layout import CpmmPool
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from fillwright.venues.vectors import pool_in

MINT = Mint("mint")
POLICY = GuardPolicy()
CLOCK = ChainClock(430_000_100, 995, 1_780_000_040)


def mint_account(*extensions: tuple[int, bytes], mint_authority: bool = False, freeze: bool = False) -> Account:
    data = int(mint_authority).to_bytes(4, "little") + bytes(32) + (1).to_bytes(8, "little") + bytes([6, 1])
    data += int(freeze).to_bytes(4, "little") + bytes(32)
    if not extensions:
        return Account(TOKEN_PROGRAM, data)
    data += bytes(165 - 82) + b"\x01"
    for kind, value in extensions:
        data += kind.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value
    return Account(TOKEN_2022_PROGRAM, data)


def transfer_fee(older_bps: int, newer_bps: int) -> tuple[int, bytes]:
    fees = b"".join(
        epoch.to_bytes(8, "little") + (2**64 - 1).to_bytes(8, "little") + bps.to_bytes(2, "little")
        for epoch, bps in ((0, older_bps), (2_000, newer_bps))
    )
    return 1, bytes(72) + fees


SOMEONE = bytes([5]) * 32

REFUSED = {
    "permanent delegate": [(12, SOMEONE)],
    "transfer hook": [(14, bytes(32) + SOMEONE)],
    "pausable": [(26, SOMEONE + b"\x00")],
    "default frozen": [(6, b"\x02")],
    "non-transferable": [(9, b"")],
    "a fee above the cap": [transfer_fee(101, 0)],
    "a fee that is about to rise": [transfer_fee(0, 101)],
    "an extension that nobody knows": [(4_242, b"")],
    "a harmless one beside a dangerous one": [(18, bytes(64)), (12, SOMEONE)],
}
ALLOWED = {
    "plain": [],
    "metadata": [(18, bytes(64)), (19, bytes(80))],
    "a small fee": [transfer_fee(100, 100)],
    "default initialised": [(6, b"\x01")],
    "a permanent delegate that is nobody": [(12, bytes(32))],
    "a hook that is nobody's": [(14, bytes(64))],
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_dangerous_token_is_refused_unless_it_is_trusted(name: str) -> None:
    account = mint_account(*REFUSED[name])
    assert judge_mint(MINT, account, 1_000, POLICY).refusal
    trusted = judge_mint(MINT, account, 1_000, GuardPolicy(trusted=(MINT,)))
    assert trusted.refusal == ""
    assert trusted.warnings


@pytest.mark.parametrize("name", ALLOWED)
def test_a_harmless_token_passes(name: str) -> None:
    assert judge_mint(MINT, mint_account(*ALLOWED[name]), 1_000, POLICY).refusal == ""


def test_authorities_are_flagged_or_refused() -> None:
    account = mint_account(mint_authority=True, freeze=True)
    verdict = judge_mint(MINT, account, 1_000, POLICY)
    assert verdict.refusal == ""
    assert len(verdict.warnings) == 2
    strict = GuardPolicy(refuse_freeze_authority=True, refuse_mint_authority=True)
    assert judge_mint(MINT, account, 1_000, strict).refusal
    assert judge_mint(MINT, mint_account(), 1_000, strict) == judge_mint(MINT, mint_account(), 1_000, POLICY)


@given(st.binary(max_size=400), st.sampled_from([TOKEN_PROGRAM, TOKEN_2022_PROGRAM, Address("other")]))
def test_meaningless_mints_are_refused_not_crashed_on(data: bytes, owner: Address) -> None:
    verdict = judge_mint(MINT, Account(owner, data), 1_000, POLICY)
    assert verdict.refusal or data[45] == 1


def test_a_missing_mint_is_refused() -> None:
    assert judge_mint(MINT, None, 0, POLICY).refusal


def test_a_pool_is_refused_for_either_of_its_mints() -> None:
    pool = base_pool()
    accounts: dict[Address, Account | None] = {Address(mint): mint_account() for mint in pool.mints}
    guard = TokenGuard(POLICY)
    assert guard(pool, accounts, 1_000) == MintVerdict("")
    for mint in pool.mints:
        assert mint in guard(pool, {**accounts, Address(mint): mint_account((12, SOMEONE))}, 1_000).refusal


def test_a_fee_that_has_been_lowered_is_not_held_against_a_token() -> None:
    pool = base_pool()
    accounts: dict[Address, Account | None] = {
        Address(mint): mint_account(transfer_fee(500, 50)) for mint in pool.mints
    }
    guard = TokenGuard(POLICY)
    assert "500 bps" in guard(pool, accounts, 1_999).refusal
    assert guard(pool, accounts, 2_000).refusal == ""


def base_pool() -> CpmmPool:
    accounts = pool_accounts("raydium_cpmm/FRESH_SOL-SPL")
    return VENUE.decode(pool_in(accounts)[1], accounts)


def with_price(pool: CpmmPool, name: str, ppm: int) -> CpmmPool:
    first, second = pool.balances
    return msgspec.structs.replace(pool, address=Address(name), balances=(first, second * ppm // 1_000_000))


def market(*pools: CpmmPool) -> Snapshot:
    return Snapshot(CLOCK, {pool.address: pool for pool in pools}, index_pairs(pools))


def test_a_price_far_from_the_other_pools_median_is_refused() -> None:
    base = base_pool()
    pools = [with_price(base, name, ppm) for name, ppm in (("a", 1_000_000), ("b", 1_010_000), ("c", 990_000))]
    liar = with_price(base, "d", 1_100_000)
    snapshot = market(*pools, liar)
    for mint in base.mints:
        assert "median" in judge_price(snapshot, liar, mint, POLICY)
        assert all(judge_price(snapshot, pool, mint, POLICY) == "" for pool in pools)
    assert judge_price(market(liar), liar, base.mints[0], POLICY) == ""


def test_the_guard_of_a_market_refuses_what_is_far_off_until_it_comes_back() -> None:
    base = base_pool()
    pools = {name: with_price(base, name, ppm) for name, ppm in (("a", 1_000_000), ("b", 1_010_000), ("c", 990_000))}
    off, back = with_price(base, "d", 1_100_000), with_price(base, "d", 1_005_000)
    guard = PriceGuard(POLICY)

    def refused(*others: CpmmPool) -> set[str]:
        market = {pool.address: pool for pool in (*pools.values(), *others)}
        found = guard.refused(CLOCK, market)
        assert all("median" in why for why in found.values())
        return set(found)

    assert refused() == set()
    assert refused(off) == refused(off) == {"d"}
    assert refused(back) == set()
    assert refused(off) == {"d"}
    assert refused() == set()
    assert guard.refused(CLOCK, {Address("d"): off}) == {}


def test_a_pool_that_can_not_take_the_minimum_depth_is_refused() -> None:
    pool = base_pool()
    mint = pool.mints[0]
    snapshot = market(pool)
    for depth, refused in ((1_000, False), (pool.balances[0] * 10, True), (2**64 - 1, True)):
        assert bool(judge_price(snapshot, pool, mint, GuardPolicy(min_depth={mint: depth}))) is refused


@given(st.lists(st.fractions(min_value=Fraction(1, 10**9)), min_size=1, max_size=9))
def test_the_median_lies_in_the_middle(prices: list[Fraction]) -> None:
    middle = median(prices)
    assert sum(price <= middle for price in prices) * 2 >= len(prices)
    assert sum(price >= middle for price in prices) * 2 >= len(prices)


def test_a_pool_is_quarantined_only_when_it_keeps_disagreeing() -> None:
    sentinel = DriftSentinel(DriftPolicy(tolerance_ppm=100, strikes=3, window=4))
    pool = Address("pool")

    def observe(actual: int) -> bool:
        return sentinel.observe(pool, predicted=1_000_000, actual=actual, source="chain") is not None

    assert [observe(actual) for actual in (1_000_100, 999_900, 1_000_101, 999_899, 1_000_000, 1_000_000)] == [False] * 6
    assert not sentinel.quarantined
    assert [observe(0) for _ in range(3)] == [False, False, True]
    assert sentinel.quarantined[pool].detail == "chain gave 0 where 1000000 was predicted"
    assert not observe(0)
    assert sentinel.release(pool)
    assert not sentinel.release(pool)
    assert not observe(0)
