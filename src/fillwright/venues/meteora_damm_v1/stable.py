"""The two-token stable curve in scaled integers: invariant, balance, marginal price.

In: an amplification and balances scaled to one unit (`u128` on chain). Out: exactly what the program's Newton
iterations return, or QuoteRefused where its integers overflow. Rule: `stable-swap-math` `curve.rs`
(`compute_d2`, `compute_y_raw2`, `swap_to2`), which works in 192 bits and rounds every division down.
"""

from __future__ import annotations

from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused, Refusal

U128_MAX = 2**128 - 1
U192_MAX = 2**192 - 1
MAX_ITERATIONS = 256


def checked(value: int, maximum: int) -> int:
    """`value`, if it is in 0..maximum. Raises QuoteRefused `arithmetic`: the program's integer would overflow."""
    if 0 <= value <= maximum:
        return value
    raise QuoteRefused(Refusal.ARITHMETIC, "an intermediate value does not fit the program's integers")


def divided(numerator: int, denominator: int) -> int:
    """numerator / denominator, rounded down. Raises QuoteRefused `arithmetic` on division by zero."""
    if denominator == 0:
        raise QuoteRefused(Refusal.ARITHMETIC, "the program would divide by zero")
    return numerator // denominator


def invariant(amp: int, x: int, y: int) -> int:
    """D of the balances x (of the input) and y (of the output). Raises QuoteRefused.

    D ← (A·S + 2·P)·D / ((A - 1)·D + 3·P) from D = S, with A = 2·amp, S = x + y, P = D³/(4xy).
    P is rounded once per factor in the order x, y, so D may depend on the direction. An iteration that
    never settles costs more compute units than a transaction may use, so the program can't finish.
    """
    ann = checked(2 * amp, U64_MAX)
    ann_minus_one = checked(ann - 1, U64_MAX)
    total = checked(x + y, U128_MAX)
    two_x, two_y = checked(2 * x, U128_MAX), checked(2 * y, U128_MAX)
    if x == 0 or y == 0:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "a side of the stable pool is empty")
    leverage = checked(total * ann, U128_MAX)
    d = total
    for _ in range(MAX_ITERATIONS):
        product = checked(d * d, U192_MAX) // two_x
        product = checked(product * d, U192_MAX) // two_y
        before = d
        numerator = checked(d * checked(2 * product + leverage, U192_MAX), U192_MAX)
        d = divided(numerator, checked(d * ann_minus_one + 3 * product, U192_MAX))
        if -1 <= d - before <= 1:
            return d
    raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "the pool is so unbalanced that its invariant does not converge")


def balance(amp: int, x: int, d: int) -> int:
    """The output side's balance for input balance x and invariant d. Raises QuoteRefused.

    y ← (y² + c) / (2y + b - D) from y = D, with b = x + D/A, c = D³/(4·x·A).
    """
    ann = checked(2 * amp, U64_MAX)
    c = divided(checked(d * d, U192_MAX), checked(2 * x, U128_MAX))
    c = divided(checked(c * d, U192_MAX), checked(2 * ann, U64_MAX))
    b = checked(divided(d, ann) + x, U192_MAX)
    y = d
    for _ in range(MAX_ITERATIONS):
        before = y
        denominator = checked(checked(2 * y + b, U192_MAX) - d, U192_MAX)
        y = divided(checked(checked(y * y, U192_MAX) + c, U192_MAX), denominator)
        if -1 <= y - before <= 1:
            break
    return checked(y, U128_MAX)


def marginal_ratio(amp: int, x: int, y: int, d: int) -> tuple[int, int]:
    """-dy/dx on the curve as numerator and denominator: (A + D³/(4x²y)) / (A + D³/(4xy²)), A = 2·amp."""
    weight, cube = 8 * amp * x * x * y * y, d**3
    return weight + cube * y, weight + cube * x


def marginal_price(amp: int, x: int, y: int, d: int) -> float:
    """`marginal_ratio` as a float."""
    numerator, denominator = marginal_ratio(amp, x, y, d)
    return numerator / denominator
