"""Fast exact-in quotes of one direction of a DAMM v1 pool.

In: a pool, a mint, a clock. Out: a function amount -> output that equals `quote.execute` to the unit. It skips
only checks that provably can't fail below a bound worked out beforehand; everything else runs `execute`.
"""

from __future__ import annotations

from math import gcd, sqrt

import msgspec

from fillwright.domain.accounts import ChainClock, Mint
from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.meteora_damm_v1.layout import DammV1Pool
from fillwright.venues.meteora_damm_v1.quote import (
    PARTNER_FEE_DENOMINATOR,
    Side,
    StableSide,
    execute,
    index_of,
    prepare,
)
from fillwright.venues.meteora_damm_v1.stable import U128_MAX, U192_MAX
from fillwright.venues.venue import Quoter

_LEAST_RESERVE = 4
"""Below it, rounding could take more than the pool holds; such dust goes the checked way."""

_GUESS_BITS = 48
"""The float root of the quadratic has a relative error below 2^-50."""


def quoter(pool: DammV1Pool, input_mint: Mint, clock: ChainClock) -> Quoter:
    """Exact-in quotes of one direction. A pool that can't trade refuses at each call, a foreign mint at once."""
    given = index_of(pool, input_mint)
    try:
        side = prepare(pool, given, clock)
    except QuoteRefused as refusal:
        reason, message = refusal.reason, refusal.message

        def refuse(amount: int) -> int:
            raise QuoteRefused(reason, message)

        return refuse
    return _constant_product(side) if side.stable is None else _stable(side, side.stable)


