"""Reference prices of the simulated market: log-prices with log-OU volatility and jumps.

In: a seed, a token and a step (slots since genesis). Out: the token's price at that step, a function of these
alone: any step costs a bounded amount of work, however far it is from the last one asked for. Must not: know pools.

Time is cut into blocks of steps, and blocks into eras. Block by block

    x ← a·x + σ·√(block)·e^h·ε + jump,      h ← b·h + c·η,

with the first x of an era taken from the eras before it that still count (a per block is close to 1, so that a
token stays within reach of its base price). Inside a block the path is a Brownian bridge between the two ends.
Beside its own x a token has its part of one that all tokens have in common.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import accumulate
from math import exp, log, sqrt

import msgspec

from fillwright.paper.streams import normals, stream

BLOCK_STEPS = 256
ERA_BLOCKS = 1_024
ERAS_THAT_COUNT = 8
REVERSION = 0.999
VOLATILITY_REVERSION = 0.97
VOLATILITY_OF_VOLATILITY = 0.12
JUMP_PROBABILITY = 0.01
JUMP_SIZE = 0.015
_ERA_REVERSION = REVERSION**ERA_BLOCKS
_MS_PER_YEAR = 365 * 24 * 3_600_000
_CACHED_ERAS = 2 * ERAS_THAT_COUNT
_CACHED_BLOCKS = 4


class _Block(msgspec.Struct, frozen=True):
    """One block's innovations: `diffusion` at its end, and a jump (0: none) at step `jump_at`."""

    diffusion: float
    spread: float
    jump: float
    jump_at: int


class ReferencePrice:
    """One token's price in dollars. `volatility` is annual, 0 for a token that never moves.

    `loading`: how much of `common`'s logarithm it takes along, beside the movement of its own.
    """

    def __init__(
        self,
        *,
        seed: int,
        token: str,
        base_price: float,
        volatility: float,
        slot_ms: int,
        common: ReferencePrice | None = None,
        loading: float = 0.0,
    ) -> None:
        self._seed = seed
        self._token = token
        self._base = log(base_price)
        self._volatility = volatility
        self._step_spread = volatility * sqrt(slot_ms / _MS_PER_YEAR)
        self._common = common if loading else None
        self._loading = loading
        self._sums: OrderedDict[int, float] = OrderedDict()
        self._era: tuple[int, list[_Block], list[float]] | None = None
        self._paths: OrderedDict[int, list[float]] = OrderedDict()

    def log_price(self, step: int) -> float:
        """Natural logarithm of the price at `step` >= 0."""
        if not self._volatility and self._common is None:
            return self._base
        block, offset = divmod(step, BLOCK_STEPS)
        return self._path(block)[offset]

    def price(self, step: int) -> float:
        return exp(self.log_price(step))

    def _path(self, block: int) -> list[float]:
        path = self._paths.get(block)
        if path is None:
            path = self._paths[block] = self._bridge(block)
            if len(self._paths) > _CACHED_BLOCKS:
                self._paths.popitem(last=False)
        return path

    def _bridge(self, block: int) -> list[float]:
        """Log-prices of the block's steps: a walk, tilted so that it ends where the next block begins."""
        era, index = divmod(block, ERA_BLOCKS)
        blocks, ends = self._open_era(era)
        part, start, end = blocks[index], ends[index], ends[index + 1]
        walk = [0.0, *accumulate(normals(stream(self._seed, "path", self._token, block), BLOCK_STEPS // 2))]
        spread = part.spread
        tilt = (end - start - part.jump - spread * walk[-1]) / BLOCK_STEPS
        first = self._base + start
        own = [
            first + spread * walk[step] + step * tilt + (part.jump if step >= part.jump_at else 0.0)
            for step in range(BLOCK_STEPS)
        ]
        if self._common is None:
            return own
        shared = self._common._path(block)
        return [mine + self._loading * theirs for mine, theirs in zip(own, shared, strict=True)]

    def _open_era(self, era: int) -> tuple[list[_Block], list[float]]:
        """The era's blocks, and the value at each block's start and at the era's end."""
        if self._era is None or self._era[0] != era:
            blocks, value = self._blocks(era), self._start(era)
            ends = [value]
            for block in blocks:
                value = REVERSION * value + block.diffusion + block.jump
                ends.append(value)
            ends[-1] = self._start(era + 1)
            self._era = (era, blocks, ends)
        return self._era[1], self._era[2]

    def _start(self, era: int) -> float:
        """The value at the era's start: what is left of the eras before. Further back, less than 0.03 % is left."""
        return sum(_ERA_REVERSION**age * self._sum(era - 1 - age) for age in range(ERAS_THAT_COUNT))

    def _sum(self, era: int) -> float:
        """What one era's innovations have come to at its end."""
        total = self._sums.get(era)
        if total is None:
            total = self._sum_before(era) if era < 0 else self._sum_of(era)
            self._sums[era] = total
            if len(self._sums) > _CACHED_ERAS:
                self._sums.popitem(last=False)
        return total

    def _sum_of(self, era: int) -> float:
        total = 0.0
        for block in self._blocks(era):
            total = REVERSION * total + block.diffusion + block.jump
        return total

    def _sum_before(self, era: int) -> float:
        """Of an era that nobody looks into: drawn as a whole, with the variance that its blocks would have."""
        of_block = self._step_spread**2 * BLOCK_STEPS + JUMP_PROBABILITY * (JUMP_SIZE * self._volatility) ** 2
        blocks = (1 - _ERA_REVERSION**2) / (1 - REVERSION**2)
        return stream(self._seed, "before", self._token, era).gauss(0.0, sqrt(of_block * blocks))

    def _blocks(self, era: int) -> list[_Block]:
        source = stream(self._seed, "era", self._token, era)
        deviation = VOLATILITY_OF_VOLATILITY / sqrt(1 - VOLATILITY_REVERSION**2)
        excess = source.gauss(0.0, deviation)
        blocks = []
        for _ in range(ERA_BLOCKS):
            excess = VOLATILITY_REVERSION * excess + source.gauss(0.0, VOLATILITY_OF_VOLATILITY)
            # The mean of e^(2h) is taken out again: `volatility` is what the path has on average.
            spread = self._step_spread * exp(excess - deviation * deviation)
            jumps = source.random() < JUMP_PROBABILITY
            jump = source.gauss(0.0, JUMP_SIZE * self._volatility)
            jump_at = int(source.random() * BLOCK_STEPS)
            diffusion = source.gauss(0.0, spread * sqrt(BLOCK_STEPS))
            blocks.append(_Block(diffusion, spread, jump if jumps else 0.0, jump_at))
        return blocks
