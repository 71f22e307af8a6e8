"""Made-up CLMM pools: any positions, prices, fees, rewards, mints and gaps, as consistent account bytes.

A seeded generator in, the accounts of one pool out. Addresses and bumps are those that the program derives, so
that its own bytecode accepts them too.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import random
from collections import defaultdict
from dataclasses import dataclass

from solders.pubkey import Pubkey

from fillwright.domain.accounts import Account, Address, ChainClock, Mint
from fillwright.domain.errors import QuoteRefused
from fillwright.venues.raydium_clmm.ladder import Ladder
from fillwright.venues.raydium_clmm.layout import ClmmPool
from fillwright.venues.raydium_clmm.quote import Side
from fillwright.venues.raydium_clmm.tick_arrays import PROGRAM_ID, array_address, extension_address
from fillwright.venues.raydium_clmm.tick_math import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    sqrt_price_at,
    tick_at,
)
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TOKEN_PROGRAM

U64_MAX = 2**64 - 1
U128_MAX = 2**128 - 1
CLOCK = ChainClock(slot=433_200_000, epoch=1002, unix_timestamp=1_784_000_000)
SPACINGS = (1, 1, 1, 2, 5, 8, 10, 10, 14, 15, 20, 60, 60, 100, 120, 200, 1000, 7395)
VAULT_BALANCE = 2**62

ARRAY_TICKS = 60


@dataclass(frozen=True)
class MadePool:
    address: Address
    accounts: dict[Address, Account]


def tag(account: str) -> bytes:
    """Anchor's discriminator of an account type."""
    return hashlib.sha256(f"account:{account}".encode()).digest()[:8]


