"""Fast exact-in quotes of one direction of a DAMM v1 pool.

In: a pool, a mint, a clock. Out: a function amount -> output that equals `quote.execute` to the unit. It skips
only checks that provably can't fail below a bound worked out beforehand; everything else runs `execute`.
"""

from __future__ import annotations

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
from fillwright.venues.meteora_damm_v1.stable import MAX_ITERATIONS, U128_MAX, U192_MAX
from fillwright.venues.venue import Quoter


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


def _constant_product(side: Side) -> Quoter:
    limit = safe_input(side)
    fees = side.pool.fees
    trade_n, trade_d = fees.trade_numerator, fees.trade_denominator
    protocol_n, protocol_d = fees.protocol_numerator, fees.protocol_denominator
    least_trade = 1 if trade_n else 0
    least_protocol = 1 if trade_n and protocol_n else 0
    unlocked_in, supply_in, lp_in = side.unlocked_in, side.vault_in.lp_supply, side.lp_in
    unlocked_out, supply_out = side.unlocked_out, side.vault_out.lp_supply
    x, y, reserve = side.reserve_in, side.reserve_out, side.vault_out.reserve
    most_net = x * y - x

    def fast(amount: int) -> int:
        if 0 < amount <= limit:
            trade = amount * trade_n // trade_d or least_trade
            protocol = trade * protocol_n // protocol_d or least_protocol
            deposited = amount - protocol
            minted = deposited * supply_in // unlocked_in
            net = (lp_in + minted) * (unlocked_in + deposited) // (supply_in + minted) - x - trade + protocol
            if 0 < net <= most_net:
                output = y * net // (x + net)
                if output:
                    output = output * supply_out // unlocked_out * unlocked_out // supply_out
                    if output <= reserve:
                        return output
        return execute(side, amount).output

    return fast


def _stable(side: Side, curve: StableSide) -> Quoter:
    limit = min(safe_input(side), _safe_scaled_input(curve))
    fees = side.pool.fees
    trade_n, trade_d = fees.trade_numerator, fees.trade_denominator
    protocol_n, protocol_d = fees.protocol_numerator, fees.protocol_denominator
    least_trade = 1 if trade_n else 0
    least_protocol = 1 if trade_n and protocol_n else 0
    unlocked_in, supply_in, lp_in = side.unlocked_in, side.vault_in.lp_supply, side.lp_in
    unlocked_out, supply_out = side.unlocked_out, side.vault_out.lp_supply
    x, reserve = side.reserve_in, side.vault_out.reserve
    scaled_x, most_y, d = curve.x, curve.y - 1, curve.d
    scale_in, scale_out, d_squared = curve.scale_in, curve.scale_out, curve.d * curve.d
    twice_ann, b_at_zero = 4 * curve.amp, curve.d // (2 * curve.amp) - curve.d
    iterations = range(MAX_ITERATIONS)

    def fast(amount: int) -> int:
        if 0 < amount <= limit:
            trade = amount * trade_n // trade_d or least_trade
            protocol = trade * protocol_n // protocol_d or least_protocol
            deposited = amount - protocol
            minted = deposited * supply_in // unlocked_in
            net = (lp_in + minted) * (unlocked_in + deposited) // (supply_in + minted) - x - trade + protocol
            if net >= 0 < deposited:
                new_x = scaled_x + net * scale_in
                c = d_squared // (2 * new_x) * d // twice_ann
                b = b_at_zero + new_x
                before = d
                y = (d_squared + c) // (2 * d + b)
                for _ in iterations:
                    if -1 <= y - before <= 1:
                        break
                    before = y
                    denominator = 2 * y + b
                    if denominator <= 0:
                        return execute(side, amount).output
                    y = (y * y + c) // denominator
                if y <= most_y:
                    output = (most_y - y) // scale_out * supply_out // unlocked_out * unlocked_out // supply_out
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