def safe_input(side: Side) -> int:
    """An amount up to which no sum or product before the curve overflows. Larger ones may still be possible."""
    pool, vault, fees = side.pool, side.vault_in, side.pool.fees
    odd_fees = fees.trade_numerator > fees.trade_denominator or fees.protocol_numerator > fees.protocol_denominator
    if odd_fees or 0 in (fees.trade_denominator, fees.protocol_denominator):
        return 0
    if side.lp_in > vault.lp_supply or side.lp_out > side.vault_out.lp_supply:
        return 0
    if 0 in (vault.lp_supply, side.unlocked_in, side.unlocked_out):
        return 0
    bound = min(
        U64_MAX - max(vault.total_amount, vault.reserve),
        (U64_MAX - vault.lp_supply) * side.unlocked_in // vault.lp_supply,
    )
    if pool.partner_fee_numerator and fees.trade_numerator and fees.protocol_numerator:
        room = min(U64_MAX, (U64_MAX - pool.partner_pending[side.given]) * PARTNER_FEE_DENOMINATOR)
        protocol_fee = room // pool.partner_fee_numerator
        trade_fee = (protocol_fee - 1) * fees.protocol_denominator // fees.protocol_numerator
        bound = min(bound, (trade_fee - 1) * fees.trade_denominator // fees.trade_numerator)
    return max(bound, 0)


class _Terms(msgspec.Struct, frozen=True):
    """What both curves read of a side, every fraction in lowest terms.

    With L of the input vault's S shares, U unlocked tokens, rho = L·U mod S, a deposit of D tokens and
    r = D·S mod U, the pool's share gains D less the ceiling of (r·A - B·(U + D)) / (S·(S·(U + D) - r)), where
    A = U·(S - L) + rho and B = rho·S. So it gains D for r <= `none` or D >= `lossless`, and D - 1 for
    `sure` < r <= `one` while D <= `near`.
    """

    limit: int
    trade: tuple[int, int]
    protocol: tuple[int, int]
    least_trade: int
    least_protocol: int
    supply_in: int
    unlocked_in: int
    none: int
    sure: int
    one: int
    near: int
    lossless: int
    weight_lost: int
    weight_held: int
    supply_out: int
    unlocked_out: int


def _terms(side: Side, limit: int) -> _Terms:
    fees, supply, unlocked = side.pool.fees, side.vault_in.lp_supply, side.unlocked_in
    if min(supply, unlocked, side.vault_out.lp_supply, side.unlocked_out) == 0 or limit <= 0:
        return _Terms(0, (0, 1), (0, 1), 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1)
    others = supply - side.lp_in
    rho = side.lp_in * unlocked % supply
    weight_lost, weight_held = unlocked * others + rho, rho * supply
    lossless = limit + 1
    if weight_held:
        lossless = max((unlocked - 1) * weight_lost // weight_held - unlocked + 1, 0)
    return _Terms(
        limit=limit,
        trade=_lowest(fees.trade_numerator, fees.trade_denominator),
        protocol=_lowest(fees.protocol_numerator, fees.protocol_denominator),
        least_trade=1 if fees.trade_numerator else 0,
        least_protocol=1 if fees.trade_numerator and fees.protocol_numerator else 0,
        supply_in=supply,
        unlocked_in=unlocked,
        none=weight_held // others if others else unlocked,
        sure=weight_held * (unlocked + side.reserve_in) // weight_lost if weight_lost else unlocked,
        one=(supply * supply + weight_held) * unlocked // (weight_lost + supply),
        near=side.reserve_in,
        lossless=lossless if others else 0,
        weight_lost=weight_lost,
        weight_held=weight_held,
        supply_out=side.vault_out.lp_supply,
        unlocked_out=side.unlocked_out,
    )


def _lowest(numerator: int, denominator: int) -> tuple[int, int]:
    shared = gcd(numerator, denominator)
    return numerator // shared, denominator // shared


def _lost(terms: _Terms, deposited: int, lost: int, net: int) -> int:
    """How many units fewer than `deposited` the pool's share gains; no more than shows that nothing is left."""
    held = terms.unlocked_in + deposited
    excess = lost * terms.weight_lost - terms.weight_held * held
    if excess <= 0:
        return 0
    return min(-(-excess // (terms.supply_in * (terms.supply_in * held - lost))), net + 1)


def _constant_product(side: Side) -> Quoter:
    """The output is read off as y - ⌈x·y / (x + net)⌉: one division, of a constant."""
    x, y, reserve = side.reserve_in, side.reserve_out, side.vault_out.reserve
    terms = _terms(side, min(safe_input(side), x * y - x) if x > _LEAST_RESERVE else 0)
    limit, near = terms.limit, terms.near
    none, sure, one = terms.none, terms.sure, terms.one
    (trade_n, trade_d), (protocol_n, protocol_d) = terms.trade, terms.protocol
    least_trade, least_protocol = terms.least_trade, terms.least_protocol
    supply_in, unlocked_in = terms.supply_in, terms.unlocked_in
    supply_out, unlocked_out = terms.supply_out, terms.unlocked_out
    most, product = y - 1, x * y - 1
    unit, lossless_after = trade_n == 1, x + terms.lossless

    def fast(amount: int) -> int:
        if 0 < amount <= limit:
            trade = (amount // trade_d if unit else amount * trade_n // trade_d) or least_trade
            after = x + amount - trade
            if after < lossless_after:
                deposited = amount - (trade * protocol_n // protocol_d or least_protocol)
                lost = deposited * supply_in % unlocked_in
                if lost > none:
                    if sure < lost <= one and deposited <= near:
                        after -= 1
                    else:
                        after -= _lost(terms, deposited, lost, amount - trade)
            output = most - product // after
            if 0 < output <= reserve:
                lost = output * supply_out % unlocked_out
                if lost:
                    return output - 1 if lost <= supply_out else output - (lost + supply_out - 1) // supply_out
                return output
        return execute(side, amount).output

    return fast


def _stable(side: Side, curve: StableSide) -> Quoter:
    """The balance y comes from one exact Newton step on a float guess instead of the program's iteration.

    With g within e of the root of f(y) = y² + b·y - c, (g² + c) / (2g + b) exceeds the root by
    e² / (2g + b) at most. Where the remainder shows that the root's floor is that quotient and that the
    root is not within 16 / f' of the next integer, the program's iteration ends in that floor too: every
    iterate from the second on lies above it, and one that is 4 or more above moves by more than 1.
    """
    x, reserve = side.reserve_in, side.vault_out.reserve
    terms = _terms(side, min(safe_input(side), _safe_scaled_input(curve)) if x > _LEAST_RESERVE else 0)
    limit, lossless, near = terms.limit, terms.lossless, terms.near
    none, sure, one = terms.none, terms.sure, terms.one
    (trade_n, trade_d), (protocol_n, protocol_d) = terms.trade, terms.protocol
    least_trade, least_protocol = terms.least_trade, terms.least_protocol
    supply_in, unlocked_in = terms.supply_in, terms.unlocked_in
    supply_out, unlocked_out = terms.supply_out, terms.unlocked_out
    scaled_x, most_y, d, d_squared = curve.x, curve.y - 1, curve.d, curve.d * curve.d
    scale_in, scale_out, twice_ann = curve.scale_in, curve.scale_out, 4 * curve.amp
    b_at_zero = d // (2 * curve.amp) - d

    def fast(amount: int) -> int:
        if 0 < amount <= limit:
            trade = amount * trade_n // trade_d or least_trade
            deposited = amount - (trade * protocol_n // protocol_d or least_protocol)
            net = amount - trade
            if net < lossless:
                lost = deposited * supply_in % unlocked_in
                if lost > none:
                    net -= 1 if sure < lost <= one and deposited <= near else _lost(terms, deposited, lost, net)
            if net >= 0 < deposited:
                new_x = scaled_x + net * scale_in
                c = d_squared // (2 * new_x) * d // twice_ann
                b = b_at_zero + new_x
                real_b = float(b)
                if b < 0:
                    guess = int((sqrt(real_b * real_b + 4.0 * c) - real_b) * 0.5)
                else:
                    guess = int(2.0 * c / (sqrt(real_b * real_b + 4.0 * c) + real_b)) if c else 0
                slope = 2 * guess + b
                if slope > 0:
                    new_y, remainder = divmod(guess * guess + c, slope)
                    error = (guess >> _GUESS_BITS) + 4
                    if error * error <= remainder <= slope - 64 and new_y <= most_y:
                        output = (most_y - new_y) // scale_out
                        lost = output * supply_out % unlocked_out
                        if lost:
                            output -= 1 if lost <= supply_out else (lost + supply_out - 1) // supply_out
                        if output <= reserve:
                            return output
        return execute(side, amount).output

    return fast


def _safe_scaled_input(curve: StableSide) -> int:
    """An amount up to which `stable.balance` stays within its integers; 0 where that can't be shown.

    Every iterate of y is at most the larger of D and the first one, and that falls as x grows.
    """
    d, ann = curve.d, 2 * curve.amp
    if 0 in (curve.x, d, curve.scale_in, curve.scale_out) or 2 * ann > U64_MAX or d * d > U192_MAX:
        return 0
    c = d * d // (2 * curve.x) * d
    if c > U192_MAX:
        return 0
    c //= 2 * ann
    largest_y = max(d, (d * d + c) // (d + d // ann + curve.x))
    if largest_y * largest_y + c > U192_MAX:
        return 0
    # One unit less, because the pool's share can gain one unit more than is deposited.
    return (U128_MAX // 2 - curve.x) // curve.scale_in - 1
