"""What one process trades on, by mode: a paper world of its own, paper fills on live pools, or a live chain.

In: settings. Out: chain, market and signer, open, and what tells whether they answer. Must not: start a live mode
without a signer, or on data that another mode has left.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from fillwright.chain.live import (
    Live,
    LiveConfig,
    LiveMarket,
    cluster_at,
    endpoint_at,
    market_at,
    open_live,
    open_market,
    read_live,
)
from fillwright.chain.rents import MarkerRents
from fillwright.config import Mode, Settings
from fillwright.domain.accounts import Address, Mint
from fillwright.domain.errors import ChainError, ConfigError, InvalidInput
from fillwright.domain.tokens import DEVNET_TOKENS, MAINNET_TOKENS, TokenList, tokens_of
from fillwright.execution.bids import Bidding, BidPolicy
from fillwright.market.feed import MarketFeed
from fillwright.market.pools import load_pools
from fillwright.paper.chain import PaperChain
from fillwright.paper.feed import PaperMarketFeed
from fillwright.paper.live import LiveOrigin, LivePaperFeed
from fillwright.paper.origin import Origin
from fillwright.paper.signer import PaperSigner
from fillwright.ports import Chain, Clock, Signer
from fillwright.routing.terms import DEFAULT_TERMS, RoutingTerms, Terms, default_terms

SECRET_BYTES = 32
MODE_FILE = "mode"
DEFAULT_PAIR = "SOL/USDC"
"""Whose pools are looked for on a node that paper is to follow, where nothing else is named."""

Parts = tuple[tuple[str, Callable[[], bool | str]], ...]


Release = Callable[[Address], bool]
"""Whether the pool was quarantined; it is not any more."""


def never_quarantined(pool: Address) -> bool:
    """Of a market whose pools do what they are quoted to do: nothing to release."""
    return False


class Trading(msgspec.Struct, frozen=True):
    """Everything open. `prompt`: the chain builds and simulates within milliseconds. `witness`: a second provider's
    view of it. `bidding`: attempts bid again by it; None where nothing competes by price. `rents`: gives markers' rent
    back; None where there is none. `parts`: by name, what the process leans on. `notes` are for people. `terms`: what
    orders are routed under. `release`: has a quarantined pool quoted again."""

    chain: Chain
    market: MarketFeed
    signer: Signer
    marker_secret: bytes
    witness: Chain | None = None
    rents: MarkerRents | None = None
    parts: Parts = ()
    notes: tuple[str, ...] = ()
    prompt: bool = True
    bidding: Bidding | None = None
    terms: Terms = default_terms
    release: Release = never_quarantined


class LiveTerms:
    """The terms of a live chain: what its lookup tables hold now, whose accounts may stand in them, whether a tip is
    paid."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._terms = DEFAULT_TERMS

    def __call__(self) -> RoutingTerms:
        live, contents = self._live, self._live.tables.contents
        if self._terms is DEFAULT_TERMS or contents is not self._terms.lookup_tables:
            # Without tables any account takes the same room; whose it is need not be kept with each decision.
            wallet, tips = (live.signer.wallet, live.tip_accounts) if contents else ("", live.tip_accounts[:1])
            self._terms = RoutingTerms(lookup_tables=contents, wallet=wallet, tip_accounts=tips)
        return self._terms


@asynccontextmanager
async def open_trading(settings: Settings, clock: Clock) -> AsyncIterator[Trading]:
    """Raises ConfigError: no signer, another cluster, another mode's data; ChainError: the chain does not answer."""
    async with AsyncExitStack() as opened:
        if settings.mode is not Mode.PAPER:
            yield await opened.enter_async_context(open_live_trading(settings, clock))
        elif follows_live_pools(settings):
            yield await _paper_on_live_pools(settings, clock, opened)
        else:
            yield await _paper(settings, clock, opened)


@asynccontextmanager
async def open_live_trading(settings: Settings, clock: Clock) -> AsyncIterator[Trading]:
    """A live chain, for a process that moves orders or takes them. Raises ConfigError, ChainError."""
    config = read_config(settings)
    tokens = TokenList(MAINNET_TOKENS if settings.mode is Mode.MAINNET else DEVNET_TOKENS)
    socket = settings.signer_socket
    async with open_live(config, mode=settings.mode, clock=clock, tokens=tokens, signer_socket=socket) as live:
        yield Trading(
            chain=live.chain,
            market=live.feed,
            signer=live.signer,
            marker_secret=live.signer.marker_secret,
            witness=live.witness,
            prompt=False,
            bidding=Bidding(live.chain, BidPolicy(config.fees.bump_after_blocks, config.fees.max_bids)),
            rents=MarkerRents(rpc=live.rpc, chain=live.chain, signer=live.signer),
            parts=live.parts,
            notes=() if live.witness is not None else ("no witness is configured: one provider is believed",),
            terms=LiveTerms(live),
            release=live.release,
        )


def read_config(settings: Settings) -> LiveConfig:
    """The live configuration that the settings name. Raises ConfigError."""
    if settings.live_config is None:
        raise ConfigError(f"mode {settings.mode} needs FILLWRIGHT_LIVE_CONFIG (--live): endpoints and pools")
    url = settings.rpc_url.get_secret_value() if settings.rpc_url is not None else ""
    return read_live(settings.live_config, url)


