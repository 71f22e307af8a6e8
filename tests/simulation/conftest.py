"""Seeded runs say nothing: writing what thousands of them go through would cost as much as the runs do."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from fillwright.observe import logs


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "log", logs.logger(logging.CRITICAL, json=False))
        yield
