"""Contract of dialect 002."""

from __future__ import annotations

import json

import pytest
from websockets.exceptions import ConnectionClosed

from api.compat.engine import ORDERS, Client, heard

ORDER = {
    "orderId", "type", "tokenIn", "tokenOut", "amountIn", "slippage", "status", "createdAt", "updatedAt", "txHash",
    "executedPrice", "executedAmount", "dex", "error", "retryCount",
}  # fmt: skip
ENTRY = {"orderId", "status", "timestamp", "txHash", "executedPrice", "error", "dex", "routing"}
QUOTE = {"dex", "price", "fee", "outputAmount", "priceImpact"}


def test_an_order_is_created_with_201(team: Client) -> None:
    response = team.post("/api/orders/execute", ORDERS["002"])
    assert response.status_code == 201
    assert set(response.json()) == {"orderId", "status"}
    assert response.json()["status"] == "pending"


@pytest.mark.parametrize("kind", ["limit", "sniper"])
def test_only_market_orders_are_supported(team: Client, kind: str) -> None:
    response = team.post("/api/orders/execute", {**ORDERS["002"], "type": kind})
    assert response.status_code == 400
    assert response.json() == {"error": "Only MARKET orders are currently supported"}


@pytest.mark.parametrize(
    "change", [{"type": "swap"}, {"amountIn": -1}, {"amountIn": "1"}, {"slippage": 1.5}, {"slippage": -0.1}]
)
def test_what_is_out_of_range_is_refused(team: Client, change: dict[str, object]) -> None:
    response = team.post("/api/orders/execute", {**ORDERS["002"], **change})
    assert response.status_code == 400
    assert set(response.json()) == {"error"}


def test_the_default_slippage_is_one_percent(team: Client) -> None:
    body = {key: value for key, value in ORDERS["002"].items() if key != "slippage"}
    order_id = team.post("/api/orders/execute", body).json()["orderId"]
    assert team.get(f"/api/orders/{order_id}").json()["slippage"] == 0.01


def test_an_order_is_read_back_with_numbers(team: Client) -> None:
    order_id = team.ended("002")
    order = team.get(f"/api/orders/{order_id}").json()
    assert set(order) == ORDER
    assert (order["type"], order["tokenIn"], order["tokenOut"]) == ("market", "SOL", "USDC")
    assert (order["amountIn"], order["slippage"], order["status"]) == (1.5, 0.02, "confirmed")
    assert order["dex"] in ("raydium", "meteora")
    assert order["executedAmount"] == pytest.approx(order["executedPrice"] * 1.5)
    assert order["error"] is None
    assert order["retryCount"] == 0
    assert len(order["txHash"]) in (87, 88)


def test_an_unknown_order_is_not_found(team: Client) -> None:
    for name in ("nope", "01890000-0000-7000-8000-000000000000"):
        response = team.get(f"/api/orders/{name}", **{"X-Compat-Dialect": "002"})
        assert (response.status_code, response.json()) == (404, {"error": "Order not found"})
        assert team.get(f"/api/orders/{name}/history").json() == {"error": "Order not found"}


def test_the_history_is_an_array_oldest_first(team: Client) -> None:
    order_id = team.ended("002")
    history = team.get(f"/api/orders/{order_id}/history").json()
    assert [entry["status"] for entry in history] == [
        "pending", "routing", "routing", "building", "submitted", "confirmed",
    ]  # fmt: skip
    assert all(set(entry) == ENTRY for entry in history)
    assert [entry["timestamp"] for entry in history] == sorted(entry["timestamp"] for entry in history)
    _check_routing(history[2]["routing"])
    assert history[-1]["executedPrice"] > 0


