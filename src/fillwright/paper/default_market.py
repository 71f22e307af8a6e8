"""The default simulated market: which tokens, which pairs, and the pools that they start with.

In: the genesis and the settings. Out: real pool values of Raydium CPMM and Meteora DAMM v2, one of each per pair,
and, where the settings want them, of Raydium CLMM and Meteora DLMM, at seeded prices. Must not: move them (that is
the market's).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import isqrt, sqrt
from typing import NamedTuple

from solders.pubkey import Pubkey

from fillwright.config import Settings
from fillwright.domain.accounts import Address, Mint
from fillwright.domain.amounts import U64_MAX
from fillwright.domain.tokens import MAINNET_TOKENS, Token
from fillwright.paper.generator import Coin, pool_of_pair
from fillwright.paper.market import MarketTerms
from fillwright.paper.prices import ReferencePrice
from fillwright.paper.streams import draw
from fillwright.paper.whole_range import whole_range_damm_v2
from fillwright.paper.world import Genesis
from fillwright.venues.meteora_damm_v2.layout import VENUE as DAMM_V2
from fillwright.venues.meteora_damm_v2.layout import (
    DammV2Pool,
    Side,
)
from fillwright.venues.raydium_cpmm.layout import CREATOR_FEE_ON_INPUT, CpmmPool
from fillwright.venues.raydium_cpmm.layout import VENUE_ID as CPMM
from fillwright.venues.token_program import TOKEN_PROGRAM, MintInfo
from fillwright.venues.venue import Pool

PAIRS = (("SOL", "USDC"), ("RAY", "USDC"), ("BONK", "SOL"), ("ETH", "USDT"), ("BTC", "USDC"))


class _TokenTerms(NamedTuple):
    """A token's base price in dollars, and its volatility in shares of the market's."""

    dollars: float
    volatility: float


TOKENS = {
    "SOL": _TokenTerms(150.0, 1.0),
    "USDC": _TokenTerms(1.0, 0.0),
    "USDT": _TokenTerms(1.0, 0.0),
    "RAY": _TokenTerms(2.5, 1.2),
    "BONK": _TokenTerms(0.000025, 1.4),
    "ETH": _TokenTerms(3_500.0, 0.8),
    "BTC": _TokenTerms(100_000.0, 0.6),
}

COMMON = "market"
"""The key of the factor that all prices have in common."""
CLMM, DLMM = "raydium_clmm", "meteora_dlmm"
_SPREAD = 0.0125
"""Standard deviation of the concentrated pools' first prices: half of the edge that others trade them back to."""
_CPMM_RATE_OF_BPS = 100
_DAMM_NUMERATOR_OF_BPS = 100_000
_CPMM_PROTOCOL_SHARE = 120_000
_CPMM_FUND_SHARE = 40_000
_CPMM_MAY_EVERYTHING = 0
_BY_SYMBOL = {token.symbol: token for token in MAINNET_TOKENS}


def market_terms(settings: Settings) -> MarketTerms:
    """The settings' market; what they leave open has its default."""
    bands: dict[Address, tuple[float, float]] = {}
    for symbols in PAIRS:
        for venue, (low, high) in _price_bands(settings).items():
            # A CPMM's sides stand in the order of their mints: its price is then the other way round.
            turned = venue == CPMM and _turned(_BY_SYMBOL[symbols[0]], _BY_SYMBOL[symbols[1]])
            bands[made_up_address(venue, *symbols)] = (1 / high, 1 / low) if turned else (low, high)
    return MarketTerms(bands=bands, arbitrage_probability=settings.paper_arbitrage_probability)


def _price_bands(settings: Settings) -> dict[str, tuple[float, float]]:
    """Within which multiples of the reference price each venue's pools stand."""
    return {
        CPMM: (settings.paper_raydium_price_low, settings.paper_raydium_price_high),
        DAMM_V2: (settings.paper_meteora_price_low, settings.paper_meteora_price_high),
    }


def reference_prices(genesis: Genesis, volatility: float, correlation: float = 0.5) -> dict[Mint, ReferencePrice]:
    """Every default token's price in dollars. `volatility` is annual, of the common factor and a token's own movement
    together; `correlation` (0 to 1) is that of the logarithms of any two tokens that move."""
    common = ReferencePrice(
        seed=genesis.seed, token=COMMON, base_price=1.0, volatility=volatility, slot_ms=genesis.slot_ms
    )
    return {
        _BY_SYMBOL[symbol].mint: ReferencePrice(
            seed=genesis.seed,
            token=_BY_SYMBOL[symbol].mint,
            base_price=terms.dollars,
            volatility=volatility * terms.volatility * sqrt(1.0 - correlation),
            slot_ms=genesis.slot_ms,
            common=common if volatility else None,
            loading=terms.volatility * sqrt(correlation),
        )
        for symbol, terms in TOKENS.items()
    }


