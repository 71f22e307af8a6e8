"""Made-up DAMM v2 pools as account bytes, written field by field from the program's public layout."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field

from solders.pubkey import Pubkey

from fillwright.domain.accounts import Account, Address, ChainClock
from fillwright.venues.meteora_damm_v2.layout import POOL_AUTHORITY, PROGRAM_ID
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TOKEN_PROGRAM

U64_MAX = 2**64 - 1
MIN_SQRT_PRICE = 4295048016
MAX_SQRT_PRICE = 79226673521066979257578248091
POOL = Address(str(Pubkey.from_bytes(b"\x01" * 32)))
MINT_A = Address(str(Pubkey.from_bytes(b"\x02" * 32)))
MINT_B = Address(str(Pubkey.from_bytes(b"\x03" * 32)))
VAULT_A = Address(str(Pubkey.from_bytes(b"\x04" * 32)))
VAULT_B = Address(str(Pubkey.from_bytes(b"\x05" * 32)))
CLOCK = ChainClock(slot=400_000_000, epoch=900, unix_timestamp=1_780_000_000)

CONSTANT = struct.pack("<QB5xHQQ", 2_500_000, 0, 0, 0, 0)


def time_scheduler(cliff: int, periods: int, period: int, reduction: int, *, exponential: bool = False) -> bytes:
    return struct.pack("<QB5xHQQ", cliff, int(exponential), periods, period, reduction)


def rate_limiter(cliff: int, increment_bps: int, duration: int, max_fee_bps: int, reference_amount: int) -> bytes:
    return struct.pack("<QB5xHIIQ", cliff, 2, increment_bps, duration, max_fee_bps, reference_amount)


def market_cap_scheduler(
    cliff: int, periods: int, step_bps: int, duration: int, reduction: int, *, exponential: bool = False
) -> bytes:
    return struct.pack("<QB5xHIIQ", cliff, 4 if exponential else 3, periods, step_bps, duration, reduction)


def transfer_fee(older: tuple[int, int, int], newer: tuple[int, int, int]) -> bytes:
    """Each (epoch, maximum, bps)."""
    return bytes(72) + struct.pack("<QQH", *older) + struct.pack("<QQH", *newer)


@dataclass(frozen=True)
class Dynamic:
    max_volatility: int = 14_460_000
    control: int = 956
    bin_step: int = 1
    filter_period: int = 10
    decay_period: int = 120
    reduction_bps: int = 5_000
    last_update: int = CLOCK.unix_timestamp - 5
    bin_step_q64: int = 1844674407370955
    reference: int = 1 << 64
    volatility: int = 300_000
    volatility_reference: int = 100_000
    enabled: int = 1


@dataclass(frozen=True)
class MadePool:
    """Defaults: an open full-range pool at price 1 with 10¹² of each token and a constant fee of 0.25 %."""

    base_fee: bytes = CONSTANT
    dynamic: Dynamic | None = None
    protocol_percent: int = 20
    compounding_bps: int = 0
    first_sqrt_price: int = 0
    liquidity: int = 10**12 << 64
    sqrt_min: int = MIN_SQRT_PRICE
    sqrt_max: int = MAX_SQRT_PRICE
    sqrt_price: int = 1 << 64
    activation_point: int = CLOCK.unix_timestamp - 100
    by_time: int = 1
    status: int = 0
    fee_mode: int = 0
    fee_version: int = 1
    layout_version: int = 1
    reserves: tuple[int, int] = (10**12, 10**12)
    balances: tuple[int, int] = (2 * 10**12, 2 * 10**12)
    protocol_fees: tuple[int, int] = (0, 0)
    total_protocol_fees: tuple[int, int] = (0, 0)
    per_liquidity: tuple[int, int] = (0, 0)
    total_lp: tuple[int, int] = (0, 0)
    fee_a: bytes | None = None
    fee_b: bytes | None = None
    decimals: tuple[int, int] = (9, 6)
    edits: dict[int, bytes] = field(default_factory=dict)

    def pool_bytes(self) -> bytes:
        data = bytearray(1112)

        def put(at: int, raw: bytes) -> None:
            data[at : at + len(raw)] = raw

        put(0, bytes.fromhex("f19a6d0411b16dbc"))
        put(8, self.base_fee)
        put(48, struct.pack("<BxBxxxH", self.protocol_percent, 20, self.compounding_bps))
        if self.dynamic is not None:
            d = self.dynamic
            put(56, struct.pack("<B7xIIHHHHQ", d.enabled, d.max_volatility, d.control, d.bin_step, d.filter_period,
                                d.decay_period, d.reduction_bps, d.last_update))  # fmt: skip
            for index, value in enumerate((d.bin_step_q64, d.reference, d.volatility, d.volatility_reference)):
                put(88 + 16 * index, value.to_bytes(16, "little"))
        put(152, self.first_sqrt_price.to_bytes(16, "little"))
        for at, address in ((168, MINT_A), (200, MINT_B), (232, VAULT_A), (264, VAULT_B)):
            put(at, bytes(Pubkey.from_string(address)))
        put(360, self.liquidity.to_bytes(16, "little"))
        put(392, struct.pack("<QQ", *self.protocol_fees))
        for at, value in ((424, self.sqrt_min), (440, self.sqrt_max), (456, self.sqrt_price)):
            put(at, value.to_bytes(16, "little"))
        flags = (int(self.fee_a is not None), int(self.fee_b is not None))
        put(472, struct.pack("<QBBBBBBB", self.activation_point, self.by_time, self.status, *flags, self.fee_mode, 0,
                             self.fee_version))  # fmt: skip
        for side in (0, 1):
            put(488 + 32 * side, self.per_liquidity[side].to_bytes(32, "little"))
            put(568 + 16 * side, self.total_lp[side].to_bytes(16, "little"))
        put(600, struct.pack("<QQ", *self.total_protocol_fees))
        put(680, struct.pack("<QQB", *self.reserves, self.layout_version))
        for at, raw in self.edits.items():
            put(at, raw)
        return bytes(data)

    def accounts(self) -> dict[Address, Account]:
        return {
            POOL: Account(PROGRAM_ID, self.pool_bytes(), 10**10),
            MINT_A: mint_account(self.fee_a, self.decimals[0]),
            MINT_B: mint_account(self.fee_b, self.decimals[1]),
            VAULT_A: token_account(MINT_A, POOL_AUTHORITY, self.balances[0], with_fee=self.fee_a is not None),
            VAULT_B: token_account(MINT_B, POOL_AUTHORITY, self.balances[1], with_fee=self.fee_b is not None),
        }


def mint_account(fee: bytes | None, decimals: int) -> Account:
    mint = bytes(36) + struct.pack("<QBB", U64_MAX, decimals, 1) + bytes(36)
    if fee is None:
        return Account(TOKEN_PROGRAM, mint, 10**10)
    return Account(TOKEN_2022_PROGRAM, mint + bytes(83) + b"\x01" + struct.pack("<HH", 1, 108) + fee, 10**10)


def token_account(mint: Address, owner: Address | str, balance: int, *, with_fee: bool) -> Account:
    keys = bytes(Pubkey.from_string(mint)) + bytes(Pubkey.from_string(owner))
    data = keys + struct.pack("<Q", balance) + bytes(36) + b"\x01" + bytes(56)
    if not with_fee:
        return Account(TOKEN_PROGRAM, data, 10**10)
    extensions = b"\x02" + struct.pack("<HH", 7, 0) + struct.pack("<HHQ", 2, 8, 0)
    return Account(TOKEN_2022_PROGRAM, data + extensions, 10**10)


def random_pool(draw: random.Random) -> MadePool:
    """Any pool that the program can hold, and a few that it can't: every fee mode, status and range."""
    price = int(2.0 ** draw.uniform(44, 84)) if draw.random() < 0.8 else 1 << 64
    low, high = MIN_SQRT_PRICE, MAX_SQRT_PRICE
    if draw.random() < 0.5:
        low, high = int(price * draw.uniform(0.7, 1)), int(price * draw.uniform(1, 1.4))
    liquidity = int(2.0 ** draw.uniform(66, 118))
    mode = draw.choice((0, 1, 1, 2, 2))
    holdings = (int(2 ** draw.uniform(8, 50)), int(2 ** draw.uniform(8, 50)))
    if mode != 2:
        holdings = (
            min(liquidity * (high - price) // (price * high) + 1, U64_MAX // 4),
            min((liquidity * (price - low) >> 128) + 1, U64_MAX // 4),
        )
    if draw.random() < 0.05:
        holdings = (holdings[0] // 3, holdings[1] // 3)
    slack = draw.choice((0, 0, 10**6, -holdings[1] // 2 if draw.random() < 0.1 else 10**9))
    by_time = draw.choice((0, 1, 1))
    now = CLOCK.unix_timestamp if by_time else CLOCK.slot
    activation = now - draw.choice((0, 1, 50, 3_600, 100_000)) if draw.random() < 0.95 else now + 1
    first = int(price * draw.uniform(0.5, 1.2)) if draw.random() < 0.95 else 0
    return MadePool(
        base_fee=_random_base_fee(draw),
        dynamic=_random_dynamic(draw, price) if draw.random() < 0.5 else None,
        protocol_percent=draw.choice((20, 20, 10, 0, 50)) if draw.random() < 0.97 else 150,
        compounding_bps=draw.choice((0, 1, 2_500, 10_000)) if mode == 2 or draw.random() < 0.05 else 0,
        first_sqrt_price=first,
        liquidity=liquidity if draw.random() < 0.98 else 0,
        sqrt_min=low if mode != 2 else 0,
        sqrt_max=high if mode != 2 else 2**128 - 1,
        sqrt_price=price,
        activation_point=activation,
        by_time=by_time,
        status=0 if draw.random() < 0.98 else draw.choice((1, 2)),
        fee_mode=mode if draw.random() < 0.99 else 3,
        fee_version=draw.choice((0, 1)) if draw.random() < 0.99 else 2,
        layout_version=draw.choice((0, 1, 1)) if draw.random() < 0.99 else 2,
        reserves=holdings,
        balances=(max(holdings[0] + slack, 0), max(holdings[1] + slack, 0)),
        protocol_fees=(draw.choice((0, 10**6)), draw.choice((0, 10**6)) if draw.random() < 0.97 else U64_MAX - 5),
        total_protocol_fees=(0, 0 if draw.random() < 0.98 else U64_MAX - 5),
        per_liquidity=(0, 0 if draw.random() < 0.98 else 2**256 - 2**70),
        total_lp=(0, 0 if draw.random() < 0.98 else 2**128 - 5),
        fee_a=_random_transfer_fee(draw) if draw.random() < 0.3 else None,
        fee_b=_random_transfer_fee(draw) if draw.random() < 0.3 else None,
    )


def _random_base_fee(draw: random.Random) -> bytes:
    cliff = draw.choice(
        (100_000, 2_500_000, 30_000_000, 500_000_000, 600_000_000, 990_000_000, int(10 ** draw.uniform(5, 9)))
    )
    kind = draw.randrange(8)
    periods = draw.choice((0, 1, 7, 100, 65_535))
    reduction = draw.choice((0, 1, 37, 500, 9_999, 10_000)) if draw.random() < 0.97 else 10_001
    linear = draw.choice((0, 1_000, cliff // max(periods, 1), cliff // max(periods, 1) + 1))
    exponential = draw.random() < 0.5
    amount = reduction if exponential else linear
    if kind < 2:
        return time_scheduler(cliff, periods, draw.choice((0, 1, 60, 3_600)), amount, exponential=exponential)
    if kind < 4:
        step, duration = draw.choice((0, 1, 50, 1_000)), draw.choice((0, 50, 10**6))
        return market_cap_scheduler(cliff, periods, step, duration, amount, exponential=exponential)
    if kind < 7:
        sane = draw.random() < 0.85
        reference = int(2 ** draw.uniform(1, 45)) if sane else draw.choice((0, 1, U64_MAX, 2**62))
        increment = draw.choice((1, 10, 50, 500, 5_000)) if sane else draw.choice((0, 10_000, 65_535))
        maximum = draw.choice((5_000, 9_900)) if sane else draw.choice((0, 10, 10_000, 20_000, 2**32 - 1))
        duration = draw.choice((50, 3_600, 40_000)) if sane else draw.choice((0, 2**32 - 1))
        sane_cliff = min(cliff, maximum * 100_000) if draw.random() < 0.9 else cliff
        return rate_limiter(sane_cliff, increment, duration, maximum, reference)
    if draw.random() < 0.1:
        return rate_limiter(cliff, 0, 0, 0, 0)
    return time_scheduler(cliff, 0, 0, 0)


def _random_dynamic(draw: random.Random, price: int) -> Dynamic:
    wild = draw.random() < 0.1
    return Dynamic(
        max_volatility=draw.choice((0, 350_000, 14_460_000, 2**32 - 1)),
        control=draw.choice((1, 956, 50_000)) if not wild else 2**32 - 1,
        bin_step=draw.choice((1, 1, 100)) if not wild else 65_535,
        filter_period=draw.choice((0, 10, 60)),
        decay_period=draw.choice((10, 120, 600)),
        reduction_bps=draw.choice((0, 5_000, 10_000)),
        last_update=CLOCK.unix_timestamp - draw.choice((-10, 0, 5, 30, 200, 10_000)),
        bin_step_q64=1844674407370955 if not wild else draw.choice((0, 1, 2**64)),
        reference=int(price * draw.uniform(0.5, 2)) if not wild else draw.choice((0, 1, 2**128 - 1)),
        volatility=int(10 ** draw.uniform(0, 7)) if not wild else draw.choice((0, 2**64, 2**127)),
        volatility_reference=int(10 ** draw.uniform(0, 6)) if not wild else draw.choice((0, 2**128 - 1)),
    )


def _random_transfer_fee(draw: random.Random) -> bytes:
    def one(epoch: int) -> tuple[int, int, int]:
        maximum = draw.choice((0, 1, 5_000, 10**9, U64_MAX))
        return epoch, maximum, draw.choice((0, 1, 30, 150, 300, 9_999, 10_000))

    return transfer_fee(one(draw.choice((0, 890))), one(CLOCK.epoch + draw.choice((-1, 0, 1))))


def random_amount(draw: random.Random, pool: MadePool, *, a_to_b: bool, exact_in: bool) -> int:
    """Mostly ordinary, often at an edge: dust, the range's end, the reserve, the limits of u64."""
    kind = draw.random()
    if kind < 0.1:
        return draw.choice((1, 2, 3, 7, U64_MAX, U64_MAX - 1, 2**63))
    base_fee_reference = int.from_bytes(pool.base_fee[24:32], "little")
    if kind < 0.2 and pool.base_fee[8] == 2:
        return min(max(base_fee_reference * draw.randrange(1, 60) + draw.randrange(-3, 4), 1), U64_MAX)
    reserve_in, reserve_out = pool.reserves if a_to_b else pool.reserves[::-1]
    if not exact_in:
        share = draw.choice((draw.random(), 10 ** draw.uniform(-6, 0.1)))
        return min(max(int(reserve_out * share) + draw.randrange(-3, 4), 1), U64_MAX)
    edge = reserve_in
    if pool.fee_mode != 2 and pool.liquidity and pool.sqrt_price:
        edge = pool.liquidity * (pool.sqrt_max - pool.sqrt_price) >> 128
        if a_to_b:
            edge = pool.liquidity * (pool.sqrt_price - pool.sqrt_min) // max(pool.sqrt_price * pool.sqrt_min, 1)
    if kind < 0.4:
        return min(max(edge + draw.randrange(-3, 4), 1), U64_MAX)
    return min(max(int(edge * 10 ** draw.uniform(-7, 0.2)), 1), U64_MAX)
