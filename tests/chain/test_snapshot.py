"""Snapshots: a pool saved from a node is the pool that the node has; nothing half-read and nothing half-written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from solders.pubkey import Pubkey
from tests.chain.node import StandInNode
from tests.venues.conformance import Sample, named_accounts, samples

from fillwright.chain import snapshot
from fillwright.chain.endpoint import RpcEndpoint
from fillwright.chain.rpc import Rpc
from fillwright.chain.snapshot import MAX_READ_TRIES, Reader, fetch_pool, fetch_program, write_pool, write_program
from fillwright.domain.accounts import Account, Accounts, Address, ChainClock
from fillwright.domain.errors import ChainError, FillwrightError, InvalidInput
from fillwright.market.dumps import TEMPORARY_PREFIX, read_folder
from fillwright.market.pools import load_pools

SAMPLES = {f"{sample.name} {sample.address[:8]}": sample for sample in samples()}
SAMPLE = next(sample for sample in SAMPLES.values() if sample.venue.id == "raydium_clmm")
NOWHERE = Address(str(Pubkey(bytes([5]) * 32)))
PROGRAM, PROGRAM_DATA = Address(str(Pubkey(bytes([6]) * 32))), Pubkey(bytes([8]) * 32)
UPGRADEABLE = Address("BPFLoaderUpgradeab1e11111111111111111111111")
ELF = b"\x7fELF and so on"
every_pool = pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)


class SkippingClock:
    """`ports.Clock` on which every sleep is over at once, and time has passed."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0

    def now_ms(self) -> int:
        return round(self.elapsed_s * 1000)

    def monotonic_s(self) -> float:
        return self.elapsed_s

    async def sleep(self, seconds: float) -> None:
        self.elapsed_s += seconds


@asynccontextmanager
async def reading(
    accounts: Accounts, clock: ChainClock | None = SAMPLE.clock
) -> AsyncIterator[tuple[Reader, StandInNode]]:
    ours = SkippingClock()
    async with StandInNode(accounts, clock) as node:
        rpc = Rpc([RpcEndpoint("stand-in", node.url)], ours)
        await rpc.open()
        try:
            yield Reader(rpc, ours), node
        finally:
            await rpc.close()


def refusal_of(accounts: Accounts, ask: Callable[[Reader], Awaitable[object]], **options: object) -> FillwrightError:
    async def run() -> FillwrightError:
        async with reading(accounts, **options) as (reader, _):  # type: ignore[arg-type]
            with pytest.raises(FillwrightError) as refused:
                await ask(reader)
        return refused.value

    return asyncio.run(run())


@every_pool
def test_a_saved_pool_is_the_pool_and_quotes_the_same(sample: Sample, tmp_path: Path) -> None:
    async def run() -> None:
        async with reading(sample.accounts, sample.clock) as (reader, node):
            dump = await fetch_pool(reader, sample.address)
            assert set(dump.accounts) < set(node.asked[-1])
        folder = write_pool(tmp_path, dump)
        assert folder == tmp_path / sample.venue.id / sample.address

    asyncio.run(run())
    loaded = load_pools(tmp_path)
    named = named_accounts(sample.venue, sample.address, sample.accounts)
    assert loaded.pools == {sample.address: sample.venue.decode(sample.address, named)}
    assert (loaded.clock, loaded.unpriced, loaded.notes) == (sample.clock, (), ())
    saved = loaded.pools[sample.address]
    for mint in saved.mints:
        for amount in (10**digits for digits in range(13)):
            quote = sample.quote(mint, amount, pool=saved)
            assert quote in (None, sample.quote(mint, amount))
    kept = read_folder(tmp_path)
    assert {*saved.mints, sample.address} <= set(kept)
    assert all(kept[key].data == sample.accounts[key].data for key in kept)


def test_the_meta_file_tells_program_pool_mints_and_clock(tmp_path: Path) -> None:
    async def run() -> None:
        async with reading(SAMPLE.accounts) as (reader, _):
            write_pool(tmp_path, await fetch_pool(reader, SAMPLE.address))

    asyncio.run(run())
    (path,) = tmp_path.rglob("meta.json")
    assert msgspec.json.decode(path.read_bytes()) == {
        "program": SAMPLE.venue.id,
        "program_id": SAMPLE.venue.program_id,
        "pool": SAMPLE.address,
        "mint_a": SAMPLE.pool.mints[0],
        "mint_b": SAMPLE.pool.mints[1],
        "clock": {
            "slot": SAMPLE.clock.slot,
            "unix_timestamp": SAMPLE.clock.unix_timestamp,
            "epoch": SAMPLE.clock.epoch,
        },
    }
    assert path.parent.name == SAMPLE.address


def test_what_is_no_pool_is_told_apart() -> None:
    stray = next(
        key for key, each in SAMPLE.accounts.items() if each.owner == SAMPLE.venue.program_id and key != SAMPLE.address
    )
    token = SAMPLE.pool.mints[0]
    cases = {
        "address_invalid": "not an address",
        "account_missing": NOWHERE,
        "pool_invalid": stray,
        "program_unsupported": token,
    }
    for code, address in cases.items():
        error = refusal_of(SAMPLE.accounts, lambda reader, address=address: fetch_pool(reader, Address(address)))
        assert isinstance(error, InvalidInput)
        assert error.code == code
        assert str(address) in error.message


def test_a_node_without_a_clock_is_refused() -> None:
    error = refusal_of(SAMPLE.accounts, lambda reader: fetch_pool(reader, SAMPLE.address), clock=None)
    assert (type(error), error.code) == (ChainError, "clock_unreadable")


