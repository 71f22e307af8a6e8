"""The commands that talk to a running engine, and those that run one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from fillwright import __version__
from fillwright.cli import db, pools, processes, queue, signer, trading, venues
from fillwright.cli import settings as settings_command
from fillwright.cli.bench import bench
from fillwright.cli.localnet import localnet
from fillwright.cli.output import EXIT_INTERRUPTED, console, emit, fail, is_pretty
from fillwright.cli.remote import DEFAULT_URL, ApiKey, Json, Url, run, whole_id
from fillwright.cli.snapshot import snapshot as snapshot_command
from fillwright.domain.errors import FillwrightError

app = typer.Typer(
    name="fillwright",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A self-hosted order execution engine for Solana DEXes.",
)
app.add_typer(venues.app, name="venues")
app.add_typer(db.app, name="db")
app.add_typer(signer.app, name="signer")
app.add_typer(queue.app, name="queue")
app.add_typer(pools.app, name="pools")
app.command()(bench)
app.command()(localnet)
app.command()(snapshot_command)
for _process in (processes.api, processes.worker, processes.paper):
    app.command()(_process)
app.command("config")(settings_command.show)

EXIT_READER_LEFT = 141


def main() -> None:
    """Entry point: runs a command; a refusal is told in one line and exits with 1."""
    try:
        app()
    except FillwrightError as error:
        sys.exit(fail(error))
    except BrokenPipeError:
        # Whoever read the output has left; the interpreter must not complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_READER_LEFT)
    except OSError as error:
        sys.exit(fail(FillwrightError(str(error), code="os_error")))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _version(wanted: bool) -> None:
    if wanted:
        console.print(f"fillwright {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None: ...


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind; other than loopback needs API keys.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind; 0 picks a free one.")] = None,
    snapshot: Annotated[
        Path | None, typer.Option(help="Folder of account dumps to trade on, instead of the market.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the store and the paper chain live.")] = None,
    mode: Annotated[
        Literal["paper", "devnet", "mainnet"] | None, typer.Option(help="Where orders are executed.")
    ] = None,
    live: Annotated[Path | None, typer.Option(help="Endpoints and pools of a real chain: a TOML file.")] = None,
    signer: Annotated[Path | None, typer.Option(help="Socket of the signer, for devnet and mainnet.")] = None,
    rpc: Annotated[
        str | None, typer.Option(help="In paper mode: follow the real pools at this node, with simulated fills.")
    ] = None,
    pool: Annotated[list[str] | None, typer.Option(help="With --rpc: a pool to follow; repeat.")] = None,
    pair: Annotated[list[str] | None, typer.Option(help="With --rpc: all pools of a pair, such as SOL/USDC.")] = None,
    log_level: Annotated[Literal["debug", "info", "warning", "error"], typer.Option(help="What to log.")] = "info",
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log JSON lines.")] = False,
) -> None:
    """Run the engine: API, worker and store in one process."""
    from fillwright import app as composition
    from fillwright import observe

    given = {
        "host": host, "port": port, "snapshot": snapshot, "data_dir": data_dir, "mode": mode, "live_config": live,
        "signer_socket": signer, "paper_rpc_url": rpc, "paper_pools": pool and tuple(pool),
        "paper_pairs": pair and tuple(pair),
    }  # fmt: skip
    observe.configure_logging(log_level, json=json_logs)
    settings = composition.load_settings({key: value for key, value in given.items() if value is not None})
    composition.run(settings, announce=_announce)


def _announce(url: str, lines: list[str]) -> None:
    """Say where the engine listens and what it could not use, once it serves."""
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)
    console.print(f"listening on {url}", soft_wrap=True, markup=False)


@app.command()
def demo(json: Json = False) -> None:
    """Five orders end to end on a temporary engine: states, routing, fills and a summary."""
    from fillwright.cli import demo as demonstration

    raise typer.Exit(run(demonstration.run(json)))


app.command()(trading.order)
app.command()(trading.quote)
app.command()(trading.explain)


@app.command()
def watch(
    order_id: Annotated[str | None, typer.Argument(help="One order, by its id or the end of it; without: all.")] = None,
    from_seq: Annotated[int | None, typer.Option(help="Begin after this sequence number.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Follow events live."""

    async def follow() -> int:
        from fillwright.cli import show
        from fillwright.client import AsyncClient

        async with AsyncClient(url, api_key=api_key) as client:
            wanted = None if order_id is None else await whole_id(client, order_id)
            everything = wanted is None
            async for event in client.stream(wanted, from_seq=from_seq):
                emit(event, json, lambda event=event: show.event_line(event, with_order=everything))  # type: ignore[misc]
        return 0

    raise typer.Exit(run(follow()))


@app.command()
def orders(
    order_id: Annotated[str | None, typer.Argument(help="One order in full, by its id or the end of it.")] = None,
    status: Annotated[str | None, typer.Option(help="Only orders in this status.")] = None,
    pair: Annotated[str | None, typer.Option(help="Only this pair, such as SOL/USDC.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """List orders, newest first, or show one."""
    where = {key: value for key, value in (("status", status), ("pair", pair)) if value is not None}

    async def fetch() -> int:
        from fillwright.cli import show
        from fillwright.client import AsyncClient

        async with AsyncClient(url, api_key=api_key) as client:
            if order_id is not None:
                one = await client.get(await whole_id(client, order_id))
                emit(one, json, lambda: show.order_view(one))
                return 0
            found = [item async for item in client.orders(limit=limit, **where)]
            if is_pretty(json):
                console.print(show.orders_table(found, console.width) if found else "no orders")
                return 0
            for item in found:
                emit(item, json, lambda: "")
            return 0

    raise typer.Exit(run(fetch()))


@app.command()
def cancel(
    order_id: Annotated[str, typer.Argument(help="The order's id, or its end as `orders` shows it.")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Cancel an order that has not been sent yet."""

    async def call_off() -> int:
        from fillwright.cli import show
        from fillwright.client import AsyncClient

        async with AsyncClient(url, api_key=api_key) as client:
            cancelled = await client.cancel(await whole_id(client, order_id))
            emit(cancelled, json, lambda: show.order_view(cancelled))
            return 0

    raise typer.Exit(run(call_off()))
