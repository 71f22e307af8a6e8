"""Made-up DLMM pools as account bytes: from named values, or drawn from a seeded generator.

The pool account, oracle and mints start from a recorded pool of ours, so that the real program accepts them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from solders.pubkey import Pubkey
from tests.venues.meteora_dlmm.onchain_data import pool_accounts

from fillwright.domain.accounts import Account, Address, ChainClock, Mint
from fillwright.venues.meteora_dlmm import VENUE
from fillwright.venues.meteora_dlmm.bitmap import PROGRAM_ID, array_address, extension_address
from fillwright.venues.meteora_dlmm.layout import ARRAY_DISCRIMINATOR, EXTENSION_DISCRIMINATOR, DlmmPool
from fillwright.venues.token_program import TOKEN_2022_PROGRAM

NOW = 1_790_000_000
CLOCK = ChainClock(slot=448_500_001, epoch=1038, unix_timestamp=NOW)
BASE = pool_accounts("meteora_dlmm/SYN_gaps_many-arrays")
POOL = next(address for address, account in BASE.items() if VENUE.recognises(account))
_DATA = BASE[POOL].data


def _key(at: int) -> str:
    return str(Pubkey.from_bytes(_DATA[at : at + 32]))


MINT_X, MINT_Y = Mint(_key(88)), Mint(_key(120))
RESERVE_X, RESERVE_Y = Address(_key(152)), Address(_key(184))


@dataclass(frozen=True)
class MadeBin:
    """What a bin holds."""

    x: int = 0
    y: int = 0
    open: int = 0
    processed: int = 0
    sells_x: bool = False
    shares: int = 1 << 80


@dataclass(frozen=True)
class MadePool:
    """The values that matter to a quote; the rest is as in the recorded pool."""

    bins: Mapping[int, MadeBin] = field(default_factory=dict)
    active_id: int = 0
    bin_step: int = 10
    base_factor: int = 10_000
    base_power: int = 0
    filter_period: int = 30
    decay_period: int = 600
    reduction_factor: int = 5_000
    variable_fee_control: int = 40_000
    max_accumulator: int = 350_000
    protocol_share: int = 500
    accumulator: int = 0
    reference: int = 0
    index_reference: int = 0
    updated_at: int = NOW - 10
    function_type: int = 2
    fee_on_y: bool = False
    min_bin_id: int = -443_636
    max_bin_id: int = 443_636
    pair_type: int = 0
    status: int = 0
    activation_type: int = 0
    activation_point: int = 0
    transfer_fee_x: tuple[int, int] | None = None
    transfer_fee_y: tuple[int, int] | None = None

    def accounts(self) -> dict[Address, Account]:
        """All accounts of the pool."""
        made = {k: a for k, a in BASE.items() if a.owner != PROGRAM_ID or len(a.data) not in (904, 10_136, 1_576)}
        arrays: dict[int, bytearray] = {}
        for bin_id, held in self.bins.items():
            data = arrays.setdefault(bin_id // 70, _empty_array(bin_id // 70))
            _write_bin(data, 56 + 144 * (bin_id % 70), bin_price(bin_id, self.bin_step), held)
        for index, data in arrays.items():
            made[array_address(POOL, index)] = Account(PROGRAM_ID, bytes(data))
        if any(not -512 <= index < 512 for index in arrays):
            made[extension_address(POOL)] = Account(PROGRAM_ID, _extension(arrays))
        made[POOL] = Account(PROGRAM_ID, self._pool_bytes(arrays))
        held_x = sum(b.x + (b.open + b.processed if b.sells_x else 0) for b in self.bins.values())
        held_y = sum(b.y + (0 if b.sells_x else b.open + b.processed) for b in self.bins.values())
        for reserve, mint, held_, fee in (
            (RESERVE_X, MINT_X, held_x, self.transfer_fee_x),
            (RESERVE_Y, MINT_Y, held_y, self.transfer_fee_y),
        ):
            account = BASE[reserve]
            data = bytearray(account.data[:165])
            struct.pack_into("<Q", data, 64, min(held_ + 10**6, 2**64 - 1))
            made[reserve] = Account(account.owner, bytes(data))
            if fee is not None:
                extended = bytes(data) + b"\2" + struct.pack("<HH", 2, 8) + bytes(8)
                made[reserve] = Account(TOKEN_2022_PROGRAM, extended)
                made[Address(mint)] = Account(TOKEN_2022_PROGRAM, fee_mint(*fee))
        return made

    def decoded(self) -> DlmmPool:
        """The pool as the venue reads it."""
        return VENUE.decode(POOL, self.accounts())

    def _pool_bytes(self, arrays: Mapping[int, bytearray]) -> bytes:
        data = bytearray(_DATA)
        struct.pack_into(
            "<HHHHIIiiHBBB", data, 8, self.base_factor, self.filter_period, self.decay_period, self.reduction_factor,
            self.variable_fee_control, self.max_accumulator, self.min_bin_id, self.max_bin_id, self.protocol_share,
            self.base_power, self.function_type, int(self.fee_on_y),
        )  # fmt: skip
        memory = (self.accumulator, self.reference, self.index_reference, self.updated_at)
        struct.pack_into("<IIi4xq", data, 40, *memory)
        struct.pack_into("<BiHB", data, 75, self.pair_type, self.active_id, self.bin_step, self.status)
        data[86] = self.activation_type
        struct.pack_into("<Q", data, 816, self.activation_point)
        data[264:552] = bytes(288)
        internal = sum(1 << (index + 512) for index in arrays if -512 <= index < 512)
        data[584:712] = internal.to_bytes(128, "little")
        data[880:882] = bytes([self.transfer_fee_x is not None, self.transfer_fee_y is not None])
        return bytes(data)


def bin_price(bin_id: int, bin_step: int) -> int:
    """(1 + bin_step / 10⁴)^bin_id in 64.64, as close as a pool's stored price needs to be here."""
    base = (1 << 64) + (bin_step << 64) // 10_000
    power, factor = 1 << 64, base
    for bit in range(abs(bin_id).bit_length()):
        if abs(bin_id) >> bit & 1:
            power = power * factor >> 64
        factor = factor * factor >> 64
    return power if bin_id >= 0 else (1 << 128) // power


