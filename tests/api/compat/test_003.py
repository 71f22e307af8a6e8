"""Contract of dialect 003."""

from __future__ import annotations

import pytest
from websockets.exceptions import ConnectionClosed

from api.compat.engine import ORDERS, Client, heard, running

ROW = {
    "id", "token_in", "token_out", "amount", "max_slippage", "status", "quote_dex", "quote_price", "quote_fee",
    "tx_hash", "executed_price", "slippage", "error_message", "created_at", "updated_at", "attempts",
    "failure_reason", "requires_wrapping",
}  # fmt: skip
QUOTE = {"dex", "price", "fee", "feeAmount", "amountAfterFee", "feePercentage"}
DATA = {"quote", "estimatedOutput", "txHash", "executedPrice", "slippage", "error", "requiresWrapping"}
MISSING = {"error": "Missing required fields: tokenIn, tokenOut, amount"}
AS_003 = {"X-Compat-Dialect": "003"}


def test_an_order_is_received_and_queued(team: Client) -> None:
    response = team.post("/api/orders/execute", ORDERS["003"])
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"orderId", "status", "message"}
    assert (answer["status"], answer["message"]) == ("pending", "Order received and queued")


def test_the_negative_cases_of_its_collection(team: Client) -> None:
    def refused(body: dict[str, object]) -> dict[str, str]:
        response = team.post("/api/orders/execute", body)
        assert response.status_code == 400
        return dict(response.json())

    assert refused({"tokenIn": "SOL", "amount": 1}) == MISSING
    assert refused({"tokenIn": "SOL", "tokenOut": "USDC", "maxSlippage": 0.01}) == MISSING
    assert refused({**ORDERS["003"], "amount": 0}) == {"error": "Amount must be greater than 0"}
    assert refused({**ORDERS["003"], "amount": -5}) == {"error": "Amount must be greater than 0"}
    assert set(refused({**ORDERS["003"], "maxSlippage": -0.01})) == {"error"}


def test_the_default_slippage_is_five_percent(team: Client) -> None:
    body = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": 1}
    order_id = team.post("/api/orders/execute", body).json()["orderId"]
    assert team.get(f"/v1/orders/{order_id}").json()["slippage_bps"] == 500


def test_a_quote_takes_its_fee_from_the_input(team: Client) -> None:
    response = team.post("/api/orders/quote", {"tokenIn": "SOL", "tokenOut": "USDC", "amount": 2})
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"tokenIn", "tokenOut", "amount", "quote", "estimatedOutput", "timestamp"}
    quote = answer["quote"]
    assert set(quote) == QUOTE
    assert (quote["dex"], quote["feePercentage"]) in (("Raydium", "0.30%"), ("Meteor", "0.20%"))
    assert quote["amountAfterFee"] == pytest.approx(2 - quote["feeAmount"])
    assert quote["feeAmount"] == pytest.approx(2 * quote["fee"], rel=1e-4)
    assert isinstance(answer["estimatedOutput"], str)
    assert len(answer["estimatedOutput"].partition(".")[2]) == 6
    assert float(answer["estimatedOutput"]) == pytest.approx(quote["amountAfterFee"] * quote["price"])


def test_a_quote_refuses_as_an_order_does(team: Client) -> None:
    response = team.post("/api/orders/quote", {"tokenIn": "SOL", "amount": 2})
    assert (response.status_code, response.json()) == (400, MISSING)


def test_an_order_is_read_back_with_its_quote(team: Client) -> None:
    order_id = team.ended("003")
    answer = team.get(f"/api/orders/{order_id}").json()
    assert set(answer) == {"orderId", "status", "message", "data", "timestamp"}
    assert (answer["status"], answer["message"]) == ("confirmed", "Transaction confirmed")
    data = answer["data"]
    assert set(data) == DATA
    assert set(data["quote"]) == QUOTE
    assert data["quote"]["dex"] in ("Raydium", "Meteor")
    assert data["executedPrice"] > 0
    assert isinstance(data["slippage"], int | float)
    assert data["requiresWrapping"] is True
    assert data["error"] is None


