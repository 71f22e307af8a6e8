"""`fillwright signer …`: the process that holds the key, its keystore, its policy, its kill switch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fillwright.cli.output import console

app = typer.Typer(no_args_is_help=True, help="The signer: holds the key, and signs only what its policy allows.")

Keystore = Annotated[Path, typer.Option(help="The sealed key.")]
DataDir = Annotated[Path, typer.Option(help="Where its spending book and kill switch are.")]
DEFAULT_DIR = Path("fillwright-signer")
DEFAULT_KEYSTORE = DEFAULT_DIR / "keystore.json"


def _ask_twice() -> str:
    """As `_ask`; from the keyboard twice."""
    from fillwright.chain.signer.secret import take_passphrase

    given = take_passphrase()
    if given is not None:
        return given
    return str(typer.prompt("passphrase", hide_input=True, confirmation_prompt=True))


def _ask() -> str:
    """The passphrase from where the environment says, else from the keyboard. Raises ConfigError."""
    from fillwright.chain.signer.secret import take_passphrase

    given = take_passphrase()
    if given is not None:
        return given
    return str(typer.prompt("passphrase", hide_input=True))


@app.command()
def new(keystore: Keystore = DEFAULT_KEYSTORE) -> None:
    """Make a new key and say its wallet's address."""
    from fillwright.chain.signer import commands
    from fillwright.chain.signer.harden import dump_no_core

    dump_no_core()
    keystore.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    console.print(commands.new_keystore(keystore, _ask_twice), markup=False)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="File with a JSON byte array or base58; - asks for it.")],
    keystore: Keystore = DEFAULT_KEYSTORE,
) -> None:
    """Seal the key in SOURCE; delete SOURCE afterwards."""
    from fillwright.chain.signer import commands
    from fillwright.chain.signer.harden import dump_no_core

    dump_no_core()
    keystore.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if source == Path("-"):
        text = str(typer.prompt("key", hide_input=True)) if sys.stdin.isatty() else sys.stdin.readline()
        console.print(commands.import_text(keystore, text, _ask_twice), markup=False)
    else:
        console.print(commands.import_file(keystore, source, _ask_twice), markup=False)


@app.command()
def policy(path: Annotated[Path, typer.Argument(help="File to write.")]) -> None:
    """Write a policy to start from."""
    from fillwright.chain.signer import commands

    commands.write_policy_template(path)


@app.command()
def stop(data_dir: DataDir = DEFAULT_DIR) -> None:
    """Throw the kill switch: nothing new is signed; what has been sent is still settled."""
    from fillwright.chain.signer import commands

    was_used = commands.has_signed(data_dir)
    thrown = commands.stop(data_dir)
    console.print(f"stopped: {thrown}", markup=False)
    if not was_used:
        typer.echo(f"no signer has run in {data_dir} yet: a running one has another --data-dir, and goes on", err=True)


@app.command()
def resume(data_dir: DataDir = DEFAULT_DIR) -> None:
    """Take the kill switch back."""
    from fillwright.chain.signer import commands

    console.print("signing again" if commands.resume(data_dir) else "it was not stopped", markup=False)


@app.command()
def run(
    policy_path: Annotated[Path, typer.Option("--policy", help="What may be signed.")],
    socket: Annotated[Path, typer.Option(help="Unix socket to listen on.")] = DEFAULT_DIR / "signer.sock",
    keystore: Keystore = DEFAULT_KEYSTORE,
    data_dir: DataDir = DEFAULT_DIR,
) -> None:
    """Ask for the passphrase and sign what the policy allows, until stopped."""
    from fillwright.chain.signer import commands
    from fillwright.clock import SystemClock

    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    commands.run(
        keystore_path=keystore,
        policy_path=policy_path,
        socket_path=socket,
        data_dir=data_dir,
        passphrase=_ask,
        clock=SystemClock(),
        ready=lambda wallet: console.print(f"signing for {wallet} on {socket}", markup=False),
    )
