"""Keyed randomness: every draw belongs to a seed, an entity and a counter.

In: a seed and a key of strings and integers. Out: the same numbers for the same key, whatever else was drawn
before. Must not: keep state between keys.
"""

from __future__ import annotations

import hashlib
import random
from math import cos, log, sin, sqrt, tau

_SEPARATOR = "\x1f"
_MANTISSA_BITS = 53

Key = str | int


def draw(seed: int, *key: Key) -> float:
    """One number, uniform in [0, 1)."""
    return (int.from_bytes(_digest(seed, key)[:8], "big") >> (64 - _MANTISSA_BITS)) / (1 << _MANTISSA_BITS)


def stream(seed: int, *key: Key) -> random.Random:
    """A generator of its own for this key. Opening one costs as much as some fifty draws: key whole blocks."""
    return random.Random(int.from_bytes(_digest(seed, key), "big"))


def normals(source: random.Random, pairs: int) -> list[float]:
    """2·`pairs` standard normal numbers (Box and Muller): several times as fast as as many calls of `gauss`."""
    found: list[float] = []
    uniform = source.random
    for _ in range(pairs):
        radius = sqrt(-2.0 * log(1.0 - uniform()))
        angle = tau * uniform()
        found += (radius * cos(angle), radius * sin(angle))
    return found


def _digest(seed: int, key: tuple[Key, ...]) -> bytes:
    text = _SEPARATOR.join(map(str, (seed, *key)))
    return hashlib.blake2b(text.encode(), digest_size=32).digest()
