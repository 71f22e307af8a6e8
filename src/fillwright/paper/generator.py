"""Made-up markets for tests and benchmarks: any number of real pool values of all six venues, from a seed.

In: a seed, a number of pools, a number of tokens. Out: a snapshot. Must not: read a clock; the same arguments give
the same market, and pool k is the same whatever the number of pools.

Tokens have one price each (those of one cluster move together), so that every cycle of pairs is consistent up to
each pool's own noise. A few hub tokens are in most pairs, as on the real chain; liquidity is log-normal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from math import exp, isqrt, log, sqrt
from random import Random

import msgspec
from solders.pubkey import Pubkey

from fillwright.domain.accounts import WRAPPED_SOL, Address, ChainClock, Mint
from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import Refusal
from fillwright.market.snapshot import Snapshot, index_pairs
from fillwright.paper.whole_range import whole_range_damm_v2
from fillwright.venues.meteora_damm_v1.layout import DammV1Pool, Fees, Stable, Vault
from fillwright.venues.meteora_damm_v2.layout import Side
from fillwright.venues.meteora_dlmm.bitmap import BINS_PER_ARRAY, BITMAP_OFFSET, is_internal
from fillwright.venues.meteora_dlmm.layout import Bin, BinArray, DlmmPool, FeeParameters, Volatility
from fillwright.venues.raydium_amm_v4.layout import STATUS_SWAP_ONLY, AmmV4Pool
from fillwright.venues.raydium_clmm.layout import Books, ClmmPool, End
from fillwright.venues.raydium_clmm.tick_arrays import TICKS_PER_ARRAY, Bitmap, TickArray, array_number
from fillwright.venues.raydium_clmm.tick_math import sqrt_price_at, tick_at
from fillwright.venues.raydium_cpmm.layout import CpmmPool
from fillwright.venues.token_program import TOKEN_PROGRAM, MintInfo
from fillwright.venues.venue import Pool

CLOCK = ChainClock(slot=300_000_000, epoch=694, unix_timestamp=1_750_000_000)
HUBS = 4
MAX_POOLS = 1_000_000
_DECIMALS = (9, 6, 6, 8, 6, 5, 9)
_Q64 = 1 << 64
_EMPTY = End(Refusal.LIQUIDITY_EXHAUSTED, "no initialised tick is left in this direction")
_NO_BOOKS = Books((0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), ())


class Coin(msgspec.Struct, frozen=True):
    """A made-up token. `dollars` is the price of a whole token."""

    mint: Mint
    decimals: int
    dollars: float

    @property
    def unit_price(self) -> float:
        """Dollars for one base unit."""
        return self.dollars / 10.0**self.decimals

    @property
    def info(self) -> MintInfo:
        return MintInfo(TOKEN_PROGRAM, self.decimals, U64_MAX)


class _Draft(msgspec.Struct, frozen=True):
    """What a venue's maker works from: base units of side 1 for one of side 0, and what each side holds."""

    address: Address
    coins: tuple[Coin, Coin]
    price: float
    holds: tuple[int, int]


def coins(seed: int, count: int) -> tuple[Coin, ...]:
    """`count` tokens, the first HUBS of them hubs: wSOL, then two of one dollar."""
    return tuple(_coin(seed, at) for at in range(count))


def _coin(seed: int, at: int) -> Coin:
    if at == 0:
        return Coin(WRAPPED_SOL, 9, 150.0)
    draw = Random(f"{seed}/coin/{at}")
    mint, decimals = Mint(_address(seed, "mint", at)), _DECIMALS[at % len(_DECIMALS)]
    if at < HUBS - 1:
        return Coin(mint, 6, 1.0)
    together = Random(f"{seed}/cluster/{at % 5}").gauss(0.0, 0.5)
    return Coin(mint, decimals, exp(together + draw.gauss(0.0, 2.0)))


