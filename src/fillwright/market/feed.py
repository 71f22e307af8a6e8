"""Where snapshots come from."""

from __future__ import annotations

from typing import Protocol

from fillwright.domain.accounts import Mint
from fillwright.domain.tokens import TokenList
from fillwright.market.snapshot import Snapshot


class MarketFeed(Protocol):
    """A source of snapshots."""

    @property
    def tokens(self) -> TokenList:
        """The pinned list and every mint that a loaded pool trades."""

    def current(self) -> Snapshot:
        """The newest market, at once."""

    async def fetch(self, input_mint: Mint, output_mint: Mint) -> Snapshot:
        """The newest market after asking the venues of this pair, which may take time. Raises ChainError."""
