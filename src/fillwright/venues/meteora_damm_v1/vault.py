"""Shares of a lending vault: how tokens become vault LP and back.

In: a vault and the time. Out: exact integers, or QuoteRefused where the program's arithmetic fails.
Rule: `dynamic-vault` `state.rs` (`get_unlocked_amount`, `get_amount_by_share`, `get_unmint_amount`); every
division rounds down, so a deposit and a withdrawal each lose up to one share.
"""

from __future__ import annotations

from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import QuoteRefused, Refusal
from fillwright.venues.meteora_damm_v1.layout import Vault
from fillwright.venues.meteora_damm_v1.stable import U128_MAX, checked

_DEGRADATION_DENOMINATOR = 10**12


def unlocked_amount(vault: Vault, unix_timestamp: int) -> int:
    """The tokens that shares are worth together: the total less the profit still locked. Raises QuoteRefused.

    locked = profit · (1 - elapsed · degradation), rounded down; a report later than the clock fails.
    """
    elapsed = checked(unix_timestamp - vault.last_report, U64_MAX)
    ratio = checked(elapsed * vault.degradation, U128_MAX)
    if ratio > _DEGRADATION_DENOMINATOR:
        return vault.total_amount
    locked = vault.locked_profit * (_DEGRADATION_DENOMINATOR - ratio) // _DEGRADATION_DENOMINATOR
    return checked(vault.total_amount - locked, U64_MAX)


def tokens_of(share: int, unlocked: int, supply: int) -> int:
    """Tokens that `share` LP are worth, rounded down. Raises QuoteRefused."""
    if supply == 0:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "a lending vault has no shares")
    return checked(share * unlocked // supply, U64_MAX)


def shares_of(tokens: int, unlocked: int, supply: int) -> int:
    """LP that `tokens` are worth, rounded down. Raises QuoteRefused."""
    if unlocked == 0:
        raise QuoteRefused(Refusal.LIQUIDITY_EXHAUSTED, "a lending vault has no unlocked tokens")
    return checked(tokens * supply // unlocked, U64_MAX)
