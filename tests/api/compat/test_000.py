"""Contract of dialect 000."""

from __future__ import annotations

import json

from api.compat.engine import Client, heard


def test_an_order_is_answered_with_its_id_and_pending(team: Client) -> None:
    response = team.post("/api/orders/execute", {"inputToken": "SOL", "outputToken": "USDC", "amount": 0.25})
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"orderId", "status"}
    assert answer["status"] == "PENDING"


def test_a_missing_field_is_named_as_before(team: Client) -> None:
    for body in ({"inputToken": "SOL", "amount": 1}, {"inputToken": "SOL", "outputToken": "USDC"}):
        response = team.post("/api/orders/execute", body)
        assert (response.status_code, response.json()) == (400, {"error": "Missing required fields"})


def test_the_slippage_is_fixed_at_fifty_basis_points(team: Client) -> None:
    order_id = team.order("000")
    assert team.get(f"/v1/orders/{order_id}").json()["slippage_bps"] == 50
    assert team.get(f"/v1/orders/{order_id}").json()["type"] == "market"


def test_the_first_message_has_the_state_and_the_log_and_the_others_their_data(team: Client) -> None:
    order_id = team.order("000")
    first, *rest = team.watch("000", order_id)
    assert set(first) == {"orderId", "status", "txHash", "logs"}
    log = [json.loads(entry) for entry in first["logs"]]
    assert all({"status", "timestamp"} <= set(entry) for entry in log)
    statuses = [entry["status"] for entry in log] + [message["status"] for message in rest]
    assert statuses == ["PENDING", "ROUTING", "BUILDING", "SUBMITTED", "CONFIRMED"]
    by_status = {message["status"]: message for message in rest}
    confirmed = by_status["CONFIRMED"]
    assert set(confirmed) == {"orderId", "status", "data"}
    assert set(confirmed["data"]) == {"txHash", "price"}
    assert isinstance(confirmed["data"]["price"], float)
    if "BUILDING" in by_status:
        assert by_status["BUILDING"]["data"]["dex"] in ("RAYDIUM", "METEORA")


def test_building_tells_dex_and_price(team: Client) -> None:
    order_id = team.ended("000")
    with team.socket("/api/orders/ws") as socket:
        socket.send(json.dumps({"orderId": order_id}))
        (first,) = heard(socket, until_end=True)
    building = next(entry for entry in map(json.loads, first["logs"]) if entry["status"] == "BUILDING")
    assert building["dex"] in ("RAYDIUM", "METEORA")
    assert isinstance(building["price"], float)
    assert first["status"] == "CONFIRMED"
    assert first["txHash"]


def test_one_socket_follows_several_orders(team: Client) -> None:
    ids = [team.order("000") for _ in range(3)]
    ended: set[str] = set()
    with team.socket("/api/orders/ws") as socket:
        for order_id in ids:
            socket.send(json.dumps({"orderId": order_id}))
        while ended != set(ids):
            message = json.loads(socket.recv(timeout=20))
            if message["status"] == "CONFIRMED":
                assert message["orderId"] not in ended
                ended.add(message["orderId"])


def test_an_unknown_order_and_a_bad_message_are_answered_and_the_socket_stays_open(team: Client) -> None:
    unknown = "01890000-0000-7000-8000-000000000000"
    with team.socket("/api/orders/ws") as socket:
        socket.send(json.dumps({"orderId": unknown}))
        assert json.loads(socket.recv(timeout=5)) == {"orderId": unknown, "error": "Order not found"}
        for bad in ("not json", "{}", '{"orderId": 7}'):
            socket.send(bad)
            assert json.loads(socket.recv(timeout=5)) == {"error": "Failed to subscribe to order updates"}
        order_id = team.order("000")
        socket.send(json.dumps({"orderId": order_id}))
        assert heard(socket, until_end=True)[-1]["status"] == "CONFIRMED"


def test_a_failed_order_says_why_and_fails_once(unlucky: Client) -> None:
    messages = unlucky.watch("000", unlucky.order("000"))
    assert [message["status"] for message in messages].count("FAILED") == 1
    assert messages[-1]["data"]["error"]
