"""Exact-in swaps of DAMM v1: fee, deposit into one lending vault, curve, withdrawal from the other.

In: a decoded pool, a swap, a clock. Out: exact amounts, the pool afterwards, or QuoteRefused. The program has
no exact-out. Rule: `dynamic-amm` `swap`, as `dynamic-amm-quote` `compute_quote` states it:

    trade fee = amount · n/d, protocol fee = trade fee · n'/d'         down, but at least 1 where not zero
    deposit = amount - protocol fee, becomes vault LP                  down
    net = gain of the pool's share - (trade fee - protocol fee)
    output = curve(net), becomes vault LP, becomes tokens              down, twice

The protocol fee includes a partner's share of it. A swap whose output rounds to nothing succeeds with 0.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_damm_v1 import stable as stable_curve
from fillwright.venues.meteora_damm_v1.layout import DEPEG_PRECISION, DammV1Pool, Vault
from fillwright.venues.meteora_damm_v1.stable import U128_MAX, checked, divided
from fillwright.venues.meteora_damm_v1.vault import shares_of, tokens_of, unlocked_amount
from fillwright.venues.venue import Fee, FeeKind, Quote, Swap

PRICE_CACHE_SECONDS = 600
"""`constants::depeg::BASE_CACHE_EXPIRES`: an older stake price is read again by the swap."""

PARTNER_FEE_DENOMINATOR = 100_000


class StableSide(msgspec.Struct, frozen=True):
    """The stable curve in one direction: balances scaled to one unit, and their invariant."""

    amp: int
    scale_in: int
    scale_out: int
    x: int
    y: int
    d: int


class Side(msgspec.Struct, frozen=True):
    """One direction of a pool at one moment: everything that does not depend on the amount."""

    pool: DammV1Pool
    given: int
    virtual_price: int | None
    vault_in: Vault
    vault_out: Vault
    unlocked_in: int
    unlocked_out: int
    lp_in: int
    lp_out: int
    reserve_in: int
    reserve_out: int
    stable: StableSide | None


class Outcome(msgspec.Struct, frozen=True):
    """One executed swap: what moved where."""

    output: int
    lp_fee: int
    protocol_fee: int
    partner_fee: int
    deposited: int
    lp_minted: int
    lp_burned: int


def quote(pool: DammV1Pool, swap: Swap, clock: ChainClock) -> Quote:
    """The exact outcome of `swap`. Raises QuoteRefused."""
    return _quoted(swap, _executed(pool, swap, clock)[1])


def apply(pool: DammV1Pool, swap: Swap, clock: ChainClock) -> tuple[Quote, DammV1Pool]:
    """The exact outcome, and the pool with both vaults after it. Raises QuoteRefused."""
    side, outcome = _executed(pool, swap, clock)
    return _quoted(swap, outcome), _after(side, outcome, clock)


def index_of(pool: DammV1Pool, mint: Mint) -> int:
    """0 for token A, 1 for token B. Raises QuoteRefused `not_in_pool`."""
    if mint not in pool.mints:
        raise QuoteRefused(Refusal.NOT_IN_POOL, f"{mint} is not a token of the pool {pool.address}")
    return pool.mints.index(mint)


def prepare(pool: DammV1Pool, given: int, clock: ChainClock) -> Side:
    """The direction that gives token `given`. Raises QuoteRefused where no amount can be swapped."""
    _require_open(pool, clock)
    if not pool.vaults[given].enabled:
        raise QuoteRefused(Refusal.PAUSED, "the lending vault of the input takes no deposits")
    return state_of(pool, given, clock)


def state_of(pool: DammV1Pool, given: int, clock: ChainClock) -> Side:
    """As `prepare`, for a pool that may be paused or not open yet. Raises QuoteRefused."""
    wanted = 1 - given
    vault_in, vault_out = pool.vaults[given], pool.vaults[wanted]
    unlocked_in = unlocked_amount(vault_in, clock.unix_timestamp)
    unlocked_out = unlocked_amount(vault_out, clock.unix_timestamp)
    reserve_in = tokens_of(pool.lp_amounts[given], unlocked_in, vault_in.lp_supply)
    reserve_out = tokens_of(pool.lp_amounts[wanted], unlocked_out, vault_out.lp_supply)
    price = _virtual_price(pool, clock)
    return Side(
        pool=pool,
        given=given,
        virtual_price=price,
        vault_in=vault_in,
        vault_out=vault_out,
        unlocked_in=unlocked_in,
        unlocked_out=unlocked_out,
        lp_in=pool.lp_amounts[given],
        lp_out=pool.lp_amounts[wanted],
        reserve_in=reserve_in,
        reserve_out=reserve_out,
        stable=_stable_side(pool, given, price, reserve_in, reserve_out),
    )


def _require_open(pool: DammV1Pool, clock: ChainClock) -> None:
    if not pool.enabled:
        raise QuoteRefused(Refusal.PAUSED, "the pool is disabled")
    if clock.unix_timestamp < 0:
        raise QuoteRefused(Refusal.ARITHMETIC, "a clock before 1970")
    now = clock.unix_timestamp if pool.activation_by_time else clock.slot
    if now < pool.activation_point:
        raise QuoteRefused(Refusal.NOT_OPEN, "the pool's activation point lies ahead")


def _virtual_price(pool: DammV1Pool, clock: ChainClock) -> int | None:
    """Token B's price in the swap: the cached one for 600 s, then the stake account's. None without depeg."""
    depeg = pool.stable.depeg if pool.stable is not None else None
    if depeg is None:
        return None
    if clock.unix_timestamp <= checked(depeg.cached_at + PRICE_CACHE_SECONDS, U64_MAX):
        return depeg.virtual_price
    if depeg.fresh_price is None:
        raise QuoteRefused(Refusal.MISSING_ACCOUNT, "the stake account that prices the pool is absent or unreadable")
    return depeg.fresh_price


def _stable_side(
    pool: DammV1Pool, given: int, price: int | None, reserve_in: int, reserve_out: int
) -> StableSide | None:
    if pool.stable is None:
        return None
    scale_a, scale_b = pool.stable.multipliers
    if price is not None:
        scale_a, scale_b = scale_a * DEPEG_PRECISION, scale_b * price
    scale_in, scale_out = (scale_b, scale_a) if given else (scale_a, scale_b)
    x, y = checked(reserve_in * scale_in, U128_MAX), checked(reserve_out * scale_out, U128_MAX)
    return StableSide(pool.stable.amp, scale_in, scale_out, x, y, stable_curve.invariant(pool.stable.amp, x, y))


def _executed(pool: DammV1Pool, swap: Swap, clock: ChainClock) -> tuple[Side, Outcome]:
    if swap.mode is not SwapMode.EXACT_IN:
        raise QuoteRefused(Refusal.UNSUPPORTED_MODE, "DAMM v1 swaps an exact input only")
    given = index_of(pool, swap.input_mint)
    _require_amount(swap.amount)
    side = prepare(pool, given, clock)
    return side, execute(side, swap.amount)


def _require_amount(amount: int) -> None:
    if amount <= 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the amount is not positive")
    if amount > U64_MAX:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "the amount exceeds 2^64 - 1")


def execute(side: Side, amount: int) -> Outcome:
    """The swap of `amount`, every step checked as the program checks it. Raises QuoteRefused."""
    _require_amount(amount)
    fees = side.pool.fees
    trade_fee = _fee(amount, fees.trade_numerator, fees.trade_denominator)
    protocol_fee = _fee(trade_fee, fees.protocol_numerator, fees.protocol_denominator)
    lp_fee = checked(trade_fee - protocol_fee, U64_MAX)
    deposited = checked(amount - protocol_fee, U64_MAX)
    partner_fee = _partner_fee(side, protocol_fee)
    lp_minted, gain = _deposit(side, deposited)
    net = checked(gain - lp_fee, U64_MAX)
    curve_output = _constant_product(side, net) if side.stable is None else _stable(side.stable, net)
    lp_burned = shares_of(curve_output, side.unlocked_out, side.vault_out.lp_supply)
    output = tokens_of(lp_burned, side.unlocked_out, side.vault_out.lp_supply)
    if lp_burned > side.lp_out or output > side.vault_out.reserve:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the lending vault does not hold the output")
    return Outcome(output, lp_fee, protocol_fee, partner_fee, deposited, lp_minted, lp_burned)


def _fee(amount: int, numerator: int, denominator: int) -> int:
    """amount · numerator / denominator, rounded down but at least 1 (`calculate_fee`)."""
    if numerator == 0 or amount == 0:
        return 0
    return max(1, divided(checked(amount * numerator, U128_MAX), denominator))


def _partner_fee(side: Side, protocol_fee: int) -> int:
    """The partner's share of the protocol fee, rounded down; its product and its sum must fit 64 bits."""
    numerator = side.pool.partner_fee_numerator
    if numerator == 0:
        return 0
    fee = checked(protocol_fee * numerator, U64_MAX) // PARTNER_FEE_DENOMINATOR
    checked(side.pool.partner_pending[side.given] + fee, U64_MAX)
    return fee


