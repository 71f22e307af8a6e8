"""The suite that every venue passes: the protocol's promises and the laws of exchange, over its own snapshots.

What a venue computes is proven against the program by its vectors; this is what must hold whatever it computes.
"""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from tests.venues.conformance import REAL_VENUES, Sample, named_accounts, samples

from fillwright.domain.accounts import Account, Accounts
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import PoolRefused, QuoteRefused
from fillwright.venues.registry import venue_of
from fillwright.venues.token_program import pubkey_at
from fillwright.venues.venue import Swap, SwapAccounts

SAMPLES = samples()
BY_NAME = {f"{sample.name} {sample.address[:8]}": sample for sample in SAMPLES}
every_pool = pytest.mark.parametrize("sample", BY_NAME.values(), ids=BY_NAME)
sides = st.integers(0, 1)
amounts = st.one_of(st.floats(0, 19.2).map(lambda exponent: max(1, int(10**exponent))), st.integers(1, 10**6))
modes = st.sampled_from(SwapMode)
DUST = 2
"""Units of output."""


@pytest.mark.parametrize("venue", REAL_VENUES, ids=lambda venue: venue.id)
def test_a_venue_has_a_pool_that_trades_both_ways(venue: object) -> None:
    def trades(sample: Sample) -> bool:
        return all(any(sample.quote(mint, 10**digits) for digits in range(12)) for mint in sample.pool.mints)

    assert any(trades(sample) for sample in SAMPLES if sample.venue is venue)


@every_pool
def test_a_pool_is_recognised_by_its_own_venue_only(sample: Sample) -> None:
    assert venue_of(sample.accounts[sample.address]) is sample.venue
    for venue in REAL_VENUES:
        if venue is not sample.venue and venue.program_id != sample.venue.program_id:
            assert venue_of(Account(venue.program_id, sample.accounts[sample.address].data)) is not sample.venue


@every_pool
def test_a_pool_written_as_json_is_read_back_equal(sample: Sample) -> None:
    pool = sample.pool
    assert type(pool) is sample.venue.pool_type
    assert msgspec.json.decode(msgspec.json.encode(pool), type=sample.venue.pool_type) == pool


@every_pool
def test_a_pool_account_is_of_the_shape_that_its_venue_states(sample: Sample) -> None:
    shape, data = sample.venue.pool_shape, sample.accounts[sample.address].data
    assert len(data) == shape.size_bytes
    assert tuple(pubkey_at(data, at) for at in shape.mints_at) == sample.pool.mints


@every_pool
def test_a_pool_decodes_from_the_accounts_that_its_venue_names(sample: Sample) -> None:
    named = named_accounts(sample.venue, sample.address, sample.accounts)
    decoded = sample.venue.decode(sample.address, named)
    assert (decoded.venue, decoded.address) == (sample.venue.id, sample.address)
    assert (decoded.mints, decoded.decimals) == (sample.pool.mints, sample.pool.decimals)
    assert len(set(decoded.mints)) == 2
    for mint in decoded.mints:
        for amount in (10**digits for digits in range(19)):
            quote = sample.quote(mint, amount, pool=decoded)
            assert quote in (None, sample.quote(mint, amount))


@every_pool
def test_a_pool_without_one_of_its_accounts_is_refused_or_priced(sample: Sample) -> None:
    named = named_accounts(sample.venue, sample.address, sample.accounts)
    for missing in named:
        rest = {address: account for address, account in named.items() if address != missing}
        try:
            pool = sample.venue.decode(sample.address, rest)
        except PoolRefused:
            continue
        assert missing != sample.address
        for mint in pool.mints:
            sample.quote(mint, 10**6, pool=pool)