def test_the_list_has_snake_case_rows(team: Client) -> None:
    order_id = team.ended("003")
    rows = team.get("/api/orders?limit=50", **AS_003).json()
    row = next(row for row in rows if row["id"] == order_id)
    assert set(row) == ROW
    assert (row["amount"], row["max_slippage"], row["status"]) == ("1.50000000", "0.0300", "confirmed")
    assert row["quote_dex"] in ("Raydium", "Meteor")
    assert row["attempts"] == 1


def test_the_list_has_limit_offset_and_status(team: Client) -> None:
    for _ in range(3):
        team.ended("003")
    newest = [row["id"] for row in team.get("/api/orders?limit=3", **AS_003).json()]
    assert [row["id"] for row in team.get("/api/orders?limit=2&offset=1", **AS_003).json()] == newest[1:]
    confirmed = team.get("/api/orders?status=confirmed", **AS_003).json()
    assert confirmed
    assert {row["status"] for row in confirmed} == {"confirmed"}
    assert len(team.get("/api/orders?limit=100000", **AS_003).json()) <= 100


def test_updates_have_a_type_and_data(team: Client) -> None:
    order_id = team.order("003")
    messages = team.watch("003", order_id)
    assert [one["status"] for one in messages] == ["pending", "routing", "building", "submitted", "confirmed"]
    assert {one["type"] for one in messages} == {"order_update"}
    assert all(one["orderId"] == order_id and one["timestamp"] for one in messages)
    assert "data" not in messages[0]
    assert set(messages[1]["data"]["quote"]) == QUOTE
    assert messages[-1]["data"]["txHash"]
    assert messages[-1]["data"]["executedPrice"] > 0


def test_an_unknown_order_closes_the_socket_with_1008(team: Client) -> None:
    with team.socket("/api/orders/nope/ws") as socket:
        socket.recv(timeout=5)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "Order not found")


def test_a_shutdown_closes_the_socket_with_1000(tmp_path_factory: pytest.TempPathFactory) -> None:
    slow = {"paper_execution_delay_min_ms": 5_000, "paper_execution_delay_max_ms": 5_000, "shutdown_timeout_s": 0.0}
    with running(tmp_path_factory.mktemp("shutdown"), **slow) as url:
        client = Client(url)
        order_id = client.order("003")
        socket = client.socket(f"/api/orders/{order_id}/ws")
        opened = socket.__enter__()
        opened.recv(timeout=5)
        client.close()
    heard(opened)
    socket.__exit__(None, None, None)
    assert (opened.close_code, opened.close_reason) == (1000, "Server shutdown")


def test_queue_stats_show_the_configuration(team: Client) -> None:
    found = team.get("/api/queue/stats").json()
    assert set(found) == {"waiting", "active", "completed", "failed", "delayed", "timestamp", "config"}
    assert found["config"]["maxConcurrentOrders"] == 10
    assert found["config"]["maxRetryAttempts"] == 3
    assert isinstance(found["config"]["ordersPerMinute"], int)


def test_metrics_are_broken_down_by_dex(team: Client) -> None:
    team.ended("003")
    found = team.get("/api/metrics?limit=1000").json()
    assert set(found) == {
        "total", "confirmed", "failed", "byDex", "timeRange", "overallSuccessRate", "timestamp", "analysisWindow",
    }  # fmt: skip
    assert found["analysisWindow"] == "1000 most recent orders"
    assert set(found["timeRange"]) == {"oldest", "newest"}
    assert set(found["byDex"]) <= {"Raydium", "Meteor"}
    for group in found["byDex"].values():
        assert set(group) == {
            "total", "confirmed", "failed", "percentage", "successRate", "totalVolume", "averageSlippage",
            "averageSlippageSamples",
        }  # fmt: skip
    assert sum(group["total"] for group in found["byDex"].values()) <= found["total"]


def test_metrics_of_failures(unlucky: Client) -> None:
    unlucky.ended("003")
    found = unlucky.get("/api/metrics").json()
    assert found["failed"] >= 1
    assert found["overallSuccessRate"] == 0


def test_nothing_fails_before_the_last_try(unlucky: Client) -> None:
    messages = unlucky.watch("003", unlucky.order("003"))
    assert [one["status"] for one in messages].count("failed") == 1
    assert messages[-1]["status"] == "failed"
    assert messages[-1]["data"]["error"]
    assert not any("error" in one.get("data", {}) for one in messages[:-1])
