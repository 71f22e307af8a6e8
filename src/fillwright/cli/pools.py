"""`fillwright pools`: their accounts that are worth a lookup table, and releasing one from quarantine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from fillwright.cli.output import EXIT_REFUSED, emit, fail
from fillwright.cli.remote import DEFAULT_URL, ApiKey, Json, Url, run
from fillwright.domain.errors import ConfigError, FillwrightError

if TYPE_CHECKING:
    from fillwright.chain.live import LiveConfig
    from fillwright.market.snapshot import Snapshot

app = typer.Typer(no_args_is_help=True, help="Pools: their accounts for lookup tables, and their quarantine.")


class PoolAccounts(msgspec.Struct):
    """What swaps in one pool name."""

    pool: str
    venue: str
    accounts: list[str]


@app.command()
def accounts(
    live: Annotated[Path | None, typer.Option(help="The pools of this live configuration.")] = None,
    rpc: Annotated[
        str | None, typer.Option(envvar=["FILLWRIGHT_RPC_URL", "SOLANA_RPC_URL"], help="HTTP URL of a Solana RPC.")
    ] = None,
    pool: Annotated[list[str] | None, typer.Option(help="With --rpc: a pool; repeat.")] = None,
    wallet: Annotated[str | None, typer.Option(help="With the token accounts of this wallet.")] = None,
    json: Json = False,
) -> None:
    """Print the addresses that are worth putting into an address lookup table, one a line, each once.

    With --json: a line for each pool. Exit status 1 if a pool can't be read.
    """
    try:
        snapshot = asyncio.run(_read(_config(live, rpc, pool or [])))
        found = _accounts(snapshot, wallet)
    except FillwrightError as error:
        fail(error)
        raise typer.Exit(EXIT_REFUSED) from error
    if json:
        for each in found:
            emit(each, json, lambda: "")
    else:
        for address in dict.fromkeys(address for each in found for address in each.accounts):
            typer.echo(address)
    for one in snapshot.unpriced:
        fail(FillwrightError(f"{one.address}: {one.detail}", code=one.reason))
    if snapshot.unpriced:
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def release(
    address: Annotated[str, typer.Argument(help="The quarantined pool's address, as GET /v1/pools lists it.")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Have a running engine quote a quarantined pool again; its keys need the scope admin."""

    async def let_go() -> int:
        from fillwright.client import AsyncClient

        async with AsyncClient(url, api_key=api_key) as client:
            released = await client.release_pool(address)
            emit(released, json, lambda: f"{released.address} is quoted again")
            return 0

    raise typer.Exit(run(let_go()))


def _config(live: Path | None, rpc: str | None, pools: list[str]) -> LiveConfig:
    """Raises ConfigError."""
    from fillwright.chain.live import market_at, read_live

    if live is not None:
        if pools:
            raise ConfigError("--pool goes with --rpc, not with --live")
        return read_live(live, rpc or "")
    if rpc is None or not pools:
        raise ConfigError("name the pools: --live FILE, or --rpc URL with --pool ADDRESS")
    return market_at(rpc, pools, [])


async def _read(config: LiveConfig) -> Snapshot:
    """Raises ConfigError, ChainError."""
    from fillwright.chain.live import open_market
    from fillwright.clock import SystemClock
    from fillwright.domain.tokens import MAINNET_TOKENS, TokenList

    async with open_market(config, clock=SystemClock(), tokens=TokenList(MAINNET_TOKENS)) as market:
        return market.feed.current()


def _accounts(snapshot: Snapshot, wallet: str | None) -> list[PoolAccounts]:
    """Raises ConfigError where the wallet is no address."""
    from solders.pubkey import Pubkey

    from fillwright.routing.named import NamedAccounts
    from fillwright.venues.token_program import associated_account

    try:
        owner = None if wallet is None else Pubkey.from_string(wallet)
    except ValueError as error:
        raise ConfigError(f"--wallet {wallet}: no address") from error
    named, found = NamedAccounts(snapshot), []
    for _, pool in sorted(snapshot.pools.items()):
        keys: list[str] = list(named.of(pool))
        if owner is not None:
            keys += [
                str(associated_account(owner, Pubkey.from_string(mint), Pubkey.from_string(program)))
                for mint, program in zip(pool.mints, pool.token_programs, strict=True)
            ]
        found.append(PoolAccounts(pool.address, pool.venue, keys))
    return found
