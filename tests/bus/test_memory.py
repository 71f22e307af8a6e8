"""The bus of one process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bus.conformance import BusConformance
from fillwright.bus.memory import MemoryBus

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    await bus.open()
    yield bus
    await bus.close()


class TestConformance(BusConformance):
    pass
