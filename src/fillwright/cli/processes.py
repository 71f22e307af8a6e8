"""`fillwright api`, `worker` and `paper`: an engine in many processes, on PostgreSQL and Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fillwright.cli.output import console

LogLevel = Annotated[str, typer.Option(help="debug, info, warning or error.")]
JsonLogs = Annotated[bool, typer.Option("--json-logs", help="Log JSON lines.")]
ModeName = Annotated[
    Literal["paper", "devnet", "mainnet"] | None, typer.Option("--mode", help="Where orders are executed.")
]
LiveFile = Annotated[Path | None, typer.Option(help="Endpoints and pools of a real chain: a TOML file.")]
SignerSocket = Annotated[Path | None, typer.Option(help="Socket of the signer, for devnet and mainnet.")]
DataDir = Annotated[Path | None, typer.Option(help="Where the paper chain lives.")]


def api(
    host: Annotated[str | None, typer.Option(help="Address to bind; other than loopback needs API keys.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind; 0 picks a free one.")] = None,
    data_dir: DataDir = None,
    mode: ModeName = None,
    live: LiveFile = None,
    signer: SignerSocket = None,
    log_level: LogLevel = "info",
    json_logs: JsonLogs = False,
) -> None:
    """Run one API process: it accepts orders and streams events; workers move the orders."""
    from fillwright import app, scaleout

    settings = _settings(
        log_level, json_logs, host=host, port=port, data_dir=data_dir, mode=mode, live_config=live, signer_socket=signer
    )
    app.run_until_stopped(scaleout.serving_api(settings), lambda url: _say(f"listening on {url}"))


def worker(
    concurrency: Annotated[int | None, typer.Option(help="Orders to move at the same time.")] = None,
    data_dir: DataDir = None,
    mode: ModeName = None,
    live: LiveFile = None,
    signer: SignerSocket = None,
    log_level: LogLevel = "info",
    json_logs: JsonLogs = False,
) -> None:
    """Run one worker process: it leases due orders and executes them. Start as many as you like."""
    from fillwright import app, scaleout

    settings = _settings(
        log_level,
        json_logs,
        concurrency=concurrency,
        data_dir=data_dir,
        mode=mode,
        live_config=live,
        signer_socket=signer,
    )
    app.run_until_stopped(scaleout.working(settings), lambda name: _say(f"working as {name}"))


def paper(
    snapshot: Annotated[Path | None, typer.Option(help="Folder of account dumps to trade on.")] = None,
    live: LiveFile = None,
    rpc: Annotated[str | None, typer.Option(help="Follow the real pools at this node, with simulated fills.")] = None,
    pool: Annotated[list[str] | None, typer.Option(help="With --rpc: a pool to follow; repeat.")] = None,
    pair: Annotated[list[str] | None, typer.Option(help="With --rpc: all pools of a pair, such as SOL/USDC.")] = None,
    data_dir: DataDir = None,
    log_level: LogLevel = "info",
    json_logs: JsonLogs = False,
) -> None:
    """Run the paper chain that API and workers share: one process, its ledger in the data directory."""
    from fillwright import app, scaleout

    settings = _settings(
        log_level,
        json_logs,
        snapshot=snapshot,
        live_config=live,
        paper_rpc_url=rpc,
        paper_pools=pool and tuple(pool),
        paper_pairs=pair and tuple(pair),
        data_dir=data_dir,
    )
    app.run_until_stopped(scaleout.serving_paper(settings), lambda address: _say(f"listening on {address}"))


def _settings(log_level: str, json_logs: bool, **given: Any) -> Any:
    from fillwright import app, observe

    observe.configure_logging(log_level, json=json_logs)
    return app.load_settings({key: value for key, value in given.items() if value is not None})


def _say(line: str) -> None:
    console.print(line, soft_wrap=True, markup=False)