def default_pools(genesis: Genesis, settings: Settings, prices: Mapping[Mint, ReferencePrice]) -> tuple[Pool, ...]:
    """Two pools per pair, each somewhere in its venue's band around the reference price."""
    pools: list[Pool] = []
    bands = _price_bands(settings)
    for symbols in PAIRS:
        tokens = (_BY_SYMBOL[symbols[0]], _BY_SYMBOL[symbols[1]])
        dollars = (prices[tokens[0].mint].price(0), prices[tokens[1].mint].price(0))
        for venue, liquidity in (
            (CPMM, settings.paper_raydium_liquidity),
            (DAMM_V2, settings.paper_meteora_liquidity),
        ):
            address = made_up_address(venue, *symbols)
            low, high = bands[venue]
            # The square root of the multiple: it divides one side and multiplies the other.
            away = sqrt(low + (high - low) * draw(genesis.seed, "away", address))
            holds = (_units(liquidity / dollars[0] / away, tokens[0]), _units(liquidity / dollars[1] * away, tokens[1]))
            if venue == CPMM:
                pools.append(cpmm_pool(address, tokens, holds, settings.paper_raydium_fee_bps))
            else:
                pools.append(damm_v2_pool(address, tokens, holds, settings.paper_meteora_fee_bps))
        if settings.paper_concentrated:
            pools += _concentrated(genesis, settings, tokens, dollars)
    return tuple(pools)


def _concentrated(
    genesis: Genesis, settings: Settings, tokens: tuple[Token, Token], dollars: tuple[float, float]
) -> list[Pool]:
    """A Raydium CLMM and a Meteora DLMM pool of the pair, as deep as its other pools."""
    coins = (Coin(tokens[0].mint, tokens[0].decimals, dollars[0]), Coin(tokens[1].mint, tokens[1].decimals, dollars[1]))
    key = f"{tokens[0].symbol}/{tokens[1].symbol}"
    return [
        pool_of_pair(genesis.seed, f"{key}/{venue}", coins, dollars=float(depth), venue=venue, noise=_SPREAD)
        for venue, depth in ((CLMM, settings.paper_raydium_liquidity), (DLMM, settings.paper_meteora_liquidity))
    ]


def cpmm_pool(address: Address, tokens: tuple[Token, Token], holds: tuple[int, int], fee_bps: int) -> CpmmPool:
    """A Raydium CPMM pool that holds these base units. Its sides stand in the order of their mints, as there."""
    sides = list(zip(tokens, holds, strict=True))
    if _turned(*tokens):
        sides.reverse()
    (first, first_holds), (second, second_holds) = sides
    return CpmmPool(
        address=address,
        mints=(first.mint, second.mint),
        mint_infos=(_mint_info(first), _mint_info(second)),
        config=made_up_address(CPMM, "config", fee_bps),
        vaults=(made_up_address(address, "vault", 0), made_up_address(address, "vault", 1)),
        observation=made_up_address(address, "observation"),
        status=_CPMM_MAY_EVERYTHING,
        open_time=0,
        balances=(first_holds, second_holds),
        protocol_fees=(0, 0),
        fund_fees=(0, 0),
        creator_fees=(0, 0),
        trade_fee_rate=fee_bps * _CPMM_RATE_OF_BPS,
        protocol_fee_rate=_CPMM_PROTOCOL_SHARE,
        fund_fee_rate=_CPMM_FUND_SHARE,
        creator_fee_rate=0,
        creator_fee_on=CREATOR_FEE_ON_INPUT,
    )


def damm_v2_pool(address: Address, tokens: tuple[Token, Token], holds: tuple[int, int], fee_bps: int) -> DammV2Pool:
    """A Meteora DAMM v2 pool over the whole price range, with about these base units (the range rounds)."""
    first, second = (
        Side(token.mint, _mint_info(token), made_up_address(address, "vault", index))
        for index, token in enumerate(tokens)
    )
    liquidity = isqrt(holds[0] * holds[1] << 128)
    sqrt_price = isqrt((holds[1] << 128) // holds[0])
    return whole_range_damm_v2(address, (first, second), liquidity, sqrt_price, fee_bps * _DAMM_NUMERATOR_OF_BPS)


def made_up_address(*parts: str | int) -> Address:
    """An address that belongs to this name in every paper world."""
    digest = hashlib.sha256("/".join(map(str, ("fillwright paper", *parts))).encode()).digest()
    return Address(str(Pubkey.from_bytes(digest)))


def _turned(base: Token, quote: Token) -> bool:
    """Whether a pool that orders its sides by their mints has the quote first."""
    return bytes(Pubkey.from_string(quote.mint)) < bytes(Pubkey.from_string(base.mint))


def _units(whole: float, token: Token) -> int:
    return max(1, min(int(whole * 10**token.decimals), U64_MAX // 2))


def _mint_info(token: Token) -> MintInfo:
    return MintInfo(TOKEN_PROGRAM, token.decimals, supply=U64_MAX)
