"""What `fillwright signer …` does, as plain functions: make or import a keystore, run, stop, resume.

In: paths and a way to ask for a passphrase. Out: texts to show. Raises ConfigError.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import structlog
from solders.keypair import Keypair

from fillwright.chain.signer import keystore
from fillwright.chain.signer.harden import harden
from fillwright.chain.signer.policy import read_policy
from fillwright.chain.signer.secret import SecretKey, key_from_environment, parse_key, read_key, redact
from fillwright.chain.signer.service import HALT_FILE, RpcTables, SignerServer, SignerService
from fillwright.chain.signer.spending import SpendingBook
from fillwright.domain.errors import ConfigError
from fillwright.ports import Clock

Passphrase = Callable[[], str]
BOOK_FILE = "signer-spending.jsonl"

POLICY_TEMPLATE = """\
# What the signer may sign. Everything that is not allowed here is refused.
mode = "devnet"                       # or "mainnet"; the engine must run in the same mode
venues = ["raydium_cpmm", "raydium_clmm", "raydium_amm_v4", "meteora_dlmm", "meteora_damm_v1", "meteora_damm_v2"]
max_slippage_bps = 100
max_priority_fee_lamports = 2000000
max_order_fees_lamports = 20000000     # of all transactions of one order, if every one of them lands
max_tip_lamports = 0
tip_accounts = []
require_marker = true
receive = []                          # mints that may be bought or passed through, beside those below

# What may be spent, in base units of each mint. SOL is its wrapped mint.
[spend.So11111111111111111111111111111111111111112]
per_order = 100000000
per_day = 1000000000
"""


def new_keystore(path: Path, passphrase: Passphrase) -> str:
    """Make a new key; its wallet's address."""
    key = SecretKey(Keypair())
    keystore.save(path, key, passphrase())
    return str(key.wallet)


def import_file(path: Path, source: Path, passphrase: Passphrase) -> str:
    """Seal the key in `source` (JSON array or base58); its wallet's address. The source stays: delete it."""
    key = read_key(source)
    keystore.save(path, key, passphrase())
    return str(key.wallet)


def import_text(path: Path, text: str, passphrase: Passphrase) -> str:
    """Seal a key given as a JSON array or as base58, never as a command's argument; its wallet's address."""
    key = parse_key(text)
    keystore.save(path, key, passphrase())
    return str(key.wallet)


def write_policy_template(path: Path) -> None:
    """Write a policy to start from. Raises ConfigError where the file exists."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(POLICY_TEMPLATE)
    except FileExistsError:
        raise ConfigError(f"{path} exists") from None
    path.chmod(0o600)


def has_signed(data_dir: Path) -> bool:
    """Whether a signer keeps, or has kept, its book in this folder."""
    return (data_dir / BOOK_FILE).exists()


def stop(data_dir: Path) -> Path:
    """Throw the kill switch: from now on nothing new is signed. What has been sent is still settled."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = data_dir / HALT_FILE
    path.touch(mode=0o600)
    return path


def resume(data_dir: Path) -> bool:
    """Take the kill switch back; whether it was on."""
    path = data_dir / HALT_FILE
    was_on = path.exists()
    path.unlink(missing_ok=True)
    return was_on


def run(
    *,
    keystore_path: Path,
    policy_path: Path,
    socket_path: Path,
    data_dir: Path,
    passphrase: Passphrase,
    clock: Clock,
    ready: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is called with the wallet's address once the socket listens.

    The key is the keystore's; on devnet PRIVATE_KEY beats it, with a warning; on mainnet that is refused.
    """
    harden()
    structlog.configure(processors=[redact, *structlog.get_config()["processors"]])
    policy = read_policy(policy_path)
    given = key_from_environment(policy.mode, os.environ)
    if given is None:
        key = keystore.load(keystore_path, passphrase())
    else:
        key, warning = given
        structlog.get_logger("fillwright.signer").warning("key from the environment", warning=warning)

    async def serve() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        async with contextlib.AsyncExitStack() as stack:
            book = SpendingBook(data_dir / BOOK_FILE)
            book.open()
            stack.callback(book.close)
            tables = RpcTables(policy.rpc_url, clock) if policy.rpc_url else None
            if tables is not None:
                await tables.open()
                stack.push_async_callback(tables.close)
            halt = data_dir / HALT_FILE
            service = SignerService(key=key, policy=policy, book=book, clock=clock, halt_file=halt, tables=tables)
            server = SignerServer(service, socket_path)
            await server.open()
            stack.push_async_callback(server.close)
            ready(service.wallet)
            await ended.wait()

    asyncio.run(serve())