@every_pool
@given(data=st.data())
def test_damaged_bytes_are_refused_or_priced_but_never_crash(sample: Sample, data: st.DataObject) -> None:
    address = data.draw(st.sampled_from(sorted(sample.accounts)))
    account = sample.accounts[address]
    assume(account.data)
    damaged = bytearray(account.data)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    accounts = {**sample.accounts, address: Account(account.owner, bytes(damaged[:cut]))}
    try:
        pool = sample.venue.decode(sample.address, accounts)
    except PoolRefused:
        return
    for mint in pool.mints:
        sample.quote(mint, data.draw(amounts), pool=pool)
        try:
            sample.venue.spot(pool, mint, sample.clock)
        except QuoteRefused:
            continue


@every_pool
@given(data=st.data())
def test_random_bytes_are_refused_or_priced_but_never_crash(sample: Sample, data: st.DataObject) -> None:
    address = data.draw(st.sampled_from(sorted(sample.accounts)))
    account = sample.accounts[address]
    kept = data.draw(st.sampled_from((0, 8, 16)))
    seed = data.draw(st.integers(0, 2**32))
    drawn = account.data[:kept] + Random(seed).randbytes(max(len(account.data) - kept, 0))
    size = data.draw(st.just(len(drawn)) | st.integers(0, len(drawn) + 64))
    accounts = {**sample.accounts, address: Account(account.owner, drawn[:size].ljust(size, b"\0"))}
    assert all(isinstance(named, str) for named in _companions(sample, accounts))
    try:
        pool = sample.venue.decode(sample.address, accounts)
    except PoolRefused:
        return
    for mint in pool.mints:
        sample.quote(mint, data.draw(amounts), pool=pool)


def _companions(sample: Sample, accounts: Accounts) -> tuple[str, ...]:
    try:
        return sample.venue.companions(sample.address, accounts)
    except PoolRefused:
        return ()


@every_pool
@given(side=sides, amount=amounts, mode=modes)
def test_a_quote_keeps_what_was_asked(sample: Sample, side: int, amount: int, mode: SwapMode) -> None:
    quote = sample.quote(sample.pool.mints[side], amount, mode)
    if quote is None:
        return
    assert 0 <= quote.amount_in <= U64_MAX
    assert 0 <= quote.amount_out <= U64_MAX
    if mode is SwapMode.EXACT_IN:
        assert quote.amount_in == amount
    else:
        assert quote.amount_out == amount
    assert all(fee.amount >= 0 and fee.mint in sample.pool.mints for fee in quote.fees)


@every_pool
@given(side=sides, amount=amounts, mode=modes)
def test_applying_a_swap_gives_what_was_quoted_and_the_same_pool_later(
    sample: Sample, side: int, amount: int, mode: SwapMode
) -> None:
    mint = sample.pool.mints[side]
    quote, applied = sample.quote(mint, amount, mode), sample.apply(mint, amount, mode)
    assert (quote is None) == (applied is None)
    if applied is not None:
        after = applied[1]
        assert applied[0] == quote
        assert (after.address, after.mints, after.decimals) == (
            sample.pool.address,
            sample.pool.mints,
            sample.pool.decimals,
        )


@every_pool
@given(side=sides, amount=amounts)
def test_the_fast_quoter_says_the_same(sample: Sample, side: int, amount: int) -> None:
    mint = sample.pool.mints[side]
    quote = sample.quote(mint, amount)
    try:
        fast = sample.venue.quoter(sample.pool, mint, sample.clock)(amount)
    except QuoteRefused:
        fast = None
    assert fast == (None if quote is None else quote.amount_out)


@every_pool
@given(side=sides, amount=amounts, more=amounts)
def test_more_in_never_gives_less_out(sample: Sample, side: int, amount: int, more: int) -> None:
    mint = sample.pool.mints[side]
    first, second = sample.quote(mint, amount), sample.quote(mint, amount + more)
    if first is not None and second is not None:
        assert second.amount_out >= first.amount_out