def _check_routing(routing: dict[str, object]) -> None:
    assert set(routing) == {"raydium", "meteora", "selected"}
    quotes = {}
    for dex, fee in (("raydium", 0.003), ("meteora", 0.002)):
        quote = routing[dex]
        assert isinstance(quote, dict)
        assert set(quote) == QUOTE
        assert all(isinstance(quote[name], int | float) for name in QUOTE - {"dex"})
        assert quote["dex"] == dex
        assert quote["fee"] == pytest.approx(fee, abs=1e-6)
        quotes[dex] = quote["outputAmount"]
    assert routing["selected"] == max(quotes, key=lambda dex: quotes[dex])


def test_a_socket_replays_then_greets_then_follows_and_closes(team: Client) -> None:
    order_id = team.order("002")
    messages = team.watch("002", order_id)
    greeting = next(one for one in messages if one.get("message") == "Connected to order status stream")
    assert greeting["orderId"] == order_id
    updates = [one for one in messages if one is not greeting]
    assert [one["status"] for one in updates] == [
        "pending", "routing", "routing", "building", "submitted", "confirmed",
    ]  # fmt: skip
    assert all(one["orderId"] == order_id and one["timestamp"] for one in updates)
    assert "routing" not in updates[1]
    _check_routing(updates[2]["routing"])
    assert isinstance(updates[-1]["executedPrice"], float)
    assert updates[-1]["txHash"]


def test_the_socket_of_an_ended_order_tells_it_all_and_closes(team: Client) -> None:
    messages = team.watch("002", team.ended("002"))
    assert [one["status"] for one in messages] == [
        "pending", "routing", "routing", "building", "submitted", "confirmed", "confirmed",
    ]  # fmt: skip


def test_the_socket_of_an_unknown_order_says_so_and_closes(team: Client) -> None:
    with team.socket("/api/orders/nope/ws") as socket:
        assert json.loads(socket.recv(timeout=5))["error"] == "Order not found"
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=5)


def test_the_list_is_a_bare_array_newest_first(team: Client) -> None:
    ids = [team.order("002") for _ in range(3)]
    listed = team.get("/api/orders?limit=2", **{"X-Compat-Dialect": "002"}).json()
    assert [order["orderId"] for order in listed] == [ids[2], ids[1]]
    assert set(listed[0]) == ORDER


def test_queue_metrics_count(team: Client) -> None:
    team.ended("002")
    with team.socket("/api/orders/ws"):
        found = team.get("/api/queue/metrics").json()
    assert set(found) == {"waiting", "active", "completed", "failed", "total", "websocketConnections"}
    assert found["completed"] >= 1
    assert found["total"] == found["waiting"] + found["active"] + found["completed"] + found["failed"]
    assert found["websocketConnections"] >= 1


def test_a_retry_is_pending_again_and_only_the_last_fails(unlucky: Client) -> None:
    order_id = unlucky.order("002")
    messages = unlucky.watch("002", order_id)
    statuses = [one["status"] for one in messages if "message" not in one]
    again = ["pending", "routing", "routing", "building", "submitted"]
    assert statuses == [*again, *again, "failed"]
    assert [one for one in messages if "error" in one] == [messages[-1]]
    order = unlucky.get(f"/api/orders/{order_id}").json()
    assert (order["status"], order["retryCount"]) == ("failed", 1)
    assert order["error"]


def test_five_sockets_of_one_order_hear_the_same(team: Client) -> None:
    order_id = team.order("002")
    with team.socket(f"/api/orders/{order_id}/ws") as one, team.socket(f"/api/orders/{order_id}/ws") as two:
        first, second = heard(one), heard(two)
    assert [m for m in first if "message" not in m] == [m for m in second if "message" not in m]


def test_a_slippage_is_any_fraction_and_is_answered_as_it_was_sent(team: Client) -> None:
    for slippage in (0, 0.75, 1):
        order_id = team.order("002", slippage=slippage)
        assert team.get(f"/api/orders/{order_id}").json()["slippage"] == slippage
    for slippage in (-0.01, 1.01, "0.1"):
        assert team.post("/api/orders/execute", {**ORDERS["002"], "slippage": slippage}).status_code == 400
