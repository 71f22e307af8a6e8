"""Paper over a node speaks of the tokens of the node's cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.chain.test_clusters import ALWAYS, GENESIS, NodeOf

from fillwright.clock import SystemClock
from fillwright.config import Settings
from fillwright.domain.tokens import DEVNET_TOKENS, MAINNET_TOKENS, Token
from fillwright.trading import open_trading


def usdc(tokens: tuple[Token, ...]) -> str:
    return next(token.mint for token in tokens if token.symbol == "USDC")


@pytest.mark.parametrize("by", ["url", "file"])
@pytest.mark.parametrize(
    ("cluster", "tokens"),
    [("devnet", DEVNET_TOKENS), ("mainnet", MAINNET_TOKENS), ("private", MAINNET_TOKENS), ("", MAINNET_TOKENS)],
)
def test_symbols_mean_the_tokens_of_the_nodes_cluster(
    cluster: str, tokens: tuple[Token, ...], by: str, tmp_path: Path
) -> None:
    async def run() -> None:
        node = NodeOf(GENESIS.get(cluster, ""))
        await node.open()
        asked: list[str] = []
        call = node.methods.call

        def recorded(method: str, params: list[Any]) -> Any:
            if method == "getProgramAccounts":
                asked.append(str(params))
            return call(method, params)

        node.methods.call = recorded  # type: ignore[method-assign]
        settings = Settings(
            _env_file=None, data_dir=tmp_path, paper_rpc_url=node.url, paper_pools=(ALWAYS,), paper_pairs=("SOL/USDC",)
        )
        if by == "file":
            file = tmp_path / "live.toml"
            file.write_text(f'pools = ["{ALWAYS}"]\n[[endpoints]]\nname = "a"\nurl = "{node.url}"\n')
            settings = Settings(_env_file=None, data_dir=tmp_path, live_config=file)
        try:
            async with open_trading(settings, SystemClock()) as trading:
                assert set(trading.market.current().pools) == {ALWAYS}
                assert trading.market.tokens.resolve("usdc", pointer="").mint == usdc(tokens)
                if by == "url":
                    assert asked
                    assert all(usdc(tokens) in filters for filters in asked)
        finally:
            await node.close()

    asyncio.run(run())