@every_pool
@given(side=sides, amount=amounts)
def test_an_exact_output_costs_what_buys_it(sample: Sample, side: int, amount: int) -> None:
    mint = sample.pool.mints[side]
    there = sample.quote(mint, amount)
    if there is None or there.amount_out <= DUST:
        return
    # Token-2022 inverts its fee upwards, by a unit that can be dear at the end of a pool, and so do rate limiters.
    less = sample.quote(mint, there.amount_out - DUST, SwapMode.EXACT_OUT)
    assert less is None or less.amount_in <= amount + amount // 10_000
    whole = sample.quote(mint, there.amount_out, SwapMode.EXACT_OUT)
    if whole is not None:
        again = sample.quote(mint, whole.amount_in)
        assert again is not None
        assert again.amount_out >= there.amount_out


@every_pool
@given(side=sides, amount=amounts, mode=modes)
def test_a_swap_never_makes_the_price_better_for_the_next_one(
    sample: Sample, side: int, amount: int, mode: SwapMode
) -> None:
    mint = sample.pool.mints[side]
    applied = sample.apply(mint, amount, mode)
    if applied is None:
        return
    try:
        after = sample.venue.spot(applied[1], mint, sample.clock)
    except QuoteRefused:
        return
    assert after <= sample.venue.spot(sample.pool, mint, sample.clock)


@every_pool
@given(side=sides, amount=amounts)
def test_a_round_trip_never_profits(sample: Sample, side: int, amount: int) -> None:
    there = sample.apply(sample.pool.mints[side], amount)
    if there is None or there[0].amount_out == 0:
        return
    quote, after = there
    back = sample.quote(sample.pool.mints[1 - side], quote.amount_out, pool=after)
    assert back is None or back.amount_out <= amount


@every_pool
@given(side=sides, amount=amounts)
def test_no_swap_is_better_than_the_marginal_price(sample: Sample, side: int, amount: int) -> None:
    mint = sample.pool.mints[side]
    quote = sample.quote(mint, amount)
    if quote is not None:
        spot = sample.venue.spot(sample.pool, mint, sample.clock)
        assert quote.amount_out * spot.denominator <= quote.amount_in * spot.numerator


@every_pool
@given(side=sides, amount=amounts)
def test_the_curve_follows_the_quotes(sample: Sample, side: int, amount: int) -> None:
    mint = sample.pool.mints[side]
    quote = sample.quote(mint, amount)
    if quote is None:
        return
    left, total = float(amount), 0.0
    for segment in sample.venue.curve(sample.pool, mint, sample.clock):
        taken = min(left, segment.cap)
        total += segment.p * taken / (1 + segment.q * taken)
        left -= taken
        if left <= 0:
            break
    dust = 100 * max(1.0, float(sample.venue.spot(sample.pool, mint, sample.clock)))
    assert total == pytest.approx(quote.amount_out, rel=1e-5, abs=dust)


@every_pool
@pytest.mark.parametrize("mode", SwapMode)
def test_an_instruction_is_for_the_program_and_signed_by_the_wallet_alone(sample: Sample, mode: SwapMode) -> None:
    wallet, source, target = (Pubkey(bytes([number]) * 32) for number in (1, 2, 3))
    for mint in sample.pool.mints:
        found = next((quote for digits in range(12) if (quote := sample.quote(mint, 10**digits, mode))), None)
        if found is None:
            continue
        fixed = found.amount_in if mode is SwapMode.EXACT_IN else found.amount_out
        limit = found.amount_out if mode is SwapMode.EXACT_IN else found.amount_in
        accounts = SwapAccounts(wallet, source, target)
        made = sample.venue.instruction(sample.pool, Swap(mint, mode, fixed), limit, accounts, sample.clock)
        assert str(made.program_id) == sample.venue.program_id
        assert {meta.pubkey for meta in made.accounts if meta.is_signer} == {wallet}
        writable = {meta.pubkey for meta in made.accounts if meta.is_writable}
        assert {source, target, Pubkey.from_string(sample.address)} <= writable
        assert len(made.data) > 0
    assert all(0 <= code < 2**32 for code in sample.venue.slippage_codes())