def little(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def raw(address: str) -> bytes:
    return bytes(Pubkey.from_string(address))


def log_uniform(draw: random.Random, low: int, high: int) -> int:
    return int(2 ** draw.uniform(math.log2(low), math.log2(high)))


def mint_account(*fees: tuple[int, int, int], token_2022: bool = False, extension: bytes = b"") -> Account:
    """A mint; two `fees` of (epoch, maximum, bps) make a transfer-fee extension, or else `extension` as it is."""
    data = bytearray(82)
    data[36:44] = little(2**63, 8)
    data[44], data[45] = 6, 1
    if fees:
        extension = little(1, 2) + little(108, 2) + bytes(72)
        extension += b"".join(little(part, size) for fee in fees for part, size in zip(fee, (8, 8, 2), strict=True))
    if extension:
        data = data.ljust(165, b"\0") + b"\1" + extension
    return Account(TOKEN_2022_PROGRAM if token_2022 or extension else TOKEN_PROGRAM, bytes(data))


def vault_account(mint: Address, mint_held: Account, owner: Address, balance: int) -> Account:
    data = bytearray(165)
    data[0:32], data[32:64], data[64:72], data[108] = raw(mint), raw(owner), little(balance, 8), 1
    if mint_held.owner == TOKEN_2022_PROGRAM and len(mint_held.data) > 166:
        data += b"\2" + little(2, 2) + little(8, 2) + bytes(8)
    return Account(mint_held.owner, bytes(data))


class _Maker:
    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.spacing = draw.choice(SPACINGS)
        self.accounts: dict[Address, Account] = {}

    def key(self) -> Address:
        return Address(str(Pubkey.from_bytes(self.draw.randbytes(32))))

    def chance(self, probability: float) -> bool:
        return self.draw.random() < probability

    def make(self) -> MadePool:
        draw = self.draw
        config, vault_0, vault_1, observation = (self.key() for _ in range(4))
        mint_0, mint_1 = sorted((self.key() for _ in range(2)), key=raw)
        seeds = [b"pool", raw(config), raw(mint_0), raw(mint_1)]
        key, bump = Pubkey.find_program_address(seeds, Pubkey.from_string(PROGRAM_ID))
        address = Address(str(key))
        for mint, vault in ((mint_0, vault_0), (mint_1, vault_1)):
            self.accounts[mint] = self.any_mint()
            balance = VAULT_BALANCE if self.chance(0.9) else 2**63 - 1
            self.accounts[vault] = vault_account(mint, self.accounts[mint], address, balance)
        positions = self.positions()
        sqrt_price, tick = self.price(positions)
        liquidity = sum(amount for lower, upper, amount in positions if lower <= tick < upper)
        self.accounts[config] = self.config()
        self.accounts[observation] = Account(
            PROGRAM_ID, tag("ObservationState") + b"\1" + bytes(10) + raw(address) + bytes(44 * 100 + 32)
        )
        growths = [self.growth() for _ in range(2)]
        rewards = [self.reward() for _ in range(3)]
        bitmap = self.arrays(address, positions, [*growths, *(growth for _, growth in rewards)])
        self.accounts[address] = Account(
            PROGRAM_ID,
            tag("PoolState")
            + bytes((bump,))
            + raw(config)
            + draw.randbytes(32)
            + b"".join(raw(held) for held in (mint_0, mint_1, vault_0, vault_1, observation))
            + bytes((9, 6))
            + little(self.spacing, 2)
            + little(liquidity, 16)
            + little(sqrt_price, 16)
            + tick.to_bytes(4, "little", signed=True)
            + bytes(4)
            + b"".join(little(growth, 16) for growth in growths)
            + little(self.total(), 8)
            + little(self.total(), 8)
            + b"".join(little(log_uniform(draw, 1, 2**70), 16) for _ in range(4))
            + bytes((0 if self.chance(0.97) else draw.choice((15, 16, 31)),))
            + bytes(7)
            + b"".join(reward for reward, _ in rewards)
            + little(bitmap, 128)
            + b"".join(little(self.total(), 8) + bytes(8) for _ in range(2))
            + little(self.total(), 8)
            + little(self.total(), 8)
            + little(self.open_time(), 8)
            + bytes(8 + 56 * 8),
        )
        return MadePool(address, self.accounts)

    def positions(self) -> list[tuple[int, int, int]]:
        draw, spacing = self.draw, self.spacing
        top = MAX_TICK // spacing
        kind = draw.random()
        if kind < 0.7:
            center = draw.randint(-50, 50) * ARRAY_TICKS
        elif kind < 0.85:
            center = draw.choice((-1, 1)) * 30_720 + draw.randint(-100, 100)
        elif kind < 0.93:
            center = draw.randint(-top, top)
        else:
            center = draw.choice((-1, 1)) * (top - draw.randint(0, 200))
        center = max(1 - top, min(top - 1, center))
        spread = draw.choice((5, 50, 200, 2000))
        scale = log_uniform(draw, 2, 2**95) if self.chance(0.3) else log_uniform(draw, 2**20, 2**60)
        found = []
        for _ in range(draw.choice((1, 2, 3, 5, 10, 30))):
            lower = max(-top, min(top, center + draw.randint(-spread, spread)))
            upper = min(top, lower + draw.choice((1, 1, 2, 5, 60, draw.randint(1, spread))))
            if lower < upper:
                found.append((lower * spacing, upper * spacing, max(1, int(scale * draw.uniform(0.01, 1)))))
        if not found or self.chance(0.4):
            found.append((-top * spacing, top * spacing, max(1, int(scale * draw.uniform(0.0001, 0.1)))))
        return found

    def price(self, positions: list[tuple[int, int, int]]) -> tuple[int, int]:
        """Anywhere between ticks, exactly on one (before and after crossing it), or beside one."""
        draw = self.draw
        kind = draw.random()
        boundary = draw.choice(positions)[draw.randint(0, 1)]
        if kind < 0.6:
            tick = max(MIN_TICK, min(MAX_TICK - 1, boundary + draw.randint(-2 * self.spacing, 2 * self.spacing)))
            return draw.randint(sqrt_price_at(tick), sqrt_price_at(tick + 1) - 1), tick
        if kind < 0.85:
            crossed_downwards = self.chance(0.5) and boundary > MIN_TICK
            return sqrt_price_at(boundary), boundary - crossed_downwards
        beside = sqrt_price_at(boundary) + draw.choice((-2, -1, 1))
        sqrt_price = max(MIN_SQRT_PRICE, min(MAX_SQRT_PRICE - 1, beside))
        return sqrt_price, tick_at(sqrt_price)

    def arrays(self, address: Address, positions: list[tuple[int, int, int]], growths: list[int]) -> int:
        """Put the tick arrays and the bitmap extension in place; the pool's own bitmap."""
        net: defaultdict[int, int] = defaultdict(int)
        gross: defaultdict[int, int] = defaultdict(int)
        for lower, upper, amount in positions:
            net[lower] += amount
            net[upper] -= amount
            gross[lower] += amount
            gross[upper] += amount
        span = ARRAY_TICKS * self.spacing
        by_number: defaultdict[int, list[int]] = defaultdict(list)
        for tick in gross:
            by_number[tick // span].append(tick)
        own, above, below = 0, [0] * 14, [0] * 14
        for number, ticks in by_number.items():
            if -512 <= number < 512:
                own |= 1 << number + 512
            elif number > 0:
                above[number // 512 - 1] |= 1 << number % 512
            else:
                below[-(number // 512) - 2] |= 1 << number % 512
            data = bytearray(10_240)
            start = number * span
            data[:44] = tag("TickArrayState") + raw(address) + start.to_bytes(4, "little", signed=True)
            for tick in ticks:
                outside = b"".join(little(self.draw.randint(0, growth), 16) for growth in growths)
                if self.chance(0.003):
                    outside = little(U128_MAX, 16) + outside[16:]
                at = 44 + 168 * ((tick - start) // self.spacing)
                data[at : at + 116] = (
                    tick.to_bytes(4, "little", signed=True)
                    + net[tick].to_bytes(16, "little", signed=True)
                    + little(gross[tick], 16)
                    + outside
                )
            data[10_124] = len(ticks)
            if self.chance(0.985):
                self.accounts[array_address(address, start)] = Account(PROGRAM_ID, bytes(data))
        beyond = any(above) or any(below)
        if self.chance(0.95 if beyond else 0.6):
            bits = b"".join(little(bitmap, 64) for bitmap in (*above, *below))
            data = bytearray(tag("TickArrayBitmapExtension") + raw(address) + bits)
            self.accounts[extension_address(address)] = Account(PROGRAM_ID, bytes(data))
        return own

    def any_mint(self) -> Account:
        draw = self.draw
        kind = draw.random()
        if kind < 0.65:
            return mint_account(token_2022=kind > 0.55)
        maximum = (0, 1, 1000, 10**7, U64_MAX, U64_MAX)
        share = (0, 1, 37, 100, 300, 2500, 9999, 10_000)
        epochs = (CLOCK.epoch - 5, CLOCK.epoch + draw.randint(-1, 1))
        return mint_account(*((epoch, draw.choice(maximum), draw.choice(share)) for epoch in epochs))

    def config(self) -> Account:
        draw = self.draw
        trade = draw.choice((0, 1, 100, 500, 2500, 10_000, draw.randint(0, 999_999)))
        protocol, fund = draw.choice((0, 120_000, draw.randint(0, 500_000))), draw.choice((0, 40_000, 500_000))
        data = tag("AmmConfig") + bytes(35) + little(protocol, 4) + little(trade, 4) + little(self.spacing, 2)
        return Account(PROGRAM_ID, (data + little(fund, 4)).ljust(117, b"\0"))

    def growth(self) -> int:
        if self.chance(0.03):
            return U128_MAX - log_uniform(self.draw, 1, 2**66)
        return self.draw.choice((0, log_uniform(self.draw, 1, 2**120)))

    def total(self) -> int:
        return U64_MAX - log_uniform(self.draw, 1, 2**40) if self.chance(0.01) else log_uniform(self.draw, 1, 2**50)

    def open_time(self) -> int:
        late = (CLOCK.unix_timestamp, CLOCK.unix_timestamp + 1) if self.chance(0.1) else ()
        return self.draw.choice((0, 0, 0, CLOCK.unix_timestamp - 1, CLOCK.unix_timestamp - 1, *late))

    def reward(self) -> tuple[bytes, int]:
        if self.chance(0.85):
            return bytes(169), 0
        draw, now = self.draw, CLOCK.unix_timestamp
        opens = now - draw.choice((-10, 0, 1000))
        ends = max(opens + 7, now + draw.choice((-5, 0, 100_000)))
        updated = min(opens, now) - draw.choice((0, 5, -1))
        growth = log_uniform(draw, 1, 2**126)
        times = b"".join(little(time, 8) for time in (opens, ends, updated))
        emitted = U64_MAX - 5 if self.chance(0.1) else 10**9
        fixed = little(log_uniform(draw, 1, 2**90), 16) + little(emitted, 8) + bytes(8)
        return b"\2" + times + fixed + draw.randbytes(96) + little(growth, 16), growth


def make(seed: int) -> MadePool:
    """The pool number `seed`."""
    return _Maker(random.Random(seed)).make()


def any_amount(draw: random.Random, pool: ClmmPool, side: Side, *, exact_in: bool) -> int:
    """An amount worth trying: around the boundaries of steps, around 2^64, or anything between."""
    ladder = Ladder(pool, side.zero_for_one)
    ladder.extend(log_uniform(draw, 1, U64_MAX))
    sums = ladder.inputs if exact_in else ladder.outputs
    kind = draw.random()
    if kind < 0.5:
        amount = max(draw.choice(sums) + draw.randint(-3, 3), 1)
        with contextlib.suppress(QuoteRefused):
            amount = side.fee_in.gross(amount) if exact_in else amount - side.fee_out.on(amount)
    elif kind < 0.55:
        amount = draw.choice((1, 2, 3, U64_MAX, 2**63, 2**62))
    elif kind < 0.8:
        amount = int(sums[-1] * draw.uniform(0, 1.1))
    else:
        amount = log_uniform(draw, 1, U64_MAX)
    return max(1, min(U64_MAX, amount))


def other_mint(pool: ClmmPool, mint: Mint) -> Mint:
    return pool.mint_1 if mint == pool.mint_0 else pool.mint_0
