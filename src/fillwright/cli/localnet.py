"""`fillwright localnet`: a Solana node on loopback for developers and tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fillwright.cli.output import console
from fillwright.domain.errors import InvalidInput


def localnet(
    program: Annotated[
        list[str] | None,
        typer.Option("--program", help="ID=FILE: a program's binary, or a folder of <program id>.so; repeat."),
    ] = None,
    accounts: Annotated[list[Path] | None, typer.Option(help="Folder of account dumps; repeat.")] = None,
    wallet: Annotated[list[str] | None, typer.Option(help="An address to fund; repeat.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65534, help="Of HTTP and WebSocket alike.")] = 8899,
    seed: Annotated[int, typer.Option(help="Of blockhashes and faults.")] = 1,
    slot_ms: Annotated[int, typer.Option(min=1, help="Length of a slot.")] = 400,
    faults: Annotated[
        str, typer.Option(help='JSON of what goes wrong, such as {"drop": 0.2, "http_429": 0.1}.')
    ] = "{}",
) -> None:
    """Serve Solana's JSON-RPC over the programs and pools that you bring, until stopped."""
    from fillwright.localnet.commands import LocalnetOptions, run
    from fillwright.localnet.faults import Faults

    try:
        wrong = msgspec.json.decode(faults, type=Faults)
    except msgspec.MsgspecError as error:
        raise InvalidInput("faults_invalid", f"--faults: {error}") from error
    options = LocalnetOptions(
        programs=tuple(program or ()),
        accounts=tuple(accounts or ()),
        wallets=tuple(wallet or ()),
        port=port,
        seed=seed,
        slot_ms=slot_ms,
        faults=wrong,
    )
    run(options, lambda url, pools: console.print(f"{pools} pools; listening on {url}", markup=False))
