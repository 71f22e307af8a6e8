"""The rate limiter: right after activation, larger purchases of token A pay a higher share.

In: the limiter's parameters and an amount; out: a fee numerator over 10⁹. The input is cut into blocks of
`reference_amount`; block k pays `cliff + k · increment`, and every unit past the last block `max_fee_bps`.
The sum becomes one average numerator, rounded up. Must not: know pools, prices or clocks' sources.

Rule: cp-amm `base_fee/fee_rate_limiter.rs`. Its 256-bit sums wrap, so they are reduced modulo 2²⁵⁶ here.
"""

from __future__ import annotations

from math import isqrt

import msgspec

from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.integers import ceil_div
from fillwright.venues.meteora_damm_v2.checked import U256_MAX, as_u64, divisor

FEE_DENOMINATOR = 1_000_000_000
BPS_TO_NUMERATOR = FEE_DENOMINATOR // 10_000


class RateLimiter(msgspec.Struct, frozen=True, tag=True):
    """Fee numerators are over 10⁹; `duration` is in slots or seconds, as the pool's activation point."""

    cliff: int
    increment_bps: int
    duration: int
    max_fee_bps: int
    reference_amount: int

    @property
    def is_empty(self) -> bool:
        return not (self.increment_bps or self.duration or self.max_fee_bps or self.reference_amount)

    def applies(self, a_to_b: bool, point: int, activation_point: int) -> bool:
        """Whether the fee depends on the amount: only B→A, until `duration` after activation (inclusive)."""
        return not (a_to_b or self.is_empty) and activation_point <= point <= activation_point + self.duration


def last_block(limiter: RateLimiter) -> int:
    """The last block that pays a rising fee, rounded down. Raises QuoteRefused `arithmetic`."""
    rise = as_u64(limiter.max_fee_bps * BPS_TO_NUMERATOR - limiter.cliff, "a cliff fee above the maximum fee")
    return rise // divisor(limiter.increment_bps * BPS_TO_NUMERATOR, "a rate limiter without increment")


def numerator_of_included(limiter: RateLimiter, amount: int) -> int:
    """The average numerator for `amount`, fee included. Rounds up twice. Raises QuoteRefused `arithmetic`.

    Rule: `get_fee_numerator_from_included_fee_amount`.
    """
    reference, cliff = limiter.reference_amount, limiter.cliff
    if amount <= reference:
        return cliff
    blocks, rest = divmod(amount - reference, divisor(reference, "a rate limiter without reference amount"))
    last = last_block(limiter)
    increment = limiter.increment_bps * BPS_TO_NUMERATOR
    if blocks < last:
        whole = cliff + cliff * blocks + increment * blocks * (blocks + 1) // 2
        scaled = reference * whole + rest * (cliff + increment * (blocks + 1))
    else:
        whole = cliff + cliff * last + increment * last * (last + 1) // 2
        flat = (blocks - last) * reference + rest
        scaled = reference * whole + flat * limiter.max_fee_bps * BPS_TO_NUMERATOR
    fee = as_u64(ceil_div(scaled & U256_MAX, FEE_DENOMINATOR), "the rate limiter's fee")
    return as_u64(ceil_div(fee * FEE_DENOMINATOR, amount), "the rate limiter's numerator")


def numerator_of_excluded(limiter: RateLimiter, amount: int) -> int:
    """The average numerator for `amount`, fee excluded. Rounds up. Raises QuoteRefused `arithmetic`.

    Rule: `get_fee_numerator_from_excluded_fee_amount`.
    """
    if amount <= _net(limiter, limiter.reference_amount):
        return limiter.cliff
    rising = (last_block(limiter) + 1) * limiter.reference_amount
    endless = rising > U64_MAX
    checked_included = U64_MAX if endless else rising
    checked_excluded = _net(limiter, checked_included)
    if amount == checked_excluded:
        return numerator_of_included(limiter, checked_included)
    if amount < checked_excluded:
        included = _included_in_rising_blocks(limiter, amount)
    else:
        if endless:
            raise QuoteRefused(Refusal.ARITHMETIC, "the input with its fee exceeds 2^64 - 1")
        rest = _gross(limiter.max_fee_bps * BPS_TO_NUMERATOR, amount - checked_excluded)
        included = as_u64(rest + checked_included, "the input with its fee")
    fee = as_u64(included - amount, "the rate limiter's fee")
    numerator = as_u64(ceil_div(fee * FEE_DENOMINATOR, included), "the rate limiter's numerator")
    if numerator < limiter.cliff:
        raise QuoteRefused(Refusal.ARITHMETIC, "the rate limiter's fee falls below its cliff fee")
    return numerator


def _included_in_rising_blocks(limiter: RateLimiter, amount: int) -> int:
    """Solves i·g² − y·g + 2·D·x₀·amount = 0 for the included g, rounded down, then adds the remainder.

    y = 2·D·x₀ + i·x₀ − 2·c·x₀, with c the cliff, i the increment, x₀ the reference amount, D = 10⁹.
    """
    increment = divisor(limiter.increment_bps * BPS_TO_NUMERATOR, "a rate limiter without increment")
    reference, cliff = limiter.reference_amount, limiter.cliff
    y = (2 * FEE_DENOMINATOR * reference + increment * reference - 2 * cliff * reference) & U256_MAX
    z = 2 * amount * FEE_DENOMINATOR * reference
    root = isqrt((y * y - 4 * increment * z) & U256_MAX)
    solved = as_u64(((y - root) & U256_MAX) // (2 * increment), "the rate limiter's quadratic")
    blocks = solved // divisor(reference, "a rate limiter without reference amount")
    rest = as_u64(amount - _net(limiter, solved), "the rate limiter's remainder")
    numerator = as_u64(cliff + increment * blocks, "the rate limiter's numerator")
    return as_u64(solved + _gross(numerator, rest), "the input with its fee")


def _net(limiter: RateLimiter, included: int) -> int:
    numerator = numerator_of_included(limiter, included)
    fee = as_u64(ceil_div(included * numerator, FEE_DENOMINATOR), "the fee")
    return as_u64(included - fee, "a fee above its amount")


def _gross(numerator: int, excluded: int) -> int:
    kept = divisor(as_u64(FEE_DENOMINATOR - numerator, "a fee above 100 %"), "a fee of 100 %")
    return as_u64(ceil_div(excluded * FEE_DENOMINATOR, kept), "the amount with its fee")
