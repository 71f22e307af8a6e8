"""Exact-in quotes in bulk: one closed formula per case, prepared once.

In: a pool and its `Terms`; out: a function from amounts to exact outputs. Must not: decide a refusal. Amounts
above a bound proven safe during preparation take the checked path, so refusals are those of `quote`.

Every failure of the program sets in at some amount and stays (ranges, reserves, integer widths). So a trial
that succeeds proves every smaller one, apart from amounts that the input's transfer fee takes whole.
"""

from __future__ import annotations

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.integers import ceil_div, mul_div_down
from fillwright.venues.meteora_damm_v2.checked import U128_MAX, U256_MAX
from fillwright.venues.meteora_damm_v2.dynamic_fee import after_swap
from fillwright.venues.meteora_damm_v2.layout import COMPOUNDING, FEES_IN_B, DammV2Pool
from fillwright.venues.meteora_damm_v2.liquidity import product_sqrt_price
from fillwright.venues.meteora_damm_v2.quote import exact_output
from fillwright.venues.meteora_damm_v2.rate_limiter import BPS_TO_NUMERATOR, FEE_DENOMINATOR, last_block
from fillwright.venues.meteora_damm_v2.terms import Terms, terms_of
from fillwright.venues.venue import Quoter

_PERCENT = 100
_BPS = 10_000
_TRIALS = 12
_UNKNOWN = -1


def quoter_of(pool: DammV2Pool, input_mint: Mint, clock: ChainClock) -> Quoter:
    """A function equal to `quote` for exact-in. Raises QuoteRefused where no amount can be swapped."""
    terms = terms_of(pool, input_mint, clock)

    def checked(amount: int) -> int:
        return exact_output(pool, terms, amount)

    safe = _safe_amount(pool, terms)
    if terms.limiter is not None and (pool.fee_mode != FEES_IN_B or not _totals_have_room(pool, safe)):
        return checked
    closed_form = _limited_range if terms.limiter is not None else _one_range
    if pool.fee_mode == COMPOUNDING:
        closed_form = _constant_product
    if terms.transfer_in.bps or terms.transfer_out.bps:
        return _with_transfer_fees(terms, closed_form(pool, terms, safe, _unknown), safe, checked)
    return closed_form(pool, terms, safe, checked)


def _unknown(_: int) -> int:
    return _UNKNOWN


def _constant_product(pool: DammV2Pool, terms: Terms, safe: int, checked: Quoter) -> Quoter:
    """B·x / (A + x), rounded down; amount − ⌈amount·f / D⌉ is ⌊amount·(D − f) / D⌋."""
    denominator = FEE_DENOMINATOR
    kept = denominator - terms.numerator
    reserve_a, reserve_b = terms.reserves

    def a_to_b(amount: int) -> int:
        if 0 < amount <= safe:
            return reserve_b * amount // (reserve_a + amount) * kept // denominator
        return checked(amount)

    def b_to_a(amount: int) -> int:
        if 0 < amount <= safe:
            curve_in = amount * kept // denominator
            return reserve_a * curve_in // (reserve_b + curve_in)
        return checked(amount)

    return a_to_b if terms.a_to_b else b_to_a