def test_a_passing_fault_is_asked_again_and_a_lasting_one_is_told() -> None:
    async def run() -> None:
        async with reading(SAMPLE.accounts) as (reader, node):
            node.failures = [503, 429, {"code": -32005, "message": "Node is behind"}]
            assert (await fetch_pool(reader, SAMPLE.address)).address == SAMPLE.address
            for failure, code in ((503, "rpc_fault"), (429, "rpc_rate_limited")):
                node.failures = [failure] * MAX_READ_TRIES
                with pytest.raises(ChainError) as lasting:
                    await fetch_pool(reader, SAMPLE.address)
                assert lasting.value.code == code
                assert node.url not in lasting.value.message
                assert not node.failures
            node.failures = [{"code": -32602, "message": "no such method here"}]
            with pytest.raises(ChainError) as refused:
                await fetch_pool(reader, SAMPLE.address)
            assert refused.value.code == "rpc_refused"

    asyncio.run(run())


def test_accounts_that_never_stop_naming_others_end_the_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        id, program_id = SAMPLE.venue.id, SAMPLE.venue.program_id

        def companions(self, address: Address, accounts: Accounts) -> tuple[Address, ...]:
            return tuple(Address(str(Pubkey(bytes([number]) * 32))) for number in range(1, self.grow() + 1))

        def __init__(self, step: int) -> None:
            self.step, self.count = step, 0

        def grow(self) -> int:
            self.count += self.step
            return self.count

    for step, code in ((1, "pool_unsettled"), (60, "pool_too_large")):
        venue = Endless(step)
        monkeypatch.setattr(snapshot, "venue_of", lambda _, venue=venue: venue)
        error = refusal_of(SAMPLE.accounts, lambda reader: fetch_pool(reader, SAMPLE.address))
        assert error.code == code


def test_a_new_snapshot_replaces_the_old_one_whole(tmp_path: Path) -> None:
    async def run() -> None:
        async with reading(SAMPLE.accounts) as (reader, _):
            dump = await fetch_pool(reader, SAMPLE.address)
        folder = write_pool(tmp_path, dump)
        (folder / "accounts" / f"{NOWHERE}.json").write_text("left from an older pool")
        later = msgspec.structs.replace(dump, clock=msgspec.structs.replace(dump.clock, slot=dump.clock.slot + 1))
        write_pool(tmp_path, later)
        assert {path.stem for path in (folder / "accounts").iterdir()} == set(dump.accounts)
        assert load_pools(tmp_path).clock == later.clock
        assert [path.name for path in folder.parent.iterdir()] == [SAMPLE.address]

    asyncio.run(run())


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with reading(SAMPLE.accounts) as (reader, _):
            dump = await fetch_pool(reader, SAMPLE.address)
        folder = write_pool(tmp_path, dump)
        before = read_folder(tmp_path)
        rename = Path.rename

        def fails_at_the_last_step(self: Path, target: Path) -> Path:
            if self.name == "new":
                raise OSError("no space left on device")
            return rename(self, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", fails_at_the_last_step)
            with pytest.raises(OSError, match="no space left"):
                write_pool(tmp_path, dump)
        assert read_folder(tmp_path) == before
        assert [path.name for path in folder.parent.iterdir()] == [SAMPLE.address]

    asyncio.run(run())


def test_what_a_killed_run_leaves_behind_is_not_read(tmp_path: Path) -> None:
    left = tmp_path / f"{TEMPORARY_PREFIX}abc" / "new" / "accounts"
    left.mkdir(parents=True)
    (left / f"{NOWHERE}.json").write_text('{"pubkey": "half')
    assert read_folder(tmp_path) == {}
    assert load_pools(tmp_path).unpriced == ()


def test_a_program_is_its_binary_without_the_loader_s_header(tmp_path: Path) -> None:
    older = Address(str(Pubkey(bytes([11]) * 32)))
    accounts = {
        PROGRAM: Account(UPGRADEABLE, b"\x02\0\0\0" + bytes(PROGRAM_DATA)),
        Address(str(PROGRAM_DATA)): Account(UPGRADEABLE, b"\x03\0\0\0" + bytes(41) + ELF),
        older: Account(Address("BPFLoader2111111111111111111111111111111111"), ELF),
    }

    async def run() -> None:
        async with reading(accounts) as (reader, _):
            for program in (PROGRAM, older):
                path = write_program(tmp_path, program, await fetch_program(reader, program))
                assert path == tmp_path / f"{program}.so"
                assert path.read_bytes() == ELF

    asyncio.run(run())
    assert {path.stem for path in tmp_path.iterdir()} == {PROGRAM, older}
    for broken in (
        {},
        {PROGRAM: accounts[PROGRAM]},
        {PROGRAM: Account(NOWHERE, ELF)},
        {**accounts, Address(str(PROGRAM_DATA)): Account(UPGRADEABLE, bytes(45) + ELF)},
    ):
        assert refusal_of(broken, lambda reader: fetch_program(reader, PROGRAM)).code == "program_unknown"


def test_the_programs_of_a_pool_are_those_that_own_its_accounts() -> None:
    vault_program = "24Uqj9JCLxUeoC3hGfh5W3s9FM9uCHDS2SG3LYwBpyTi"
    found = {}
    for sample in SAMPLES.values():

        async def run(sample: Sample = sample) -> tuple[str, ...]:
            async with reading(sample.accounts, sample.clock) as (reader, _):
                return (await fetch_pool(reader, sample.address)).programs

        found[sample.name] = programs = asyncio.run(run())
        assert sample.venue.program_id in programs
        assert (vault_program in programs) == (sample.venue.id == "meteora_damm_v1")
    assert found["raydium_amm_v4/SYN_SOL-6_fee25"] == ("675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8",)
