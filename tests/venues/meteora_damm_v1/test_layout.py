"""Decoding: snapshots, companions, refusals, and bytes that are no pool at all."""

from __future__ import annotations

import random

import pytest
from tests.venues.meteora_damm_v1.pools import CLOCK, OWN_POOLS, THIRD_PARTY_POOL, accounts_of, exact_in, snapshot

from fillwright.domain.accounts import Account, Accounts, Address
from fillwright.domain.errors import PoolRefused, QuoteRefused, Refusal
from fillwright.venues.meteora_damm_v1 import VENUE
from fillwright.venues.meteora_damm_v1.layout import VAULT_PROGRAM_ID, DammV1Pool, DepegKind
from fillwright.venues.token_program import TOKEN_2022_PROGRAM
from fillwright.venues.vectors import pool_in

_STABLE = OWN_POOLS[1]


def _patched(name: str, address: Address, edits: dict[int, int]) -> dict[Address, Account]:
    accounts = dict(accounts_of(name))
    data = bytearray(accounts[address].data)
    for offset, value in edits.items():
        data[offset] = value
    accounts[address] = Account(accounts[address].owner, bytes(data))
    return accounts


def _refusal(address: Address, accounts: Accounts) -> Refusal:
    with pytest.raises(PoolRefused) as refused:
        VENUE.decode(address, accounts)
    return refused.value.reason


def test_a_constant_product_pool_is_decoded() -> None:
    pool = snapshot(OWN_POOLS[0])
    assert pool.venue == "meteora_damm_v1"
    assert pool.stable is None
    assert pool.enabled
    assert pool.decimals == (9, 6)


def test_a_stable_pool_is_decoded() -> None:
    stable = snapshot("SYN_stable_6-9").stable
    assert stable is not None
    assert (stable.amp, stable.multipliers, stable.depeg) == (1_000, (1_000, 1), None)


def test_a_depeg_pool_reads_its_stake_account() -> None:
    pool = snapshot(THIRD_PARTY_POOL)
    assert pool.stable is not None
    depeg = pool.stable.depeg
    assert depeg is not None
    assert depeg.kind is DepegKind.MARINADE
    assert depeg.fresh_price is not None
    assert abs(depeg.fresh_price - depeg.virtual_price) < 1_000


@pytest.mark.parametrize("name", OWN_POOLS)
def test_companions_lead_from_the_pool_to_everything_that_decode_reads(name: str) -> None:
    accounts = accounts_of(name)
    address = pool_in(accounts)[1]
    known = {address: accounts[address]}
    for _ in range(3):
        known |= {found: accounts[found] for found in VENUE.companions(address, known)}
    assert VENUE.decode(address, known) == snapshot(name)
    assert set(VENUE.companions(address, known)) <= set(known)
    for absent in set(known) - {address}:
        assert _refusal(address, {key: value for key, value in known.items() if key != absent}) is (
            Refusal.MISSING_ACCOUNT
        )


def test_an_unknown_address_has_no_companions() -> None:
    assert VENUE.companions(Address("8szGkuLTAux9XMgZ2vtY39jVSowEcpBfFfD8hXSEqdGC"), {}) == ()


def test_a_depeg_pool_without_its_stake_account_quotes_until_its_price_is_stale() -> None:
    accounts = dict(accounts_of(THIRD_PARTY_POOL))
    address = pool_in(accounts)[1]
    stable = snapshot(THIRD_PARTY_POOL).stable
    assert stable is not None
    assert stable.depeg is not None
    assert stable.depeg.stake_account in VENUE.companions(address, accounts)
    del accounts[stable.depeg.stake_account]
    without = VENUE.decode(address, accounts).stable
    assert without is not None
    assert without.depeg is not None
    assert without.depeg.fresh_price is None


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        ({874: 2}, Refusal.UNSUPPORTED_FEATURE),
        ({916: 4}, Refusal.UNSUPPORTED_FEATURE),
        ({475: 2}, Refusal.UNSUPPORTED_FEATURE),
        ({233: 2}, Refusal.MALFORMED),
        ({0: 0}, Refusal.MALFORMED),
        ({40: 1}, Refusal.MISSING_ACCOUNT),
        ({104: 1}, Refusal.MISSING_ACCOUNT),
    ],
)
def test_a_pool_that_the_maths_does_not_cover_is_refused(edits: dict[int, int], reason: Refusal) -> None:
    address = snapshot(_STABLE).address
    assert _refusal(address, _patched(_STABLE, address, edits)) is reason


def test_a_vault_of_another_token_is_refused() -> None:
    pool = snapshot(_STABLE)
    accounts = _patched(_STABLE, pool.vaults[0].address, {83: 1})
    assert _refusal(pool.address, accounts) is Refusal.MALFORMED


def test_a_mint_of_token_2022_is_refused() -> None:
    pool = snapshot(_STABLE)
    accounts = dict(accounts_of(_STABLE))
    mint = Address(pool.mints[0])
    accounts[mint] = Account(TOKEN_2022_PROGRAM, accounts[mint].data)
    assert _refusal(pool.address, accounts) is Refusal.UNSUPPORTED_FEATURE


def test_only_the_pool_program_s_pools_are_recognised() -> None:
    account = accounts_of(_STABLE)[snapshot(_STABLE).address]
    assert VENUE.recognises(account)
    assert not VENUE.recognises(Account(VAULT_PROGRAM_ID, account.data))
    assert not VENUE.recognises(Account(account.owner, account.data[:924]))
    assert not VENUE.recognises(Account(account.owner, b"\1" + account.data[1:]))
    assert not VENUE.recognises(Account(account.owner, b""))


def test_random_and_truncated_bytes_never_crash() -> None:
    draw = random.Random(20260101)
    for name in OWN_POOLS:
        original = accounts_of(name)
        pool = snapshot(name)
        for _ in range(300):
            accounts = dict(original)
            for _ in range(draw.randint(1, 3)):
                victim = draw.choice(sorted(accounts))
                data = bytearray(accounts[victim].data)
                match draw.randrange(3):
                    case 0:
                        data = data[: draw.randrange(len(data) + 1)]
                    case 1:
                        for _ in range(draw.randint(1, 40)):
                            if data:
                                data[draw.randrange(len(data))] = draw.randrange(256)
                    case _:
                        data = bytearray(draw.randbytes(draw.randrange(1_400)))
                accounts[victim] = Account(accounts[victim].owner, bytes(data))
            try:
                decoded = VENUE.decode(pool.address, accounts)
            except PoolRefused:
                continue
            _survives(decoded)


def _survives(pool: DammV1Pool) -> None:
    for given in (0, 1):
        for amount in (1, 10**6, 10**18):
            try:
                expected = VENUE.quote(pool, exact_in(pool, given, amount), CLOCK).amount_out
            except QuoteRefused:
                with pytest.raises(QuoteRefused):
                    VENUE.quoter(pool, pool.mints[given], CLOCK)(amount)
            else:
                assert VENUE.quoter(pool, pool.mints[given], CLOCK)(amount) == expected