def _deposit(side: Side, deposited: int) -> tuple[int, int]:
    """Vault LP minted for `deposited` tokens, and by how much the pool's share then gains in tokens."""
    if deposited == 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "nothing is left to deposit after the fee")
    vault = side.vault_in
    minted = shares_of(deposited, side.unlocked_in, vault.lp_supply)
    for balance in (vault.total_amount, vault.reserve):
        checked(balance + deposited, U64_MAX)
    share, supply = checked(side.lp_in + minted, U64_MAX), checked(vault.lp_supply + minted, U64_MAX)
    after = tokens_of(share, checked(side.unlocked_in + deposited, U64_MAX), supply)
    return minted, checked(after - side.reserve_in, U64_MAX)


def _constant_product(side: Side, net: int) -> int:
    """y - ⌈x·y / (x + net)⌉ (`spl-token-swap` `constant_product::swap`); nothing out is an error."""
    x, y = side.reserve_in, side.reserve_out
    if x * y < x + net or x + net == 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_LARGE, "the input exceeds what the curve can hold")
    output = y * net // (x + net)
    if output == 0:
        raise QuoteRefused(Refusal.AMOUNT_TOO_SMALL, "the output rounds to nothing")
    return output


def _stable(side: StableSide, net: int) -> int:
    """(y - y' - 1) / scale, rounded down, y' being the balance at x + net (`swap_to2`)."""
    x = checked(side.x + checked(net * side.scale_in, U128_MAX), U128_MAX)
    gained = side.y - stable_curve.balance(side.amp, x, side.d) - 1
    return checked(divided(checked(gained, U128_MAX), side.scale_out), U64_MAX)


