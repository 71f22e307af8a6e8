"""Which accounts are read together: as few calls as possible, and what belongs together at one slot. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from fillwright.chain.accounts import CLOCK_SYSVAR
from fillwright.domain.accounts import Address

KEYS_PER_READ = 100
MAX_COMPANION_ROUNDS = 8
"""How often a pool may turn out to need further accounts."""


def batches(groups: Sequence[Sequence[Address]]) -> list[list[Address]]:
    """The groups' keys in lists of at most KEYS_PER_READ, a group in one list where it fits; the clock in the first."""
    found: list[list[Address]] = [[CLOCK_SYSVAR]]
    for group in groups:
        last = found[-1]
        new = [key for key in dict.fromkeys(group) if key not in last]
        if len(last) + len(new) <= KEYS_PER_READ:
            last += new
            continue
        keys = list(dict.fromkeys(group))
        found += [keys[at : at + KEYS_PER_READ] for at in range(0, len(keys), KEYS_PER_READ)]
    return found
