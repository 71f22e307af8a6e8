"""What a process trades on in paper mode, and what its operator is told of it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from fillwright.clock import SystemClock
from fillwright.config import Settings
from fillwright.trading import open_trading

POOLS = Path(__file__).parent / "data" / "onchain" / "pools"
FIRST, SECOND = (POOLS / "raydium_cpmm" / name for name in ("FRESH_SOL-SPL", "FRESH_T22FEE-SOL"))


async def _opened(settings: Settings) -> tuple[frozenset[str], tuple[str, ...]]:
    """The pools that are traded, and the notes."""
    async with open_trading(settings, SystemClock()) as trading:
        return frozenset(trading.market.current().pools), trading.notes


def test_a_paper_world_that_goes_on_says_so_and_keeps_its_pools(tmp_path: Path) -> None:
    dumps = tmp_path / "dumps"
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", snapshot=dumps)  # type: ignore[call-arg]
    settings.data_dir.mkdir()
    shutil.copytree(FIRST, dumps / "first")
    first, notes = asyncio.run(_opened(settings))
    assert len(first) == 1
    assert notes == ()
    shutil.rmtree(dumps / "first")
    shutil.copytree(SECOND, dumps / "second")
    both, notes = asyncio.run(_opened(settings))
    assert first < both
    assert notes == (f"the paper world in {settings.ledger_path} goes on: its pools are as they were left",)