def _quoted(swap: Swap, outcome: Outcome) -> Quote:
    fees = ((FeeKind.LP, outcome.lp_fee), (FeeKind.PROTOCOL, outcome.protocol_fee))
    return Quote(swap.amount, outcome.output, tuple(Fee(kind, swap.input_mint, fee) for kind, fee in fees if fee))


def _after(side: Side, outcome: Outcome, clock: ChainClock) -> DammV1Pool:
    """The pool after the swap. The sides are put back in (a, b) order; a refreshed stake price is cached."""
    pool, deposited, minted = side.pool, outcome.deposited, outcome.lp_minted
    into, out = side.vault_in, side.vault_out
    into = replace(
        into,
        total_amount=into.total_amount + deposited,
        reserve=into.reserve + deposited,
        lp_supply=into.lp_supply + minted,
    )
    out = replace(
        out,
        total_amount=checked(out.total_amount - outcome.output, U64_MAX),
        reserve=out.reserve - outcome.output,
        lp_supply=out.lp_supply - outcome.lp_burned,
    )
    lp_in, lp_out = side.lp_in + minted, side.lp_out - outcome.lp_burned
    pending_a, pending_b = pool.partner_pending
    if side.given == 0:
        vaults, lp_amounts, pending = (into, out), (lp_in, lp_out), (pending_a + outcome.partner_fee, pending_b)
    else:
        vaults, lp_amounts, pending = (out, into), (lp_out, lp_in), (pending_a, pending_b + outcome.partner_fee)
    curve = pool.stable
    if curve is not None and curve.depeg is not None and side.virtual_price is not None:
        depeg = curve.depeg
        if clock.unix_timestamp > depeg.cached_at + PRICE_CACHE_SECONDS:
            depeg = replace(depeg, virtual_price=side.virtual_price, cached_at=clock.unix_timestamp)
            curve = replace(curve, depeg=depeg)
    return replace(pool, vaults=vaults, lp_amounts=lp_amounts, partner_pending=pending, stable=curve)
