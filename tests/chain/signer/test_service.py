"""The signer as a process: its socket, its day's limits, its kill switch; and nothing shows its key."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest
from msgspec.structs import replace
from solders.pubkey import Pubkey
from solders.signature import Signature
from tests.chain.signer.orders import AMOUNT, WALLET, honest, order, policy
from tests.chain.signer.test_judge import HOSTILE, TABLE, TABLE_ADDRESSES, message, sweep, with_table
from tests.chain.signer.test_keystore import BASE58, CANARY, CHEAP, PASSPHRASE, shows_canary

from fillwright.chain.bids import Priced
from fillwright.chain.signer import commands, keystore
from fillwright.chain.signer.client import SocketSigner
from fillwright.chain.signer.judge import Tables, Verdict
from fillwright.chain.signer.policy import Policy, Spending
from fillwright.chain.signer.protocol import MAX_FRAME_BYTES, Ask, Told
from fillwright.chain.signer.secret import SecretKey
from fillwright.chain.signer.service import SignerServer, SignerService, TableSource
from fillwright.chain.signer.spending import SpendingBook
from fillwright.config import Mode
from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.errors import ConfigError, SignerRefused

DAY_MS = 86_400_000


class FakeClock:
    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1_000

    async def sleep(self, seconds: float) -> None:
        self.ms += int(seconds * 1_000)


class Running:
    def __init__(self, client: SocketSigner, service: SignerService, clock: FakeClock, socket: Path) -> None:
        self.client, self.service, self.clock, self.socket = client, service, clock, socket


@asynccontextmanager
async def signer(
    folder: Path, rules: Policy | None = None, tables: TableSource | None = None
) -> AsyncIterator[Running]:
    clock = FakeClock()
    book = SpendingBook(folder / "spending.jsonl")
    book.open()
    halt = folder / "signer-halted"
    service = SignerService(
        key=SecretKey(WALLET), policy=rules or policy(), book=book, clock=clock, halt_file=halt, tables=tables
    )
    server = SignerServer(service, folder / "s.sock")
    await server.open()
    client = SocketSigner(folder / "s.sock")
    await client.open(Mode.DEVNET)
    try:
        yield Running(client, service, clock, folder / "s.sock")
    finally:
        await client.close()
        await server.close()
        book.close()


def test_an_order_is_signed_over_the_socket(tmp_path: Path) -> None:
    async def run() -> None:
        async with signer(tmp_path) as running:
            plan = order()
            signed = await running.client.sign(honest(plan), plan)
            assert running.client.wallet == str(WALLET.pubkey())
            assert signed.raw == b"\x01" + bytes(Signature.from_string(signed.signature)) + honest(plan)
            assert Signature.from_string(signed.signature).verify(WALLET.pubkey(), honest(plan))
            assert running.socket.stat().st_mode & 0o777 == 0o600

    asyncio.run(run())


def test_hostile_messages_are_refused_over_the_socket_and_the_next_order_is_signed(tmp_path: Path) -> None:
    async def run() -> None:
        async with signer(tmp_path) as running:
            plan = order()
            for build in HOSTILE.values():
                with pytest.raises(SignerRefused):
                    await running.client.sign(message(build()), plan)
            assert await running.client.sign(honest(plan), plan)

    asyncio.run(run())


@pytest.mark.parametrize(
    "raw",
    [b"x", b"{}", b"\xff\xfe", b'{"op":"sign"}', b'{"op":"export"}', b'{"op":"sign","message":"!!"}', b"[" * 10_000,
     b'{"op":"sign","message":"","plan":{}}', b'{"op":"sign","plan":null,"message":"AA=="}'],
)  # fmt: skip
def test_broken_requests_get_an_answer_without_a_signature(tmp_path: Path, raw: bytes) -> None:
    async def run() -> None:
        async with signer(tmp_path) as running:
            told = await running.service.answer(raw)
            assert told.error
            assert not told.signature

    asyncio.run(run())


def test_a_peer_that_does_not_speak_the_protocol_is_dropped(tmp_path: Path) -> None:
    async def run() -> None:
        async with signer(tmp_path) as running:
            reader, writer = await asyncio.open_unix_connection(str(running.socket))
            writer.write((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            plan = order()
            assert await running.client.sign(honest(plan), plan)

    asyncio.run(run())


def test_another_user_is_not_answered(tmp_path: Path) -> None:
    async def run() -> None:
        async with signer(tmp_path) as running:
            server = SignerServer(running.service, tmp_path / "other.sock", peer_uid=lambda _: os.getuid() + 1)
            await server.open()
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "other.sock"))
            assert await reader.read() == b""
            writer.close()
            await server.close()

    asyncio.run(run())


def test_a_second_signer_on_the_same_socket_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with signer(tmp_path) as running:
            with pytest.raises(ConfigError, match="another signer"):
                await SignerServer(running.service, running.socket).open()

    asyncio.run(run())


def test_the_days_limit_holds_over_a_restart_and_ends_after_a_day(tmp_path: Path) -> None:
    rules = policy(spend={**policy().spend, WRAPPED_SOL: Spending(AMOUNT, 2 * AMOUNT)})
    plans = [order(seed=f"{number:032d}") for number in range(4)]

    async def run() -> None:
        async with signer(tmp_path, rules) as running:
            for plan in (plans[0], plans[0], plans[1], plans[0]):
                await running.client.sign(honest(plan), plan)
            with pytest.raises(SignerRefused, match="a day"):
                await running.client.sign(honest(plans[2]), plans[2])
        async with signer(tmp_path, rules) as running:
            with pytest.raises(SignerRefused, match="a day"):
                await running.client.sign(honest(plans[2]), plans[2])
            running.clock.ms += DAY_MS
            await running.client.sign(honest(plans[3]), plans[3])

    asyncio.run(run())


def test_without_a_marker_every_signature_counts(tmp_path: Path) -> None:
    rules = policy(require_marker=False, spend={**policy().spend, WRAPPED_SOL: Spending(AMOUNT, 2 * AMOUNT)})

    async def run() -> None:
        async with signer(tmp_path, rules) as running:
            plan = order(seed="")
            for limit in (0, 1):
                changed = replace(plan, limit=plan.limit + limit)
                await running.client.sign(honest(changed), changed)
            changed = replace(plan, limit=plan.limit + 2)
            with pytest.raises(SignerRefused, match="a day"):
                await running.client.sign(honest(changed), changed)

    asyncio.run(run())


def test_an_orders_fees_add_up_over_its_bids_and_over_a_restart(tmp_path: Path) -> None:
    bids = [5_200 + 200 * number for number in range(6)]  # of 200,000 units at 1,000 to 6,000 micro-lamports
    rules = policy(max_order_fees_lamports=sum(bids[:4]), spend={WRAPPED_SOL: Spending(AMOUNT, 2 * AMOUNT)})
    plan, other = order(seed="0" * 32), order(seed="1" * 32)

    def bid(number: int) -> bytes:
        raised = Priced(honest(plan)).at(1_000 * (number + 1))
        assert raised is not None
        return raised

    async def run() -> None:
        async with signer(tmp_path, replace(rules, receive=(plan.output_mint,))) as running:
            for number in range(3):
                await running.client.sign(bid(number), plan)
        async with signer(tmp_path, replace(rules, receive=(plan.output_mint,))) as running:
            with pytest.raises(SignerRefused, match="fees"):
                await running.client.sign(bid(4), plan)
            await running.client.sign(bid(3), plan)
            with pytest.raises(SignerRefused, match="fees"):
                await running.client.sign(bid(0), plan)
            await running.client.sign(honest(other), other)
            assert running.service._book.spent(WRAPPED_SOL, running.clock.ms) == 2 * AMOUNT

    asyncio.run(run())


def test_each_bid_is_held_to_the_highest_priority_fee(tmp_path: Path) -> None:
    async def run() -> None:
        async with signer(tmp_path, policy(max_priority_fee_lamports=400)) as running:
            plan = order()
            for price, allowed in ((2_000, True), (2_001, False)):
                raised = Priced(honest(plan)).at(price)
                assert raised is not None
                if allowed:
                    await running.client.sign(raised, plan)
                else:
                    with pytest.raises(SignerRefused, match="priority fee"):
                        await running.client.sign(raised, plan)

    asyncio.run(run())


def test_a_torn_last_line_is_dropped_and_other_damage_stops_the_signer(tmp_path: Path) -> None:
    path = tmp_path / "spending.jsonl"
    path.write_bytes(b'{"at_ms":1,"mint":"m","units":5,"key":"k"}\n{"at_ms":1,"mi')
    book = SpendingBook(path)
    book.open()
    assert book.spent(WRAPPED_SOL, 2) == 0
    book.close()
    assert path.read_bytes().endswith(b'"k"}\n')
    path.write_bytes(b"garbage\n" + path.read_bytes())
    with pytest.raises(ConfigError, match="damaged"):
        SpendingBook(path).open()


def test_a_last_line_that_lacks_only_its_end_counts(tmp_path: Path) -> None:
    path = tmp_path / "spending.jsonl"
    path.write_bytes(b'{"at_ms":1,"mint":"m","units":5,"key":"k"}')
    for _ in range(2):
        book = SpendingBook(path)
        book.open()
        assert book.spent(Mint("m"), 2) == 5
        book.close()


def test_two_signers_do_not_share_a_spending_book(tmp_path: Path) -> None:
    first, second = SpendingBook(tmp_path / "spending.jsonl"), SpendingBook(tmp_path / "spending.jsonl")
    first.open()
    with pytest.raises(ConfigError, match="another signer"):
        second.open()
    first.close()
    second.open()
    second.close()


class FullDisk:
    """A file that takes `room` bytes more."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self._file, self._room = file, room
        self.fileno, self.close = file.fileno, file.close

    def write(self, data: bytes) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "no space left")
        written = self._file.write(data[: self._room])
        self._room -= written
        return written


