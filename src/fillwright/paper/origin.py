"""Where a paper world begins: at the default market or at loaded account dumps, or where its ledger left off.

In: settings and, for a snapshot, loaded pools. Out: a world's genesis, pools and what moves them. A world that
exists goes on: its own pools win over what is loaded, and settings that contradict its genesis are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from fillwright.config import Settings
from fillwright.domain.accounts import Address, ChainClock, Mint
from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import ConfigError
from fillwright.domain.tokens import TokenList
from fillwright.group_commit import GroupCommit
from fillwright.market.pools import LoadedPools
from fillwright.paper import ledger
from fillwright.paper.default_market import default_pools, market_terms, reference_prices
from fillwright.paper.ledger import Flush, LedgerReader
from fillwright.paper.market import SimulatedMarket
from fillwright.paper.prices import ReferencePrice
from fillwright.paper.state import Evolution
from fillwright.paper.world import Genesis, first_clock
from fillwright.ports import Clock
from fillwright.venues.venue import Pool

DEFAULT_MARKET = "default market"
SNAPSHOT = "snapshot"
_DEFAULT_DECIMALS = 9
_Prices = Mapping[Mint, ReferencePrice]


class World(msgspec.Struct, frozen=True):
    """What a chain starts from. `pools` with the slot up to which each has come; `seen_ms` as in the ledger."""

    genesis: Genesis
    pools: Mapping[Address, tuple[int, Pool]]
    evolution: Evolution | None
    initial_units: Callable[[Mint], int]
    seen_ms: int
    reopened: bool


class Origin:
    """`loaded` None: the default market. `tokens` say how many base units a whole token has."""

    def __init__(self, *, tokens: TokenList, loaded: LoadedPools | None = None) -> None:
        self._tokens = tokens
        self._loaded = loaded

    @property
    def tokens(self) -> TokenList:
        """The given list and every mint that a loaded pool trades."""
        return self._tokens if self._loaded is None else self._tokens.extended(self._loaded.tokens)

    async def world(self, settings: Settings, clock: Clock, reader: LedgerReader, writer: GroupCommit) -> World:
        """The world in the ledger, or a new one, written before this returns. Raises ConfigError."""
        name = DEFAULT_MARKET if self._loaded is None else SNAPSHOT
        stored = reader.genesis()
        if stored is None:
            genesis, seen_ms = self._genesis(settings, clock.now_ms(), name), 0
            await writer.submit(partial(ledger.write_genesis, genesis=genesis))
        else:
            genesis, seen_ms = stored
            check_genesis(genesis, settings, name)
        pools = reader.pools()
        prices = (
            {}
            if self._loaded is not None
            else reference_prices(genesis, settings.paper_volatility, settings.paper_correlation)
        )
        missing = [pool for pool in self._first_pools(genesis, settings, prices) if pool.address not in pools]
        if missing:
            slot = genesis.first.slot if stored is None else genesis.slot_at(max(clock.now_ms(), seen_ms))
            added: dict[Address, tuple[int, Pool]] = {pool.address: (slot, pool) for pool in missing}
            await writer.submit(partial(ledger.write_flush, flush=Flush(pools=added, seen_ms=genesis.started_ms)))
            pools |= added
        return World(
            genesis=genesis,
            pools=pools,
            evolution=self._evolution(genesis, settings, pools, prices),
            initial_units=initial_units(settings, self._tokens, _decimals(pools)),
            seen_ms=seen_ms,
            reopened=stored is not None,
        )

    def _genesis(self, settings: Settings, now_ms: int, name: str) -> Genesis:
        clock = self._loaded.clock if self._loaded is not None else None
        first: ChainClock = clock or first_clock(now_ms)
        return Genesis(settings.paper_seed, now_ms, settings.paper_slot_ms, first, name)

    def _first_pools(self, genesis: Genesis, settings: Settings, prices: _Prices) -> tuple[Pool, ...]:
        if self._loaded is not None:
            return tuple(self._loaded.pools.values())
        return default_pools(genesis, settings, prices)

    def _evolution(
        self, genesis: Genesis, settings: Settings, pools: Mapping[Address, tuple[int, Pool]], prices: _Prices
    ) -> Evolution | None:
        if self._loaded is not None or not settings.paper_market:
            return None
        return SimulatedMarket(
            genesis=genesis,
            terms=market_terms(settings),
            pools=[pool for _, pool in pools.values()],
            prices=prices,
        )


def initial_units(settings: Settings, tokens: TokenList, decimals: Mapping[Mint, int]) -> Callable[[Mint], int]:
    """What an owner who was never seen with a mint is given, at most a u64; `decimals` beat the list's."""

    def units_of(mint: Mint) -> int:
        token = tokens.get(mint)
        known = decimals.get(mint, token.decimals if token is not None else _DEFAULT_DECIMALS)
        units: int = settings.paper_initial_balance * 10**known
        return min(units, U64_MAX)

    return units_of


def check_genesis(genesis: Genesis, settings: Settings, name: str) -> None:
    """Raises ConfigError where the ledger's world is not the one that is asked for."""
    wanted = {"seed": settings.paper_seed, "slot length in ms": settings.paper_slot_ms, "origin": name}
    found = {"seed": genesis.seed, "slot length in ms": genesis.slot_ms, "origin": genesis.origin}
    wrong = [f"{what} {found[what]} (asked for: {wanted[what]})" for what in wanted if wanted[what] != found[what]]
    if wrong:
        raise ConfigError(
            f"{settings.ledger_path} holds a paper world with {', '.join(wrong)}: "
            "choose another FILLWRIGHT_DATA_DIR for a new world"
        )


def _decimals(pools: Mapping[Address, tuple[int, Pool]]) -> dict[Mint, int]:
    return {mint: of for _, pool in pools.values() for mint, of in zip(pool.mints, pool.decimals, strict=True)}
