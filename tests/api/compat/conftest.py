"""One engine for every contract test of this folder, and one where every transaction fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.compat.engine import Client, client


@pytest.fixture(scope="package")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client(tmp_path_factory.mktemp("compat")) as found:
        yield found


@pytest.fixture(scope="package")
def unlucky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Every transaction fails on chain; one retry."""
    with client(tmp_path_factory.mktemp("unlucky"), paper_failure_rate=1.0, max_retries=1) as found:
        yield found
