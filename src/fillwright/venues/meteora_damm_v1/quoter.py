"""Fast exact-in quotes of one direction of a DAMM v1 pool.

In: a pool, a mint, a clock. Out: a function amount -> output that equals `quote.execute` to the unit. It skips
only checks that provably can't fail below a bound worked out beforehand; everything else runs `execute`.
"""

from __future__ import annotations

from math import sqrt

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


class _Gain(msgspec.Struct, frozen=True):
    """How many tokens fewer than deposited the pool's share gains, read off r = deposited · S mod U.

    With L of the vault's S shares, U unlocked tokens, rho = L·U mod S and m shares minted, the gain is
    deposited + floor((rho·(S + m) - r·(S - L)) / (S·(S + m))): for r <= `none` nothing is lost, whatever m;
    for `above_one` < r <= `one` exactly one unit, while m stays below that of `near` tokens.
    """

    none: int
    above_one: int
    one: int
    near: int


def _gain(side: Side) -> _Gain:
    supply, unlocked, share = side.vault_in.lp_supply, side.unlocked_in, side.lp_in
    others = supply - share
    if supply == 0 or unlocked == 0 or others <= 0:
        return _Gain(unlocked, unlocked, unlocked, 0)
    rho = share * unlocked % supply
    near = side.reserve_in
    most_minted = near * supply // unlocked + 1
    return _Gain(
        none=rho * supply // others,
        above_one=rho * (supply + most_minted) // others,
        one=(rho + supply) * supply // others,
        near=near,
    )


def _constant_product(side: Side) -> Quoter:
    x, y, reserve = side.reserve_in, side.reserve_out, side.vault_out.reserve
    limit = min(safe_input(side), x * y - x) if x > _LEAST_RESERVE else 0
    fees, gain = side.pool.fees, _gain(side)
    trade_n, trade_d = fees.trade_numerator, fees.trade_denominator
    protocol_n, protocol_d = fees.protocol_numerator, fees.protocol_denominator
    least_trade = 1 if trade_n else 0
    least_protocol = 1 if trade_n and protocol_n else 0
    unlocked_in, supply_in, lp_in = side.unlocked_in, side.vault_in.lp_supply, side.lp_in
    unlocked_out, supply_out = side.unlocked_out, side.vault_out.lp_supply
    none, above_one, one, near = gain.none, gain.above_one, gain.one, gain.near

    def fast(amount: int) -> int:
        if 0 < amount <= limit:
            trade = amount * trade_n // trade_d or least_trade
            deposited = amount - (trade * protocol_n // protocol_d or least_protocol)
            net = amount - trade
            lost = deposited * supply_in % unlocked_in
            if lost > none:
                if above_one < lost <= one and amount <= near:
                    net -= 1
                else:
                    minted = deposited * supply_in // unlocked_in
                    net += (lp_in + minted) * (unlocked_in + deposited) // (supply_in + minted) - x - deposited
            output = y * net // (x + net)
            if output > 0:
                lost = output * supply_out % unlocked_out
                if lost:
                    output -= 1 if lost <= supply_out else (lost + supply_out - 1) // supply_out
                if output <= reserve:
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
    limit = min(safe_input(side), _safe_scaled_input(curve)) if x > _LEAST_RESERVE else 0
    fees, gain = side.pool.fees, _gain(side)
    trade_n, trade_d = fees.trade_numerator, fees.trade_denominator
    protocol_n, protocol_d = fees.protocol_numerator, fees.protocol_denominator
    least_trade = 1 if trade_n else 0
    least_protocol = 1 if trade_n and protocol_n else 0
    unlocked_in, supply_in, lp_in = side.unlocked_in, side.vault_in.lp_supply, side.lp_in
    unlocked_out, supply_out = side.unlocked_out, side.vault_out.lp_supply
    none, above_one, one, near = gain.none, gain.above_one, gain.one, gain.near
    scaled_x, most_y, d, d_squared = curve.x, curve.y - 1, curve.d, curve.d * curve.d
    scale_in, scale_out, twice_ann = curve.scale_in, curve.scale_out, 4 * curve.amp
    b_at_zero = d // (2 * curve.amp) - d

    def fast(amount: int) -> int:
        if 0 < amount <= limit:
            trade = amount * trade_n // trade_d or least_trade
            deposited = amount - (trade * protocol_n // protocol_d or least_protocol)
            net = amount - trade
            lost = deposited * supply_in % unlocked_in
            if lost > none:
                if above_one < lost <= one and amount <= near:
                    net -= 1
                else:
                    minted = deposited * supply_in // unlocked_in
                    net += (lp_in + minted) * (unlocked_in + deposited) // (supply_in + minted) - x - deposited
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