def market(seed: int, pools: int, tokens: int | None = None) -> Snapshot:
    """A snapshot of `pools` pools over `tokens` tokens (by default a tenth as many, 6 at least)."""
    if not 0 <= pools <= MAX_POOLS:
        raise ValueError(f"0 to {MAX_POOLS} pools")
    held = coins(seed, tokens if tokens is not None else max(6, pools // 10))
    return snapshot_of(made_pool(seed, at, held) for at in range(pools))


def snapshot_of(pools: Iterable[Pool], clock: ChainClock = CLOCK) -> Snapshot:
    """A snapshot of these pools."""
    held = {pool.address: pool for pool in pools}
    return Snapshot(clock, held, index_pairs(held.values()))


def made_pool(seed: int, at: int, held: tuple[Coin, ...]) -> Pool:
    """Pool number `at`: its venue, pair, price noise and size are draws of its own."""
    draw = Random(f"{seed}/pool/{at}")
    return pool_of_pair(seed, at, _pair(draw, held), dollars=exp(draw.gauss(log(60_000.0), 1.5)))


def pool_of_pair(
    seed: int, at: int | str, pair: tuple[Coin, Coin], *, dollars: float, venue: str = "", noise: float = 0.002
) -> Pool:
    """A pool of `pair` with about `dollars` on each side; `noise` is its price's standard deviation (of 1)."""
    draw = Random(f"{seed}/terms/{at}")
    chosen = draw.choice(tuple(_MAKERS))
    first, second = pair if draw.random() < 0.5 else pair[::-1]
    price = first.unit_price / second.unit_price * exp(draw.gauss(0.0, noise))
    holds = (_units(dollars / first.unit_price), _units(dollars / first.unit_price * price))
    make = _MAKERS[venue or chosen]
    return make(draw, _Draft(_address(seed, "pool", at), (first, second), price, holds))


def _pair(draw: Random, held: tuple[Coin, ...]) -> tuple[Coin, Coin]:
    """Nine in ten pairs have a hub; of other tokens, the first ones are the popular ones."""
    hubs, others = held[:HUBS], held[HUBS:]
    kind = draw.random()
    if kind < 0.15 or not others:
        first, second = draw.sample(hubs, 2)
        return first, second
    other = others[int(len(others) * draw.random() ** 2)]
    if kind < 0.9 or len(others) < 2:
        return other, hubs[int(len(hubs) * draw.random() ** 2)]
    second = other
    while second is other:
        second = others[int(len(others) * draw.random() ** 2)]
    return other, second


def _amm_v4(draw: Random, draft: _Draft) -> Pool:
    return AmmV4Pool(
        address=draft.address,
        mints=_mints(draft),
        decimals=_decimals(draft),
        vaults=_vaults(draft),
        market=_address(draft.address, "market"),
        market_program=_address("market program"),
        target_orders=_address(draft.address, "orders"),
        status=STATUS_SWAP_ONLY,
        open_time=0,
        balances=draft.holds,
        need_take_pnl=(0, 0),
        fee_numerator=25,
        fee_denominator=10_000,
    )


def _cpmm(draw: Random, draft: _Draft) -> Pool:
    return CpmmPool(
        address=draft.address,
        mints=_mints(draft),
        mint_infos=(draft.coins[0].info, draft.coins[1].info),
        config=_address("cpmm config"),
        vaults=_vaults(draft),
        observation=_address(draft.address, "observation"),
        status=0,
        open_time=0,
        balances=draft.holds,
        protocol_fees=(0, 0),
        fund_fees=(0, 0),
        creator_fees=(0, 0),
        trade_fee_rate=draw.choice((500, 2_500, 10_000)),
        protocol_fee_rate=120_000,
        fund_fee_rate=40_000,
        creator_fee_rate=0,
        creator_fee_on=0,
    )


def _clmm(draw: Random, draft: _Draft) -> Pool:
    """Positions around the price, from narrow to wide, all of about the same value."""
    spacing, fee = draw.choice(((1, 100), (10, 500), (60, 2_500)))
    sqrt_price = int(sqrt(draft.price) * _Q64)
    tick = tick_at(sqrt_price)
    depth = sqrt(float(draft.holds[0]) * float(draft.holds[1])) / 12
    nets: dict[int, int] = {}
    liquidity = 0
    for width in (4, 9, 20, 45, 100, 230):
        reach = max(width * 60 // spacing + draw.randrange(-3, 4), 1) * spacing
        centre = (tick // spacing + draw.randrange(-2, 3)) * spacing
        low, high = centre - reach, centre + reach + spacing
        share = max(int(depth / (1.0 - exp(-reach / 20_000.0))), 1)
        nets[low] = nets.get(low, 0) + share
        nets[high] = nets.get(high, 0) - share
        liquidity += share if low <= tick < high else 0
    ticks = tuple(sorted(at for at, net in nets.items() if net))
    arrays = _tick_arrays(draft.address, ticks, nets, spacing)
    numbers = [array_number(array.start, spacing) for array in arrays]
    lowest = min(numbers) - 512
    return ClmmPool(
        address=draft.address,
        config=_address("clmm config", spacing),
        mint_0=draft.coins[0].mint,
        mint_1=draft.coins[1].mint,
        info_0=draft.coins[0].info,
        info_1=draft.coins[1].info,
        vault_0=_vaults(draft)[0],
        vault_1=_vaults(draft)[1],
        observation=_address(draft.address, "observation"),
        extension=None,
        decimals=_decimals(draft),
        tick_spacing=spacing,
        status=0,
        open_time=0,
        trade_fee_rate=fee,
        protocol_fee_rate=120_000,
        fund_fee_rate=40_000,
        bitmap=Bitmap.of(sum(1 << number - lowest for number in numbers), lowest, max(numbers) + 512, complete=True),
        arrays=arrays,
        ticks=ticks,
        nets=tuple(nets[at] for at in ticks),
        stuck=frozenset(),
        below=_EMPTY,
        above=_EMPTY,
        liquidity=liquidity,
        sqrt_price=max(sqrt_price, sqrt_price_at(tick)),
        tick=tick,
        balances=None,
        books=_NO_BOOKS,
    )


def _tick_arrays(pool: Address, ticks: tuple[int, ...], nets: dict[int, int], spacing: int) -> tuple[TickArray, ...]:
    span = TICKS_PER_ARRAY * spacing
    starts = sorted({tick // span * span for tick in ticks})
    held = {start: tuple(tick for tick in ticks if start <= tick < start + span) for start in starts}
    return tuple(
        TickArray(start, _address(pool, "ticks", start), inside, tuple(nets[tick] for tick in inside))
        for start, inside in held.items()
    )


def _dlmm(draw: Random, draft: _Draft) -> Pool:
    """Bins on both sides of the price, as deep as the middle ones at a distance; some are empty."""
    step = draw.choice((1, 5, 10, 25))
    active = round(log(draft.price) / log(1 + step / 10_000))
    reach = draw.randrange(20, 90)
    arrays: dict[int, list[Bin]] = {}
    for at in range(active - reach, active + reach + 1):
        if at != active and draw.random() < 0.1:
            continue
        part = draw.uniform(0.5, 1.5) / reach
        x = int(draft.holds[0] * part) if at >= active else 0
        y = int(draft.holds[1] * part) if at <= active else 0
        price = int(exp(at * log(1 + step / 10_000)) * _Q64)
        if price and (x or y):
            arrays.setdefault(at // BINS_PER_ARRAY, []).append(Bin(at, x, y, price, 0, 0, orders_sell_x=False))
    vaults = _vaults(draft)
    every = [held for bins in arrays.values() for held in bins]
    return DlmmPool(
        address=draft.address,
        mint_x=draft.coins[0].mint,
        mint_y=draft.coins[1].mint,
        info_x=draft.coins[0].info,
        info_y=draft.coins[1].info,
        reserve_x=vaults[0],
        reserve_y=vaults[1],
        balance_x=sum(held.amount_x for held in every),
        balance_y=sum(held.amount_y for held in every),
        oracle=_address(draft.address, "oracle"),
        extension=None if all(map(is_internal, arrays)) else _address(draft.address, "bitmap"),
        enabled=True,
        opens_at_slot=0,
        opens_at_time=0,
        fee=FeeParameters(step, 8_000 if step > 5 else 10_000, 0, 30, 600, 5_000, 40_000, 350_000, 500),
        volatility=Volatility(0, 0, active, CLOCK.unix_timestamp - 5_000),
        active_id=active,
        min_bin_id=-443_636,
        max_bin_id=443_636,
        has_limit_orders=False,
        fee_on_y=False,
        bitmap=sum(1 << index + BITMAP_OFFSET for index in arrays),
        arrays={index: BinArray(index, tuple(bins), has_shares=True) for index, bins in arrays.items()},
    )


def _damm_v1(draw: Random, draft: _Draft) -> Pool:
    """Constant product; a stable curve where both tokens are worth a dollar and have the same decimals."""
    first, second = draft.coins
    pegged = first.dollars == second.dollars and first.decimals == second.decimals
    return DammV1Pool(
        address=draft.address,
        mints=_mints(draft),
        decimals=_decimals(draft),
        enabled=True,
        activation_point=0,
        activation_by_time=False,
        fees=Fees(draw.choice((100, 250)) if not pegged else 10, 100_000, 20, 100),
        partner_fee_numerator=0,
        partner_pending=(0, 0),
        protocol_fee_accounts=(_address(draft.address, "fee a"), _address(draft.address, "fee b")),
        vaults=(_lending_vault(first.mint, draft.holds[0]), _lending_vault(second.mint, draft.holds[1])),
        lp_accounts=(_address(draft.address, "lp a"), _address(draft.address, "lp b")),
        lp_amounts=draft.holds,
        stable=Stable(100, (1, 1), None) if pegged else None,
    )


def _lending_vault(mint: Mint, share: int) -> Vault:
    total = share * 10
    address = _address(mint, "lending")
    return Vault(
        address=address,
        enabled=True,
        total_amount=total,
        token_vault=_address(address, "tokens"),
        lp_mint=_address(address, "lp"),
        locked_profit=0,
        last_report=0,
        degradation=0,
        reserve=total // 2,
        lp_supply=total,
    )


def _damm_v2(draw: Random, draft: _Draft) -> Pool:
    liquidity = isqrt(draft.holds[0] * draft.holds[1] << 128)
    sqrt_price = int(sqrt(draft.price) * _Q64)
    vaults = _vaults(draft)
    first, second = (Side(coin.mint, coin.info, vault) for coin, vault in zip(draft.coins, vaults, strict=True))
    fee_numerator = draw.choice((1_000_000, 2_500_000))
    return whole_range_damm_v2(draft.address, (first, second), liquidity, sqrt_price, fee_numerator)


_MAKERS: dict[str, Callable[[Random, _Draft], Pool]] = {
    "raydium_amm_v4": _amm_v4,
    "raydium_cpmm": _cpmm,
    "raydium_clmm": _clmm,
    "meteora_dlmm": _dlmm,
    "meteora_damm_v1": _damm_v1,
    "meteora_damm_v2": _damm_v2,
}


def _mints(draft: _Draft) -> tuple[Mint, Mint]:
    return draft.coins[0].mint, draft.coins[1].mint


def _decimals(draft: _Draft) -> tuple[int, int]:
    return draft.coins[0].decimals, draft.coins[1].decimals


def _vaults(draft: _Draft) -> tuple[Address, Address]:
    return _address(draft.address, "vault 0"), _address(draft.address, "vault 1")


def _units(amount: float) -> int:
    return max(1_000, min(int(amount), U64_MAX // 64))


def _address(*parts: str | int) -> Address:
    digest = hashlib.sha256("/".join(map(str, ("made up", *parts))).encode()).digest()
    return Address(str(Pubkey.from_bytes(digest)))
