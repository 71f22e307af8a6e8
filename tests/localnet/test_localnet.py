"""The local node: windows, sizes, duplicates, commitments and faults are those of a network, and repeatable."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from solders.compute_budget import set_compute_unit_price
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from tests.chain.world import LocalWorld, engine, programs_for, skip_without
from tests.venues.raydium_data import OWN

from fillwright.chain.endpoint import RpcEndpoint
from fillwright.chain.rpc import Rpc
from fillwright.chain.snapshot import Reader, fetch_pool, fetch_program, write_pool, write_program
from fillwright.clock import SystemClock
from fillwright.domain.accounts import Address
from fillwright.domain.errors import ChainError, ConfigError, InvalidInput
from fillwright.localnet.chain import BLOCKHASH_LIFE, LocalChain, Rejected
from fillwright.localnet.commands import LocalnetOptions, build_chain
from fillwright.localnet.faults import Faults
from fillwright.localnet.load import load_program, parse_program, programs_of
from fillwright.localnet.methods import Methods, RpcFault
from fillwright.localnet.server import LocalNode
from fillwright.localnet.tips import TIP_ACCOUNTS
from fillwright.market.pools import load_pools

PAYER = Keypair.from_seed(bytes([1]) * 32)
OTHER = Keypair.from_seed(bytes([2]) * 32).pubkey()


def chain(**options: object) -> LocalChain:
    made = LocalChain(**options)  # type: ignore[arg-type]
    made.svm.airdrop(PAYER.pubkey(), 10**12)
    return made


def payment(local: LocalChain, lamports: int = 10**6, *, blockhash: str = "", count: int = 1) -> bytes:
    parts = [
        transfer(TransferParams(from_pubkey=PAYER.pubkey(), to_pubkey=OTHER, lamports=lamports + each))
        for each in range(count)
    ]
    value = Hash.from_string(blockhash or local.blockhash("processed")[0])
    return bytes(VersionedTransaction(MessageV0.try_compile(PAYER.pubkey(), parts, [], value), [PAYER]))


def balance(local: LocalChain, commitment: str) -> int:
    account = local.account(str(OTHER), commitment)
    return 0 if account is None else account.lamports


def test_a_payment_shows_at_each_commitment_in_turn() -> None:
    local = chain(confirm_slots=2, finality_slots=5)
    local.send(payment(local))
    seen = []
    for _ in range(7):
        seen.append(tuple(balance(local, each) for each in ("processed", "confirmed", "finalized")))
        local.advance()
    million = 10**6
    assert seen == [(million, 0, 0)] * 2 + [(million, million, 0)] * 3 + [(million, million, million)] * 2


def test_a_blockhash_lives_for_150_blocks_and_one_more() -> None:
    for passed, lands in ((BLOCKHASH_LIFE + 1, True), (BLOCKHASH_LIFE + 2, False)):
        local = chain()
        raw = payment(local)
        local.advance(passed)
        local.send(raw)
        assert (len(local.ledger) == 1) is lands
        assert (balance(local, "processed") > 0) is lands


def test_a_network_stays_the_same_one_and_another_seed_is_another() -> None:
    local = chain()
    told = Methods(local).call("getGenesisHash", [])
    local.advance(100)
    assert Methods(local).call("getGenesisHash", []) == told == Methods(chain()).call("getGenesisHash", [])
    assert Methods(chain(seed=2)).call("getGenesisHash", []) != told


def test_the_same_bytes_land_once() -> None:
    local = chain(faults=Faults(delay_slots=3))
    raw = payment(local)
    for _ in range(10):
        local.send(raw)
        local.advance()
    assert len(local.ledger) == 1
    assert balance(local, "processed") == 10**6


def test_while_a_chain_is_congested_it_takes_only_what_pays_enough() -> None:
    faults = Faults(congestion=1.0, congestion_slots=20, congestion_price=1_000)
    local = chain(faults=faults)
    local.advance()
    blockhash = local.blockhash("processed")[0]
    for number, price in enumerate((0, 999, 1_000)):
        parts = [] if price == 0 else [set_compute_unit_price(price)]
        parts.append(transfer(TransferParams(from_pubkey=PAYER.pubkey(), to_pubkey=OTHER, lamports=10**6 + number)))
        value = Hash.from_string(blockhash)
        local.send(bytes(VersionedTransaction(MessageV0.try_compile(PAYER.pubkey(), parts, [], value), [PAYER])))
    assert balance(local, "processed") == 10**6 + 2
    local.advance(10)
    local.dice.faults = Faults()
    local.advance(20)
    assert len(local.ledger) == 3
    local = chain(faults=faults)
    local.advance()
    local.send(payment(local))
    local.advance(2 * BLOCKHASH_LIFE)
    assert not local.ledger


@pytest.mark.parametrize("seed", [1, 2])
def test_congestion_comes_and_goes_by_the_seed(seed: int) -> None:
    def slots() -> list[int]:
        local = chain(seed=seed, faults=Faults(congestion=0.1, congestion_slots=10, congestion_price=1))
        for number in range(60):
            local.send(payment(local, 10**6 + number))
            local.advance()
        return [landed.slot for landed in local.ledger.values()]

    assert slots() == slots()
    assert 2 < len(set(slots())) < 50


@pytest.mark.parametrize("raw", [b"", b"\x01" + bytes(100), bytes(1_233)])
def test_broken_bytes_are_rejected(raw: bytes) -> None:
    with pytest.raises(Rejected):
        chain().send(raw)


def test_too_large_and_unsigned_transactions_are_rejected() -> None:
    local = chain()
    with pytest.raises(Rejected, match="too large"):
        local.send(payment(local, count=80))
    raw = bytearray(payment(local))
    raw[10] ^= 1
    with pytest.raises(Rejected, match="signature"):
        local.send(bytes(raw))
    assert not local.ledger


def test_a_failed_transaction_pays_its_fee_and_stays_in_the_ledger() -> None:
    local = chain()
    before = local.account(str(PAYER.pubkey()))
    signature = local.send(payment(local, 10**13))
    assert local.ledger[signature].error == {"InstructionError": [0, {"Custom": 1}]}
    after = local.account(str(PAYER.pubkey()))
    assert before is not None
    assert after is not None
    assert before.lamports - after.lamports == 5_000


def test_the_same_seed_gives_the_same_ledger() -> None:
    def ledger(seed: int) -> list[tuple[str, int]]:
        local = chain(seed=seed, faults=Faults(drop=0.3, delay_slots=10))
        for number in range(40):
            local.send(payment(local, 10**6 + number))
            local.advance()
        local.advance(20)
        return [(each.meta["postBalances"][1], each.slot) for each in local.ledger.values()]

    assert ledger(1) == ledger(1)
    assert ledger(1) != ledger(2)
    assert 15 < len(ledger(1)) < 40


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("getAccountInfo", []),
        ("getAccountInfo", ["not a key"]),
        ("getAccountInfo", [str(OTHER), {"commitment": "max"}]),
        ("getMultipleAccounts", [[str(OTHER)] * 101]),
        ("getSignatureStatuses", ["x"] * 2),
        ("sendTransaction", ["!!!", {"encoding": "base64"}]),
        ("sendTransaction", [{}]),
        ("simulateTransaction", [None]),
        ("getSlot", [{"commitment": 5}]),
        ("getTransaction", []),
        ("getMinimumBalanceForRentExemption", [-1]),
        ("getMinimumBalanceForRentExemption", [2**70]),
        ("requestAirdrop", [str(OTHER), -1]),
        ("getTokenAccountBalance", [str(PAYER.pubkey())]),
        ("noSuchMethod", []),
    ],
)
def test_bad_parameters_get_an_error_object(method: str, params: list[object]) -> None:
    with pytest.raises(RpcFault):
        Methods(chain()).call(method, params)


def test_faults_of_the_connection_come_as_often_as_asked_for() -> None:
    async def run() -> None:
        local = chain(faults=Faults(http_429=0.2, http_5xx=0.2))
        node = LocalNode(local)
        await node.open()
        rpc = Rpc([RpcEndpoint("n", node.url)], SystemClock())
        await rpc.open()
        failed = 0
        for _ in range(200):
            try:
                await rpc.call("getSlot", [], int)
            except ChainError:
                failed += 1
        await rpc.close()
        await node.close()
        assert 40 < failed < 110

    asyncio.run(run())


def test_programs_are_given_as_id_and_file(tmp_path: Path) -> None:
    assert parse_program("abc=/x/y.so") == ("abc", Path("/x/y.so"))
    for text in ("abc", "abc="):
        with pytest.raises(ConfigError):
            parse_program(text)
    path = tmp_path / "p.so"
    with pytest.raises(ConfigError):
        load_program(chain(), str(OTHER), path)
    with pytest.raises(ConfigError):
        programs_of(str(tmp_path))
    path.write_bytes(b"not an ELF file")
    assert programs_of(str(tmp_path)) == [("p", path)]
    with pytest.raises(ConfigError, match="ELF"):
        load_program(chain(), str(OTHER), path)


def test_folders_of_dumps_become_pools_and_funded_wallets() -> None:
    options = LocalnetOptions(accounts=(OWN / "pools" / "raydium_cpmm",), wallets=(str(PAYER.pubkey()),))
    local, pools = build_chain(options)
    assert len(pools) == 2
    held = local.account(str(PAYER.pubkey()))
    assert held is not None
    assert held.lamports == options.lamports
    assert len(local.decimals) == 3


def test_a_small_tip_can_be_paid_from_the_start() -> None:
    local, _ = build_chain(LocalnetOptions(wallets=(str(PAYER.pubkey()),)))
    tip = TransferParams(from_pubkey=PAYER.pubkey(), to_pubkey=Pubkey.from_string(TIP_ACCOUNTS[7]), lamports=1_000)
    value = Hash.from_string(local.blockhash("processed")[0])
    raw = bytes(VersionedTransaction(MessageV0.try_compile(PAYER.pubkey(), [transfer(tip)], [], value), [PAYER]))
    signature = local.send(raw)
    local.advance()
    assert local.ledger[signature].error is None


def test_what_is_dumped_from_a_node_loads_again(tmp_path: Path) -> None:
    skip_without("raydium_cpmm")

    async def run() -> None:
        world = LocalWorld("raydium_cpmm/FRESH_SOL-SPL")
        (address,) = world.held
        (program,) = programs_for("raydium_cpmm")
        async with engine(world) as running:
            reader = Reader(running.rpc, SystemClock())
            dump = await fetch_pool(reader, address)
            assert len(dump.accounts) >= 5
            write_pool(tmp_path, dump)
            loaded = load_pools(tmp_path)
            assert loaded.pools == {address: world.pool(address)}
            assert loaded.clock is not None
            assert loaded.clock.slot == world.local.slot
            with pytest.raises(InvalidInput):
                await fetch_pool(reader, Address(str(OTHER)))
            for each in (program, *dump.programs):
                write_program(tmp_path, each, await fetch_program(reader, each))
            with pytest.raises(InvalidInput):
                await fetch_program(reader, str(Pubkey.default()))
        again, pools = build_chain(LocalnetOptions(programs=(str(tmp_path),), accounts=(tmp_path,)))
        assert list(pools) == [address]
        assert again.account(program) is not None

    asyncio.run(run())