def claim_data_dir(settings: Settings) -> None:
    """Bind the data directory to the mode, for ever: an order that was accepted on one cluster must not be executed
    on another. Raises ConfigError where it is another mode's."""
    path = settings.data_dir / MODE_FILE
    if path.exists():
        held = path.read_text(encoding="ascii", errors="replace").strip()
    else:
        held = Mode.PAPER.value if settings.store_path.exists() else settings.mode.value
        _write(path, held.encode() + b"\n")
    if held != settings.mode:
        raise ConfigError(f"{settings.data_dir} holds orders of mode {held}: choose another FILLWRIGHT_DATA_DIR")


def marker_secret(data_dir: Path) -> bytes:
    """The key of the marker seeds on paper: made once, kept beside the store, readable by its owner only."""
    path = data_dir / "marker.key"
    if not path.exists():
        _write(path, secrets.token_bytes(SECRET_BYTES))
    secret = path.read_bytes()
    if len(secret) != SECRET_BYTES:
        raise ConfigError(f"{path} does not hold a key of {SECRET_BYTES} bytes")
    return secret


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, durably."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


async def _paper(settings: Settings, clock: Clock, opened: AsyncExitStack) -> Trading:
    """The simulated market, or account dumps."""
    loaded = load_pools(settings.snapshot) if settings.snapshot is not None else None
    origin = Origin(tokens=TokenList(MAINNET_TOKENS), loaded=loaded)
    signer = _paper_signer(settings)
    goes_on = settings.ledger_path.exists()
    chain = await _paper_chain(settings, clock, origin, signer, opened)
    unpriced = loaded.unpriced if loaded is not None else ()
    market = PaperMarketFeed(settings=settings, clock=clock, chain=chain, tokens=origin.tokens, unpriced=unpriced)
    notes = loaded.notes if loaded is not None else ()
    if goes_on:
        notes = (f"the paper world in {settings.ledger_path} goes on: its pools are as they were left", *notes)
    return Trading(chain, market, signer, marker_secret(settings.data_dir), notes=notes)


async def _paper_on_live_pools(settings: Settings, clock: Clock, opened: AsyncExitStack) -> Trading:
    signer = _paper_signer(settings)
    world = await open_live_paper(settings, clock, signer, opened)
    note = "fills are simulated: nothing is sent to the chain that is followed"
    secret = marker_secret(settings.data_dir)
    return Trading(world.chain, world.market, signer, secret, parts=world.parts, notes=(note,))


def follows_live_pools(settings: Settings) -> bool:
    """Whether paper trades on the pools of a real chain."""
    return settings.paper_rpc_url is not None or settings.live_config is not None


class LivePaper(msgspec.Struct, frozen=True):
    """A paper chain on a real chain's pools, open, and the market of both. `parts` as those of Trading."""

    chain: PaperChain
    market: LivePaperFeed
    parts: Parts


async def open_live_paper(settings: Settings, clock: Clock, signer: PaperSigner, opened: AsyncExitStack) -> LivePaper:
    """Follow the pools that the settings name; `opened` closes what this opens. Raises ConfigError, ChainError."""
    url = settings.paper_rpc_url
    endpoints = read_config(settings).endpoints if url is None else (endpoint_at(url.get_secret_value()),)
    tokens = TokenList(tokens_of(await cluster_at(endpoints, clock)))
    config = _followed(settings, tokens)
    try:
        market: LiveMarket = await opened.enter_async_context(open_market(config, clock=clock, tokens=tokens))
    except ChainError as error:
        text = f"{error.message}; a node that refuses to look for pools needs them named (--pool)"
        raise ChainError(text, code=error.code) from error
    if not market.feed.current().pools:
        raise ConfigError("none of the pools at --rpc can be priced: name some with --pool")
    origin = LiveOrigin(tokens=market.feed.tokens, newest=market.feed.current)
    chain = await _paper_chain(settings, clock, origin, signer, opened)
    feed = LivePaperFeed(live=market.feed, chain=chain, pools=origin.pools)
    return LivePaper(chain, feed, tuple(market.parts()))


def _followed(settings: Settings, tokens: TokenList) -> LiveConfig:
    """Which market paper follows. Raises ConfigError."""
    if settings.paper_rpc_url is None:
        return read_config(settings)
    named = settings.paper_pairs or (() if settings.paper_pools else (DEFAULT_PAIR,))
    pairs = [_pair(text, tokens) for text in named]
    return market_at(settings.paper_rpc_url.get_secret_value(), settings.paper_pools, pairs)


def _pair(text: str, tokens: TokenList) -> tuple[Mint, Mint]:
    """`SOL/USDC` as mints. Raises ConfigError."""
    names = text.split("/")
    if len(names) != 2:
        raise ConfigError(f"--pair {text}: expected two tokens, such as {DEFAULT_PAIR}")
    try:
        first, second = (_mint(name, tokens) for name in names)
    except InvalidInput as error:
        raise ConfigError(f"--pair {text}: {error.message}") from error
    return first, second


def _mint(text: str, tokens: TokenList) -> Mint:
    """A symbol or any address: what is no mint has no pools. Raises InvalidInput."""
    try:
        return tokens.resolve(text, pointer="").mint
    except InvalidInput as error:
        if error.code != "token_not_mint":
            raise
        return Mint(text)


def _paper_signer(settings: Settings) -> PaperSigner:
    return PaperSigner.from_file(settings.data_dir / "paper-wallet.json")


async def _paper_chain(
    settings: Settings, clock: Clock, origin: Origin, signer: PaperSigner, opened: AsyncExitStack
) -> PaperChain:
    chain = PaperChain(
        settings=settings, clock=clock, wallet=signer.wallet, origin=origin, has_signed=signer.has_signed
    )
    await chain.open()
    opened.push_async_callback(chain.close)
    return chain
