"""The server's process: what it asks of the system."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from api.world import World, served
from fillwright.api.server import OTHER_FILES, allow_files


@pytest.fixture
def low_limit() -> Iterator[int]:
    """A soft limit below the hard one, which is given back."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = 65_536 if before[1] == resource.RLIM_INFINITY else before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_as_many_files_are_allowed_as_there_may_be_streams(low_limit: int) -> None:
    async def test(world: World) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == min(300 + OTHER_FILES, low_limit)

    served(test, max_streams=300)


def test_a_limit_is_never_lowered_nor_asked_for_in_vain(low_limit: int) -> None:
    allow_files(100)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256
    allow_files(10**9)
    assert 256 < resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 10**9
