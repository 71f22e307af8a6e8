"""The earlier engines' tables as views: they agree with what the API says, and can't be written."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from api.world import World, served
from fillwright.domain.orders import OrderError, OrderId, Rebid, Retrying
from fillwright.domain.tokens import MAINNET_TOKENS

COLUMNS = {
    "orders_000": "id type input_token output_token amount status tx_hash error created_at updated_at",
    "orders_001": (
        "id token_in token_out amount_in min_amount_out type status tx_hash executed_price attempts last_error "
        "created_at updated_at"
    ),
    "orders_002": (
        "order_id type token_in token_out amount_in slippage status tx_hash executed_price executed_amount dex error "
        "retry_count created_at updated_at"
    ),
    "order_status_history_002": "id order_id status timestamp tx_hash executed_price error dex",
    "orders_003": (
        "id token_in token_out amount max_slippage status quote_dex quote_price quote_fee tx_hash executed_price "
        "slippage error_message created_at updated_at attempts failure_reason requires_wrapping"
    ),
    "orders_004": (
        "id user_wallet input_token output_token input_amount output_amount selected_dex status tx_hash error "
        "created_at updated_at"
    ),
}
BODY = {"userWallet": "alice-wallet", "inputToken": "SOL", "outputToken": "USDC", "inputAmount": 1.5}


def _rows(path: Path, query: str, *values: Any) -> list[dict[str, Any]]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query, values)]
    finally:
        connection.close()


async def _place(world: World) -> str:
    async with world.client() as client:
        return str((await client.post("/api/orders/execute", json=BODY)).json()["data"]["orderId"])


async def _api(world: World, order_id: str, dialect: str) -> Any:
    async with world.client() as client:
        return (await client.get(f"/api/orders/{order_id}", headers={"X-Compat-Dialect": dialect})).json()


def test_a_confirmed_order_reads_as_the_api_shows_it() -> None:
    async def test(world: World) -> None:
        order_id = await _place(world)
        await world.confirm(order_id)
        path = world.settings.store_path
        for view, columns in COLUMNS.items():
            (row, *_) = await asyncio.to_thread(_rows, path, f"SELECT * FROM {view}")  # noqa: S608
            assert list(row) == columns.split()
        (row,) = _rows(path, "SELECT * FROM orders_002")
        shown = await _api(world, order_id, "002")
        for column, key in (
            ("order_id", "orderId"), ("token_in", "tokenIn"), ("token_out", "tokenOut"), ("status", "status"),
            ("tx_hash", "txHash"), ("dex", "dex"), ("error", "error"), ("retry_count", "retryCount"),
            ("created_at", "createdAt"), ("updated_at", "updatedAt"), ("amount_in", "amountIn"),
            ("slippage", "slippage"),
        ):  # fmt: skip
            assert row[column] == shown[key], column
        assert row["executed_price"] == pytest.approx(shown["executedPrice"])
        assert row["executed_amount"] == pytest.approx(shown["executedAmount"])
        (row,) = _rows(path, "SELECT * FROM orders_003")
        quote = (await _api(world, order_id, "003"))["data"]["quote"]
        assert (row["amount"], row["requires_wrapping"], row["quote_dex"]) == ("1.50000000", 1, quote["dex"])
        assert row["quote_price"] == pytest.approx(quote["price"], rel=1e-6)
        assert row["quote_fee"] == pytest.approx(quote["fee"], abs=1e-6)
        (row,) = _rows(path, "SELECT * FROM orders_004")
        order = (await _api(world, order_id, "004"))["data"]
        assert (row["user_wallet"], row["selected_dex"]) == ("alice-wallet", order["selectedDex"])
        history = _rows(path, "SELECT * FROM order_status_history_002 WHERE order_id = ? ORDER BY id", order_id)
        assert [row["status"] for row in history] == ["pending", "routing", "building", "submitted", "confirmed"]

    served(test)


def test_a_further_bid_is_no_step_of_the_history_and_its_signature_is_the_orders() -> None:
    async def test(world: World) -> None:
        order_id = await _place(world)
        order = await world.store.get(OrderId(order_id))
        assert order is not None
        routed, built, submitted, *_ = world.happy_path(order)
        await world.step(order_id, routed, built, submitted, Rebid(1, 2, "of the second bid", 15_000))
        path = world.settings.store_path
        history = _rows(path, "SELECT * FROM order_status_history_002 WHERE order_id = ? ORDER BY id", order_id)
        assert [row["status"] for row in history] == ["pending", "routing", "building", "submitted"]
        assert history[-1]["tx_hash"] == f"signature-of-{order_id}"
        (row,) = _rows(path, "SELECT * FROM orders_002")
        assert row["tx_hash"] == (await _api(world, order_id, "002"))["txHash"] == "of the second bid"

    served(test)


def test_orders_that_wait_are_retried_or_fail() -> None:
    async def test(world: World) -> None:
        path = world.settings.store_path
        waiting, retried, failed = [await _place(world) for _ in range(3)]
        await world.step(retried, Retrying(0, OrderError("x", "not yet"), world.clock.now_ms()))
        await world.fail(failed)
        rows = {row["id"]: row for row in _rows(path, "SELECT * FROM orders_001")}
        assert (rows[waiting]["status"], rows[waiting]["last_error"]) == ("pending", None)
        assert (rows[retried]["status"], rows[retried]["last_error"]) == ("pending", "not yet")
        assert (rows[failed]["status"], rows[failed]["last_error"]) == ("failed", "the price moved")
        errors = {row["id"]: row["error"] for row in _rows(path, "SELECT * FROM orders_004")}
        assert errors == {waiting: None, retried: None, failed: "the price moved"}

    served(test)


def test_an_order_of_the_canonical_api_has_its_amounts_too() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            await client.post("/v1/orders", json={"input": "USDC", "output": "SOL", "amount": "2.5"})
        (row,) = _rows(world.settings.store_path, "SELECT * FROM orders_001")
        assert (row["token_in"], row["token_out"], row["amount_in"]) == ("USDC", "SOL", 2.5)

    served(test)


def test_the_views_know_the_pinned_tokens_and_refuse_writes() -> None:
    async def test(world: World) -> None:
        path = world.settings.store_path
        rows = _rows(path, "SELECT * FROM client_tokens")
        listed = {(token.mint, token.symbol, token.decimals) for token in MAINNET_TOKENS}
        assert {(row["mint"], row["symbol"], row["decimals"]) for row in rows} == listed
        with pytest.raises(sqlite3.OperationalError, match="is a view"):
            _rows(path, "UPDATE orders_001 SET status = 'failed'")

    served(test)
