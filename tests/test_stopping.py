"""A process that is told to stop stops, whatever it is waiting for."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from fillwright import app, scaleout
from fillwright.config import Settings
from fillwright.domain.errors import Unavailable
from servers import free_port


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def tell(number: signal.Signals) -> None:
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_is_being_opened_is_closed_again_and_never_announced(number: signal.Signals) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def process() -> AsyncIterator[str]:
        try:
            tell(number)
            await asyncio.Event().wait()
            yield "open"
        finally:
            told.append("closed")

    app.run_until_stopped(process(), told.append)
    assert told == ["closed"]


def test_one_that_is_open_is_closed() -> None:
    told: list[str] = []

    @asynccontextmanager
    async def process() -> AsyncIterator[str]:
        tell(signal.SIGTERM)
        yield "open"
        told.append("closed")

    app.run_until_stopped(process(), told.append)
    assert told == ["open", "closed"]


def test_what_ends_an_opening_by_itself_is_raised() -> None:
    @asynccontextmanager
    async def process() -> AsyncIterator[str]:
        await asyncio.sleep(0)
        raise Unavailable("nobody there", code="store_unavailable")
        yield ""

    with pytest.raises(Unavailable):
        app.run_until_stopped(process(), lambda _: None)


def test_a_worker_that_waits_for_its_store_stops_at_once() -> None:
    settings = Settings(_env_file=None, database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/x")  # type: ignore[call-arg, arg-type]

    @asynccontextmanager
    async def process() -> AsyncIterator[str]:
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(20), scaleout.working(settings) as name:
            yield name

    app.run_until_stopped(process(), lambda name: pytest.fail(f"started as {name}"))
