"""What `fillwright localnet` does, as a plain function: load, listen on loopback, let slots pass until stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Address
from fillwright.localnet.chain import LocalChain
from fillwright.localnet.competitor import Competitor
from fillwright.localnet.faults import Faults
from fillwright.localnet.load import fund, load_accounts, load_program, programs_of
from fillwright.localnet.server import LocalNode
from fillwright.localnet.tips import TIP_ACCOUNTS
from fillwright.market.dumps import by_folder
from fillwright.venues.registry import venue_of

DEFAULT_PORT = 8899
TIP_ACCOUNT_LAMPORTS = 10**9


class LocalnetOptions(msgspec.Struct, frozen=True):
    """`programs`: `ID=FILE` each, or folders of `<program id>.so`. `accounts`: folders of dumps. `wallets`: funded
    with `lamports` and, of every mint that the dumps hold, `token_units`. `start_time_s` 0: the machine's time."""

    programs: Sequence[str] = ()
    accounts: Sequence[Path] = ()
    wallets: Sequence[str] = ()
    lamports: int = 10**12
    token_units: int = 10**12
    port: int = DEFAULT_PORT
    seed: int = 1
    slot_ms: int = 400
    start_slot: int = 450_000_000
    start_time_s: int = 1_790_700_000
    faults: Faults = Faults()


def build_chain(options: LocalnetOptions) -> tuple[LocalChain, Mapping[Address, Sequence[Address]]]:
    """The chain with all that was asked for in place, and each pool with its accounts. Raises ConfigError,
    InvalidInput."""
    chain = LocalChain(
        seed=options.seed,
        faults=options.faults,
        slot_ms=options.slot_ms,
        start_slot=options.start_slot,
        start_time_s=options.start_time_s,
    )
    for text in options.programs:
        for program_id, path in programs_of(text):
            load_program(chain, program_id, path)
    pools: dict[Address, Sequence[Address]] = {}
    for root in options.accounts:
        for accounts in by_folder(root).values():
            load_accounts(chain, accounts)
            pools.update({key: list(accounts) for key, each in accounts.items() if venue_of(each) is not None})
    for wallet in options.wallets:
        fund(chain, wallet, options.lamports, dict.fromkeys(sorted(chain.decimals), options.token_units))
    for account in TIP_ACCOUNTS:
        # As on a real cluster they are there: a small tip would not pay for the rent of a new account.
        chain.svm.airdrop(Pubkey.from_string(account), TIP_ACCOUNT_LAMPORTS)
    if options.faults.competitor:
        Competitor(chain, pools, options.seed)
    return chain, pools


def run(options: LocalnetOptions, ready: Callable[[str, int], None]) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is told the URL and the number of pools."""

    async def serve() -> None:
        chain, pools = build_chain(options)
        node = LocalNode(chain)
        await node.open(options.port)
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        node.run()
        ready(node.url, len(pools))
        try:
            await ended.wait()
        finally:
            await node.close()

    asyncio.run(serve())