def _one_range(pool: DammV2Pool, terms: Terms, safe: int, checked: Quoter) -> Quoter:
    """As `range_output`, its constants multiplied out. The next price rounds up for A→B, down for B→A."""
    denominator = FEE_DENOMINATOR
    kept = denominator - terms.numerator
    liquidity, price = pool.liquidity, pool.sqrt_price
    minus_product = -liquidity * price

    def a_to_b(amount: int) -> int:
        if 0 < amount <= safe:
            fall = price + minus_product // (liquidity + amount * price)
            return (liquidity * fall >> 128) * kept // denominator
        return checked(amount)

    def b_to_a(amount: int) -> int:
        if 0 < amount <= safe:
            rise = (amount << 128) // liquidity
            return liquidity * rise // (price * (price + rise)) * kept // denominator
        return checked(amount)

    def b_to_a_fee_on_input(amount: int) -> int:
        if 0 < amount <= safe:
            rise = (amount * kept // denominator << 128) // liquidity
            return liquidity * rise // (price * (price + rise))
        return checked(amount)

    if terms.a_to_b:
        return a_to_b
    return b_to_a_fee_on_input if terms.fee_on_input else b_to_a


def _limited_range(pool: DammV2Pool, terms: Terms, safe: int, checked: Quoter) -> Quoter:
    """As `_one_range` from B to A, with `rate_limiter.numerator_of_included` written out.

    What a purchase keeps after its fee can fall while the purchase grows, so that is bounded apart.
    """
    limiter = terms.limiter
    if limiter is None or safe <= limiter.reference_amount:
        return checked
    denominator, max_fee, variable = FEE_DENOMINATOR, terms.max_fee, terms.variable
    reference, cliff, last = limiter.reference_amount, limiter.cliff, last_block(limiter)
    increment = limiter.increment_bps * BPS_TO_NUMERATOR
    highest = limiter.max_fee_bps * BPS_TO_NUMERATOR
    risen = reference * (cliff + cliff * last + increment * last * (last + 1) // 2)
    liquidity, price = pool.liquidity, pool.sqrt_price
    safe_in = safe - ceil_div(safe * terms.numerator_of_included(safe), denominator)

    def quote(amount: int) -> int:
        if not 0 < amount <= safe:
            return checked(amount)
        numerator = cliff
        if amount > reference:
            blocks, rest = divmod(amount - reference, reference)
            if blocks < last:
                whole = cliff + cliff * blocks + increment * blocks * (blocks + 1) // 2
                scaled = reference * whole + rest * (cliff + increment * (blocks + 1))
            else:
                scaled = risen + ((blocks - last) * reference + rest) * highest
            numerator = -(scaled // -denominator * denominator // amount)
        numerator += variable
        if numerator > max_fee:
            numerator = max_fee
        curve_in = amount * (denominator - numerator) // denominator
        if curve_in > safe_in:
            return checked(amount)
        rise = (curve_in << 128) // liquidity
        return liquidity * rise // (price * (price + rise))

    return quote


def _totals_have_room(pool: DammV2Pool, amount: int) -> bool:
    """Whether fees up to `amount` can't fail: a limited fee is not monotone to the unit, so no trial proves it."""
    accrued = pool.accrued_b
    return (
        pool.protocol_fee_percent <= _PERCENT
        and pool.compounding_fee_bps <= _BPS
        and max(accrued.protocol, accrued.total_protocol) + amount <= U64_MAX
        and accrued.per_liquidity + (amount << 128) // pool.liquidity <= U256_MAX
        and accrued.total_lp + amount <= U128_MAX
    )


def _with_transfer_fees(terms: Terms, curve: Quoter, safe: int, checked: Quoter) -> Quoter:
    """`curve` between the two transfer fees; it answers `_UNKNOWN` where only the whole amount can be checked."""
    bps_in, max_in = terms.transfer_in.bps, terms.transfer_in.maximum
    bps_out, max_out = terms.transfer_out.bps, terms.transfer_out.maximum

    def quote(amount: int) -> int:
        if not 0 < amount <= safe:
            return checked(amount)
        fee = -(-amount * bps_in // _BPS)
        arrived = amount - min(max_in, fee)
        if not arrived:
            return checked(amount)
        sent = curve(arrived)
        if sent == _UNKNOWN:
            return checked(amount)
        fee = -(-sent * bps_out // _BPS)
        return sent - min(max_out, fee)

    return quote


def _safe_amount(pool: DammV2Pool, terms: Terms) -> int:
    """An amount at and below which no swap fails (transfer fees that take everything apart), or 0."""
    if not _starts_well(pool, terms):
        return 0
    amount = _largest_guess(pool, terms)
    for _ in range(_TRIALS):
        if amount <= 0:
            break
        try:
            exact_output(pool, terms, amount)
        except QuoteRefused:
            amount >>= 1
        else:
            return amount
    return 0


def _starts_well(pool: DammV2Pool, terms: Terms) -> bool:
    """Whether the dynamic fee survives no movement at all: a price can be far from its reference, then approach it."""
    if pool.dynamic_fee is None:
        return True
    try:
        price = pool.sqrt_price if pool.fee_mode != COMPOUNDING else product_sqrt_price(*terms.reserves)
        after_swap(pool.dynamic_fee, pool.sqrt_price, price, terms.timestamp)
    except QuoteRefused:
        return False
    return True


def _largest_guess(pool: DammV2Pool, terms: Terms) -> int:
    """Close below the amount that ends at the range's edge or overflows a reserve."""
    reserve_in = terms.reserves[0] if terms.a_to_b else terms.reserves[1]
    balance_in = pool.balance_a if terms.a_to_b else pool.balance_b
    room = U64_MAX - max(reserve_in, balance_in)
    if pool.fee_mode == COMPOUNDING:
        return room
    price, low, high = pool.sqrt_price, pool.sqrt_min_price, pool.sqrt_max_price
    if terms.a_to_b:
        curve_in = mul_div_down(pool.liquidity, price - low, price * low) if low else room
    else:
        curve_in = pool.liquidity * (high - price) >> 128
    if terms.fee_on_input:
        curve_in = curve_in * FEE_DENOMINATOR // (FEE_DENOMINATOR - terms.numerator)
    return min(curve_in, room)
