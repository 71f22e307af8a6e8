"""Contract of dialect 004."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed

from api.compat.engine import ORDERS, Client

ORDER = {
    "id", "userWallet", "inputToken", "outputToken", "inputAmount", "outputAmount", "selectedDex", "status", "txHash",
    "error", "createdAt", "updatedAt",
}  # fmt: skip


def test_an_order_is_queued_in_an_envelope(team: Client) -> None:
    response = team.post("/api/orders/execute", ORDERS["004"])
    assert response.status_code == 201
    answer = response.json()
    assert answer["success"] is True
    assert set(answer["data"]) == {"orderId", "status", "message"}
    assert (answer["data"]["status"], answer["data"]["message"]) == ("pending", "Order queued for execution")


@pytest.mark.parametrize(
    "change",
    [
        {"userWallet": "ab"},
        {"userWallet": "x" * 101},
        {"userWallet": "  a  "},
        {"userWallet": 7},
        {"inputToken": 5},
        {"outputToken": "SOL"},
        {"inputAmount": 0},
        {"inputAmount": -1},
        {"inputAmount": "1"},
        {"inputAmount": None},
        {"inputToken": "NOSUCHTOKEN"},
    ],
)
def test_the_rules_of_its_fields(team: Client, change: dict[str, object]) -> None:
    response = team.post("/api/orders/execute", {**ORDERS["004"], **change})
    assert response.status_code == 400
    assert set(response.json()) == {"success", "error"}
    assert response.json()["success"] is False


def test_not_a_number_is_no_amount(team: Client) -> None:
    text = '{"userWallet":"alice","inputToken":"SOL","outputToken":"USDC","inputAmount":NaN}'
    response = team.http.post("/api/orders/execute", content=text, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["success"] is False


def test_the_wallet_is_trimmed_and_lists_its_orders(team: Client) -> None:
    ids = [team.order("004", userWallet="  bob of paper  ") for _ in range(2)]
    answer = team.get("/api/orders/user/bob of paper").json()
    assert (answer["success"], answer["count"]) == (True, 2)
    assert [order["id"] for order in answer["data"]] == ids[::-1]
    assert all(set(order) == ORDER and order["userWallet"] == "bob of paper" for order in answer["data"])
    assert team.get("/api/orders/user/bob of paper?limit=1").json()["count"] == 1
    assert team.get("/api/orders/user/nobody").json() == {"success": True, "data": [], "count": 0}


@pytest.mark.parametrize("limit", ["0", "101", "abc", "-1", "1.5", ""])
def test_the_limit_of_a_wallets_list_is_checked(team: Client, limit: str) -> None:
    response = team.get(f"/api/orders/user/alice-wallet?limit={limit}")
    assert response.status_code == 400
    assert response.json() == {"success": False, "error": "Limit must be a number between 1 and 100"}


def test_an_order_is_read_back(team: Client) -> None:
    order_id = team.ended("004")
    answer = team.get(f"/api/orders/{order_id}").json()
    assert answer["success"] is True
    order = answer["data"]
    assert set(order) == ORDER
    assert (order["id"], order["inputAmount"], order["status"]) == (order_id, 1.5, "confirmed")
    assert order["outputAmount"] > 0
    assert order["selectedDex"] in ("Raydium", "Meteora")


def test_an_unknown_order_is_not_found(team: Client) -> None:
    response = team.get("/api/orders/nope")
    assert (response.status_code, response.json()) == (404, {"success": False, "error": "Order not found"})


def test_a_socket_begins_with_the_state_and_closes_shortly_after_the_end(team: Client) -> None:
    order_id = team.order("004")
    with team.socket(f"/ws/orders/{order_id}") as socket:
        messages = [json.loads(socket.recv(timeout=20))]
        while messages[-1]["status"] != "confirmed":
            messages.append(json.loads(socket.recv(timeout=20)))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=5)
    assert all(set(one) == {"type", "orderId", "status", "timestamp", "data"} for one in messages)
    assert {one["type"] for one in messages} == {"status"}
    assert all(set(one["data"]) == {"selectedDex", "outputAmount", "txHash", "error"} for one in messages)
    order = ["pending", "routing", "building", "submitted", "confirmed"]
    seen = [one["status"] for one in messages]
    assert seen == order[order.index(seen[0]) :]
    assert messages[-1]["data"]["outputAmount"] > 0


def test_a_socket_of_an_ended_order_has_one_message(team: Client) -> None:
    (only,) = team.watch("004", team.ended("004"))
    assert only["status"] == "confirmed"


def test_a_socket_of_an_unknown_order_is_told_so(team: Client) -> None:
    assert team.watch("004", "nope") == [{"type": "error", "message": "Order not found"}]


def test_an_order_is_created_without_being_queued_and_executed_on_request(team: Client) -> None:
    response = team.post("/api/orders", {**ORDERS["004"], "userWallet": "patient"})
    assert response.status_code == 201
    order = response.json()["data"]
    assert set(order) == ORDER
    assert order["status"] == "pending"
    assert team.get(f"/api/orders/{order['id']}").json()["data"]["status"] == "pending"
    executed = team.post(f"/api/orders/{order['id']}/execute", None)
    assert executed.status_code == 200
    assert executed.json()["success"] is True
    assert executed.json()["data"]["status"] == "confirmed"
    again = team.post(f"/api/orders/{order['id']}/execute", None)
    assert again.status_code == 400
    assert again.json()["error"].endswith("is not in pending status (current: confirmed)")


def test_exactly_one_of_many_executions_wins(team: Client) -> None:
    order_id = team.post("/api/orders", ORDERS["004"]).json()["data"]["id"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: team.post(f"/api/orders/{order_id}/execute", None), range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [400] * 7
    for answer in answers:
        if answer.status_code == 400:
            assert "is not in pending status (current: " in answer.json()["error"]
    events = team.get(f"/v1/orders/{order_id}/events").json()["events"]
    kinds = [event["type"] for event in events]
    assert (kinds.count("triggered"), kinds.count("confirmed")) == (1, 1)


def test_executing_an_order_that_is_queued_already_is_refused(team: Client) -> None:
    order_id = team.ended("004")
    response = team.post(f"/api/orders/{order_id}/execute", None)
    assert response.status_code == 400
    assert response.json()["success"] is False


def test_health_has_every_dialects_keys(team: Client) -> None:
    response = team.get("/health")
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"status", "timestamp", "database", "redis"}
    assert (answer["status"], answer["database"], answer["redis"]) == ("ok", "connected", "connected")