@pytest.mark.parametrize("room", [0, 10])
def test_what_can_not_be_written_down_is_not_signed_and_leaves_the_book_whole(tmp_path: Path, room: int) -> None:
    async def run() -> None:
        plans = [order(seed=f"{number:032d}") for number in range(3)]
        async with signer(tmp_path) as running:
            await running.client.sign(honest(plans[0]), plans[0])
            book = running.service._book
            file = book._file
            assert file is not None
            book._file = FullDisk(file, room)  # type: ignore[assignment]
            with pytest.raises(SignerRefused) as refused:
                await running.client.sign(honest(plans[1]), plans[1])
            assert refused.value.code == "signer_unavailable"
            book._file = file
            await running.client.sign(honest(plans[2]), plans[2])
        async with signer(tmp_path) as running:
            assert running.service._book.spent(WRAPPED_SOL, running.clock.ms) == 2 * AMOUNT

    asyncio.run(run())


def test_what_was_signed_days_ago_is_let_go_but_never_what_an_order_may_still_cost(tmp_path: Path) -> None:
    book = SpendingBook(tmp_path / "spending.jsonl")
    book.open()
    for number in range(3_000):
        verdict = Verdict(WRAPPED_SOL, 1, 1, f"marker-{number}", 7)
        book.reserve(verdict, "", 10**9, 10, number * DAY_MS // 500)
    assert len(book._entries) < 2_500
    assert book.spent(WRAPPED_SOL, 3_000 * DAY_MS // 500) == 499
    with pytest.raises(SignerRefused, match="fees"):
        book.reserve(Verdict(WRAPPED_SOL, 1, 1, "marker-0", 7), "", 10**9, 10, 3_000 * DAY_MS // 500)
    book.close()


def test_the_kill_switch_stops_new_signing_until_it_is_taken_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with signer(tmp_path) as running:
            plan = order()
            commands.stop(tmp_path)
            with pytest.raises(SignerRefused) as refused:
                await running.client.sign(honest(plan), plan)
            assert refused.value.code == "signer_halted"
            assert commands.resume(tmp_path)
            assert not commands.resume(tmp_path)
            assert await running.client.sign(honest(plan), plan)

    asyncio.run(run())


def test_an_order_whose_marker_was_swept_is_signed_for_no_more(tmp_path: Path) -> None:
    async def run() -> None:
        plan = order()
        async with signer(tmp_path) as running:
            await running.client.sign(honest(plan), plan)
            for _ in range(2):
                with pytest.raises(SignerRefused, match="too lately"):
                    await running.client.sweep(message([sweep()]))
                running.clock.ms += 90_000
            assert await running.client.sweep(message([sweep()]))
            with pytest.raises(SignerRefused, match="too lately"):
                await running.client.sweep(message([sweep()]))
            with pytest.raises(SignerRefused, match="swept"):
                await running.client.sign(honest(plan), plan)
        async with signer(tmp_path) as running:
            with pytest.raises(SignerRefused, match="swept"):
                await running.client.sign(honest(plan), plan)

    asyncio.run(run())


def test_its_state_is_told_and_its_marker_secret_is_the_keys_own(tmp_path: Path) -> None:
    async def run() -> None:
        async with signer(tmp_path) as running:
            client = running.client
            assert client.state == "ok"
            secret = client.marker_secret
            assert secret == SecretKey(WALLET).derive("fillwright order markers")
            assert len(secret) == 32
            assert secret not in bytes(WALLET)
            commands.stop(tmp_path)
            await client.look()
            assert "kill switch" in client.state
            commands.resume(tmp_path)
            await client.look()
            assert client.state == "ok"
        await client.look()
        assert client.state == "can't be reached"
        async with signer(tmp_path):
            await client.look()
            assert client.state == "ok"
            assert client.marker_secret == secret
        await client.close()

    asyncio.run(run())


def test_an_engine_of_another_mode_is_turned_away(tmp_path: Path) -> None:
    async def run() -> None:
        async with signer(tmp_path) as running:
            other = SocketSigner(running.socket)
            with pytest.raises(ConfigError, match="devnet"):
                await other.open(Mode.MAINNET)
            await other.close()
        with pytest.raises(ConfigError, match="no signer"):
            await SocketSigner(tmp_path / "s.sock").open(Mode.DEVNET)

    asyncio.run(run())


def test_an_answer_by_another_key_is_no_signature(tmp_path: Path) -> None:
    async def run() -> None:
        async with signer(tmp_path) as running:
            running.client._wallet = str(Pubkey.default())
            plan = order()
            with pytest.raises(SignerRefused) as refused:
                await running.client.sign(honest(plan), plan)
            assert refused.value.code == "signer_unavailable"

    asyncio.run(run())


SERVE = """
import sys
from pathlib import Path
from fillwright.chain.signer import commands
from fillwright.chain.signer.secret import take_passphrase
from fillwright.clock import SystemClock
folder = Path(sys.argv[1])
passphrase = take_passphrase()
commands.run(
    keystore_path=folder / "keystore.json", policy_path=folder / "policy.toml", socket_path=folder / "s.sock",
    data_dir=folder, passphrase=lambda: passphrase, clock=SystemClock(), ready=lambda wallet: print(wallet, flush=True),
)
"""


def test_a_canary_key_shows_in_no_output_file_answer_or_error_of_the_process(tmp_path: Path) -> None:
    keystore.save(tmp_path / "keystore.json", SecretKey(CANARY), PASSPHRASE, CHEAP)
    commands.write_policy_template(tmp_path / "policy.toml")
    environment = {**os.environ, "FILLWRIGHT_SIGNER_PASSPHRASE": PASSPHRASE, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    answers: list[Told] = []
    try:
        first = process.stdout.readline()
        assert first.strip() == str(CANARY.pubkey()).encode()

        async def ask() -> None:
            client = SocketSigner(tmp_path / "s.sock")
            await client.open(Mode.DEVNET)
            plan = replace(order(), owner=str(CANARY.pubkey()))
            hostile = [Ask("sign", message(build()), plan) for build in HOSTILE.values()]
            answers.extend([await client._ask(each) for each in hostile])
            # Even a request that holds the key must not bring it into a log.
            leaking = replace(plan, order_id=BASE58, marker_seed=BASE58[:32])
            answers.append(await client._ask(Ask("sign", honest(order()), leaking)))
            await client.close()

        asyncio.run(ask())
        limits = Path(f"/proc/{process.pid}/limits")
        if limits.exists():
            line = next(row for row in limits.read_text().splitlines() if row.startswith("Max core file size"))
            assert line.split()[4:6] == ["0", "0"]
    finally:
        process.send_signal(signal.SIGTERM)
        output = process.stdout.read()
        process.wait(10)
        process.stdout.close()
    assert process.returncode == 0
    assert all(told.error for told in answers)
    assert b"refused to sign" in output
    assert not shows_canary(output + b"".join(map(msgspec.json.encode, answers)))
    for path in tmp_path.iterdir():
        assert not shows_canary(path.read_bytes()), path


class GrowingTables:
    """Knows `known` of the addresses, and as many as `there` once it reads again."""

    def __init__(self, known: int, there: int) -> None:
        self.known, self.there, self.reads = known, there, 0

    async def tables(self, names: list[str], *, refresh: bool = False) -> Tables:
        if refresh:
            self.reads += 1
            self.known = self.there
        return dict.fromkeys(names, TABLE_ADDRESSES[: self.known])


def test_a_table_that_was_extended_is_read_again_and_one_not_known_to_be_so_long_waits(tmp_path: Path) -> None:
    async def run() -> None:
        rules = policy(lookup_tables=(str(TABLE),), rpc_url="http://127.0.0.1:1")
        tables = GrowingTables(3, 5)
        async with signer(tmp_path, rules, tables) as running:
            assert running.client.lookup_tables == {str(TABLE)}
            plan = order()
            with pytest.raises(SignerRefused) as refused:
                await running.client.sign(with_table(), plan)
            assert refused.value.code == "signer_unavailable"
            tables.there = len(TABLE_ADDRESSES)
            assert await running.client.sign(with_table(), plan)
            assert tables.reads == 2
            assert await running.client.sign(with_table(), plan)
            assert tables.reads == 2

    asyncio.run(run())
