"""One bin filled: exact-in and exact-out, fees included, and what is left in it.

In: a bin, its price and fee rate. Out: integers as lb_clmm computes them. A bin holds up to three layers
that are filled in turn at one price: liquidity, then limit orders already processed in part, then open ones.
"""

from __future__ import annotations

import msgspec

from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_dlmm.fees import FEE_PRECISION, fee_on_top, fee_within, protocol_part
from fillwright.venues.meteora_dlmm.layout import Bin
from fillwright.venues.meteora_dlmm.price_math import amount_in_for, amount_out_at


class Terms(msgspec.Struct, frozen=True):
    """How one bin trades in one direction."""

    x_to_y: bool
    price: int
    rate: int
    fee_on_input: bool
    protocol_share: int


class Fill(msgspec.Struct, frozen=True):
    """The outcome in one bin: amounts with the fee where it is taken, what each layer gave and the makers got."""

    amount_in: int
    amount_out: int
    fee: int
    protocol_fee: int
    makers_in: int
    layers_out: tuple[int, ...]


def layers(bin_: Bin, x_to_y: bool, has_limit_orders: bool) -> tuple[int, ...]:
    """What the bin can give, layer by layer: liquidity, processed orders, open orders."""
    liquidity = bin_.amount_y if x_to_y else bin_.amount_x
    if has_limit_orders and bin_.orders_sell_x != x_to_y:
        return liquidity, bin_.processed_orders, bin_.open_orders
    return (liquidity,)


def fill_exact_in(available: tuple[int, ...], terms: Terms, amount: int) -> Fill:
    """Spend up to `amount` in a bin. Raises QuoteRefused where a number leaves 64 bits.

    A bin that runs dry takes its fee on top of what it absorbed; otherwise the fee is part of the whole
    amount. Rule: lb_clmm swap, exact-in at one bin.
    """
    net = amount - fee_within(amount, terms.rate) if terms.fee_on_input else amount
    spent, given, makers_in = _spend(available, terms, net)
    amount_in, fee = amount, amount - net
    if spent < net:
        fee = fee_on_top(spent, terms.rate) if terms.fee_on_input else 0
        amount_in = spent + fee
    out = sum(given)
    if not terms.fee_on_input:
        fee = fee_within(out, terms.rate)
        out -= fee
    _within_u64(amount_in, out)
    return Fill(amount_in, out, fee, protocol_part(fee, makers_in, spent, terms.protocol_share), makers_in, given)


def fill_exact_out(available: tuple[int, ...], terms: Terms, amount: int) -> Fill:
    """Buy up to `amount` from a bin: the whole bin, or `amount` for the input that the program works out.

    The program rounds that input up once over all layers, and then each layer's share of it on its own.
    Where that leaves less than `amount` it fails with UndeterminedError, and this refuses. Where it leaves
    more, the surplus stays in the pool. Rule: lb_clmm swap, exact-out at one bin.
    """
    gross = amount if terms.fee_on_input else amount + fee_on_top(amount, terms.rate)
    _within_u64(gross)
    if gross >= sum(available):
        return fill_exact_in(available, terms, U64_MAX)
    net = amount_in_for(gross, terms.price, terms.x_to_y)
    amount_in = net + fee_on_top(net, terms.rate) if terms.fee_on_input else net
    _within_u64(amount_in)
    fill = fill_exact_in(available, terms, amount_in)
    if fill.amount_out < amount:
        raise QuoteRefused(Refusal.ARITHMETIC, "the program's rounding over limit orders misses this exact output")
    return msgspec.structs.replace(fill, amount_out=amount)


def _spend(available: tuple[int, ...], terms: Terms, net: int) -> tuple[int, tuple[int, ...], int]:
    """Input absorbed, output of each layer (rounded down) and the input that went to the first layer."""
    left, given, makers_in = net, [], 0
    for position, layer in enumerate(available):
        if layer == 0 or left == 0:
            given.append(0)
            continue
        full = amount_in_for(layer, terms.price, terms.x_to_y)
        _within_u64(full)
        taken, out = (full, layer) if left >= full else (left, amount_out_at(left, terms.price, terms.x_to_y))
        given.append(out)
        left -= taken
        if position == 0:
            makers_in = taken
    return net - left, tuple(given), makers_in


def drain_threshold(full: int, rate: int, fee_on_input: bool) -> int:
    """The smallest amount that leaves something over after a bin absorbing `full` ran dry.

    floor(a·(10⁹ - rate) / 10⁹) > full, solved for a.
    """
    return -(-(full + 1) * FEE_PRECISION // (FEE_PRECISION - rate)) if fee_on_input else full + 1


def _within_u64(*amounts: int) -> None:
    if max(amounts) > U64_MAX:
        raise QuoteRefused(Refusal.ARITHMETIC, "an amount in a bin exceeds 2^64 - 1")
