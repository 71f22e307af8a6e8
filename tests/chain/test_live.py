"""The live configuration: read from a file, checked, and opened only on the cluster that the mode says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.chain.world import WALLET, LocalWorld

from fillwright.chain.endpoint import RpcEndpoint
from fillwright.chain.live import LiveConfig, check_live, market_at, open_live, read_live
from fillwright.chain.signer.policy import Policy
from fillwright.chain.signer.secret import SecretKey
from fillwright.chain.signer.service import SignerServer, SignerService
from fillwright.chain.signer.spending import SpendingBook
from fillwright.chain.solana import Tip
from fillwright.clock import SystemClock
from fillwright.config import Mode
from fillwright.domain.accounts import Address, Mint
from fillwright.domain.errors import ConfigError
from fillwright.domain.tokens import MAINNET_TOKENS, TokenList
from fillwright.localnet.server import LocalNode

ENDPOINT = RpcEndpoint("a", "http://127.0.0.1:1")
POOL = Address("Ea137St4AKnh8Xa8boXxYHs79Gvove3NyAfFPh7kxdvu")
GOOD = LiveConfig(endpoints=(ENDPOINT,), pools=(POOL,))
CHANGES: tuple[dict[str, object], ...] = (
    {"endpoints": ()},
    {"pools": ()},
    {"endpoints": (ENDPOINT, ENDPOINT)},
    {"bundles": (RpcEndpoint("b", "http://127.0.0.1:2"),)},
    {"relays": (RpcEndpoint("b", "http://127.0.0.1:2"),), "tip": Tip(1, ())},
    {"witness": RpcEndpoint("w", ENDPOINT.url)},
)


@pytest.mark.parametrize("change", CHANGES)
def test_contradictions_are_refused(change: dict[str, object]) -> None:
    assert check_live(GOOD) is GOOD
    with pytest.raises(ConfigError):
        check_live(msgspec.structs.replace(GOOD, **change))


def test_the_file_of_the_guide_is_read(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "going-live.md").read_text(encoding="utf-8")
    path = tmp_path / "live.toml"
    path.write_text(guide.split("```toml\n")[1].split("```")[0].replace("<address>", POOL), encoding="utf-8")
    config = read_live(path)
    assert [endpoint.name for endpoint in config.endpoints] == ["first", "second"]
    assert config.witness is not None
    assert config.guards.trusted == (Mint("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"),)
    path.write_text("endpoints = 5")
    with pytest.raises(ConfigError):
        read_live(path)
    with pytest.raises(ConfigError):
        read_live(tmp_path / "missing.toml")


def test_a_file_without_endpoints_takes_the_one_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "live.toml"
    path.write_text(f'pools = ["{POOL}"]')
    with pytest.raises(ConfigError, match="endpoint"):
        read_live(path)
    (endpoint,) = read_live(path, "https://node.example/secret-key").endpoints
    assert (endpoint.name, endpoint.websocket_url) == ("node.example", "wss://node.example/secret-key")


@pytest.mark.parametrize(
    "url", ["node.example", "ftp://node.example/secret-key", "http://?secret", "http://[secret-key"]
)
def test_an_address_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        market_at(url, [POOL], [])
    assert "secret" not in refused.value.message


def test_a_market_is_looked_at_by_pools_and_pairs() -> None:
    a, b = Mint(SOL), Mint(USDC)
    config = market_at("http://127.0.0.1:8899", [POOL], [(a, b)])
    assert config.pools == (POOL,)
    assert [(pair.a, pair.b) for pair in config.pairs] == [(a, b)]
    assert config.endpoints[0].websocket_url == "ws://127.0.0.1:8900"
    with pytest.raises(ConfigError, match="nothing could be traded"):
        market_at("http://127.0.0.1:8899", [], [])


def test_fees_that_can_not_be_followed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "live.toml"
    given = f'pools = ["{POOL}"]\n[[endpoints]]\nname = "a"\nurl = "http://127.0.0.1:1"\n[fees]\n'
    path.write_text(given + "bump_after_blocks = 40\nmax_bids = 2\nmin_bump = 5\n")
    fees = read_live(path).fees
    assert (fees.bump_after_blocks, fees.max_bids, fees.min_bump) == (40, 2, 5)
    path.write_text(given + "max_bids = 99\n")
    with pytest.raises(ConfigError, match="max_bids"):
        read_live(path)


def test_a_signer_and_the_right_cluster_are_demanded(tmp_path: Path) -> None:
    async def run() -> None:
        world = LocalWorld("raydium_cpmm/FRESH_SOL-SPL")
        node = LocalNode(world.local)
        await node.open()
        clock = SystemClock()
        config = LiveConfig(
            endpoints=(RpcEndpoint("a", node.url, node.websocket_url),),
            witness=RpcEndpoint("w", node.url + "/"),
            bundles=(RpcEndpoint("b", node.url + "/api/v1/bundles"),),
            tip=Tip(1_000, ("96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",)),
            pools=tuple(world.held),
        )
        socket = tmp_path / "s.sock"

        async def opened(mode: Mode) -> int:
            async with open_live(
                config, mode=mode, clock=clock, tokens=TokenList(MAINNET_TOKENS), signer_socket=socket
            ) as live:
                assert live.witness is not None
                assert live.signer.wallet == str(WALLET.pubkey())
                return len(live.feed.current().pools)

        with pytest.raises(ConfigError, match="no signer"):
            await opened(Mode.DEVNET)
        for mode, expected in ((Mode.DEVNET, 1), (Mode.MAINNET, None)):
            book = SpendingBook(tmp_path / f"{mode}.jsonl")
            book.open()
            service = SignerService(
                key=SecretKey(WALLET), policy=Policy(mode=mode, spend={}), book=book, clock=clock,
                halt_file=tmp_path / "halted",
            )  # fmt: skip
            server = SignerServer(service, socket)
            await server.open()
            if expected is None:
                with pytest.raises(ConfigError, match="cluster"):
                    await opened(mode)
            else:
                assert await opened(mode) == expected
            await server.close()
            book.close()
        await node.close()

    asyncio.run(run())


SOL, USDC = "So11111111111111111111111111111111111111112", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
BROKEN = {
    "a pool that is no address": 'pools = ["x"]',
    "a mint that is a symbol": 'mints = ["SOL"]',
    "a table that is no address": 'lookup_tables = ["x"]',
    "a pair of one mint": f'[[pairs]]\na = "{SOL}"\nb = "{SOL}"',
    "a pair of a symbol": f'[[pairs]]\na = "{SOL}"\nb = "USDC"',
    "a pair at an unknown venue": f'[[pairs]]\na = "{SOL}"\nb = "{USDC}"\nvenues = ["elsewhere"]',
    "an address of another scheme": '[[endpoints]]\nname = "b"\nurl = "ftp://node.example/secret-key"',
    "a WebSocket of another scheme": (
        '[[endpoints]]\nname = "b"\nurl = "http://b.example"\nwebsocket_url = "https://b.example/secret-key"'
    ),
    "an endpoint without a name": '[[endpoints]]\nname = ""\nurl = "http://b.example/secret-key"',
    "a rate below zero": '[[endpoints]]\nname = "b"\nurl = "http://b.example"\nrequests_per_s = -1',
    "a rate that is no number": '[[endpoints]]\nname = "b"\nurl = "http://b.example"\nrequests_per_s = nan',
    "a witness without an address": '[witness]\nname = "w"\nurl = "secret-key"',
    "a relay without an address": '[tip]\nlamports = 0\naccounts = []\n[[relays]]\nname = "r"\nurl = ""',
    "a tip to no address": '[tip]\nlamports = 1\naccounts = ["x"]',
    "a tip to nobody": "[tip]\nlamports = 1\naccounts = []",
    "a tip below zero": f'[tip]\nlamports = -1\naccounts = ["{USDC}"]',
    "an unknown commitment": '[feed]\ncommitment = "max"',
    "a market that is stale at once": "[feed]\nstale_after_s = 0.0",
    "a market that is read without a pause": "[feed]\npoll_s = 0.0",
    "no time to answer in": "rpc_timeout_s = -1.0",
    "a blockhash held until it has expired": "blockhash_life_s = 1000.0",
    "a guard below zero": "[guards]\nmax_deviation_bps = -1",
    "trust in a symbol": '[guards]\ntrusted = ["USDC"]',
    "a depth below zero": f"[guards.min_depth]\n{USDC} = -1",
    "a sentinel without strikes": "[drift]\nstrikes = 0",
    "more strikes than observations": "[drift]\nstrikes = 3\nwindow = 2",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_configuration_that_could_not_be_run_is_refused_at_the_start_and_shows_no_address(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "live.toml"
    text, given = BROKEN[name], '[[endpoints]]\nname = "a"\nurl = "http://a.example/secret-key"\n'
    head, section = (text + "\n", "") if not text.startswith("[") else ("", text + "\n")
    if "pools" not in head and "mints" not in head:
        head += f'mints = ["{SOL}"]\n'
    path.write_text(head + given)
    if section:
        read_live(path)
    path.write_text(head + given + section)
    with pytest.raises(ConfigError) as refused:
        read_live(path)
    assert "secret-key" not in str(refused.value)