def fee_mint(bps: int, maximum: int) -> bytes:
    """A Token-2022 mint with a transfer fee."""
    data = bytearray(165)
    struct.pack_into("<Q", data, 36, 2**62)
    data[44:46] = b"\6\1"
    fee = struct.pack("<QQH", 0, maximum, bps)
    return bytes(data) + b"\1" + struct.pack("<HH", 1, 108) + bytes(72) + fee + fee


def _empty_array(index: int) -> bytearray:
    data = bytearray(10_136)
    data[:8] = ARRAY_DISCRIMINATOR
    struct.pack_into("<qB", data, 8, index, 1)
    data[24:56] = bytes(Pubkey.from_string(POOL))
    return data


def _write_bin(data: bytearray, at: int, price: int, held: MadeBin) -> None:
    low = (1 << 64) - 1
    struct.pack_into("<6Q", data, at, held.x, held.y, price & low, price >> 64, held.shares & low, held.shares >> 64)
    struct.pack_into("<QQQIB", data, at + 112, held.open, held.processed, held.processed, 0, int(held.sells_x))


def _extension(arrays: Mapping[int, bytearray]) -> bytes:
    data = bytearray(1_576)
    data[:8] = EXTENSION_DISCRIMINATOR
    data[8:40] = bytes(Pubkey.from_string(POOL))
    for index in arrays:
        if index >= 512:
            data[40 + (index - 512) // 8] |= 1 << (index - 512) % 8
        elif index < -512:
            data[808 + (-index - 513) // 8] |= 1 << (-index - 513) % 8
    return bytes(data)


def drawn_pool(random: Random) -> MadePool:
    """A pool with random parameters: every fee mode, limit orders, gaps, far bins, transfer fees."""
    far = random.random() < 0.15
    step = random.choice([1, 2, 5]) if far else random.choice([1, 2, 10, 25, 80, 100, 250, 400])
    active = random.choice([-1, 1]) * random.randint(35_600, 36_200) if far else random.randint(-200, 200)
    filter_period = random.choice([0, 1, 30, 300])
    pool = MadePool(
        bins=_drawn_bins(random, active),
        active_id=active,
        bin_step=step,
        base_factor=random.choice([0, 100, 5_000, 10_000, 50_000]),
        base_power=random.choice([0, 0, 0, 1, 2]),
        filter_period=filter_period,
        decay_period=random.choice([filter_period, filter_period + 1, 600]),
        reduction_factor=random.choice([0, 5_000, 10_000]),
        variable_fee_control=random.choice([0, 7_500, 40_000, 2_000_000]),
        max_accumulator=random.choice([0, 50_000, 350_000]),
        protocol_share=random.choice([0, 500, 2_500]),
        accumulator=random.randint(0, 350_000),
        reference=random.randint(0, 200_000),
        index_reference=active + random.randint(-15, 15),
        updated_at=NOW - random.choice([0, 1, 29, 30, 31, 300, 599, 600, 5_000]),
        function_type=random.choice([0, 1, 2, 2]),
        fee_on_y=random.random() < 0.3,
    )
    if random.random() < 0.3:
        fee = (random.choice([0, 1, 250, 5_000, 9_999, 10_000]), random.choice([0, 5, 10**5, 2**60]))
        return replace(pool, transfer_fee_y=fee)
    return pool


def _drawn_bins(random: Random, active: int) -> dict[int, MadeBin]:
    span, density = random.choice([3, 20, 150]), random.choice([0.1, 0.5, 1.0])
    with_orders = random.random() < 0.6
    bins = {}
    for bin_id in range(active - span, active + span + 1):
        if random.random() > density:
            continue
        sells_x = bin_id > active or (bin_id == active and random.random() < 0.5)
        orders = with_orders and random.random() < 0.6
        bins[bin_id] = MadeBin(
            x=_drawn_amount(random) if bin_id >= active else 0,
            y=_drawn_amount(random) if bin_id <= active else 0,
            open=_drawn_amount(random) if orders else 0,
            processed=_drawn_amount(random) if orders else 0,
            sells_x=sells_x,
            shares=random.choice([0, 1 << 64, 1 << 100]),
        )
    return bins or {active: MadeBin(x=1_000, y=1_000)}


def _drawn_amount(random: Random) -> int:
    kind = random.random()
    if kind < 0.15:
        return 0
    return random.randint(1, 50) if kind < 0.35 else int(2 ** random.uniform(3, random.choice([20, 36, 44])))


def drawn_amount(random: Random, pool: DlmmPool) -> int:
    """An amount to swap in `pool`: dust, ordinary, or far more than it holds."""
    if random.random() < 0.1:
        return random.choice([random.randint(1, 20), 2**63, 2**64 - 1])
    most = max(pool.balance_x, pool.balance_y, 2)
    return max(1, min(2**64 - 1, int(2 ** random.uniform(1, most.bit_length() + 1))))
