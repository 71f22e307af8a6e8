"""Contract of dialect 001."""

from __future__ import annotations

import json
import re
import uuid
from decimal import Decimal

import pytest

from api.compat.engine import Client

STATE = {"status", "orderId", "txHash", "executedPrice", "lastError", "attempts", "updatedAt"}


def test_an_order_is_answered_as_queued_with_a_relative_socket_url(team: Client) -> None:
    response = team.post("/api/orders/execute", {"tokenIn": "SOL", "tokenOut": "USDC", "amountIn": 0.5})
    answer = response.json()
    assert response.status_code == 200
    assert set(answer) == {"status", "orderId", "ws_url"}
    assert answer["status"] == "queued"
    assert re.fullmatch("[a-f0-9]{32}", answer["orderId"])
    assert team.get(f"/api/orders/{answer['orderId']}").status_code == 200
    assert answer["ws_url"] == f"/api/orders/upgrade/{answer['orderId']}"


def test_mints_are_accepted_like_symbols(team: Client) -> None:
    usdc = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
    order_id = team.order("001", tokenOut=usdc)
    assert team.get(f"/v1/orders/{uuid.UUID(order_id)}").json()["output"]["symbol"] == "USDC"


def test_every_state_is_flat_with_nulls_and_the_server_leaves_the_socket_open(team: Client) -> None:
    order_id = team.order("001")
    with team.socket(f"/api/orders/upgrade/{order_id}") as socket:
        messages = [json.loads(socket.recv(timeout=20))]
        while messages[-1]["status"] != "confirmed":
            messages.append(json.loads(socket.recv(timeout=20)))
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.5)
    assert all(set(message) == STATE for message in messages)
    order = ["pending", "routing", "building", "submitted", "confirmed"]
    seen = [message["status"] for message in messages]
    assert seen == order[order.index(seen[0]) :]
    assert messages[-1]["executedPrice"] > 0
    assert messages[-1]["txHash"]
    assert messages[-1]["lastError"] is None
    assert messages[-1]["attempts"] == 1


def test_an_unknown_order_is_pending(team: Client) -> None:
    with team.socket("/api/orders/upgrade/no-such-order") as socket:
        assert json.loads(socket.recv(timeout=5)) == {"status": "pending", "orderId": "no-such-order"}


def test_the_absolute_limit_is_taken_exactly_and_missing_it_ends_as_slippage_failed(team: Client) -> None:
    order_id = team.order("001", minAmountOut=1_000_000.000001)
    assert Decimal(team.get(f"/v1/orders/{uuid.UUID(order_id)}").json()["min_out"]) == Decimal("1000000.000001")
    assert team.watch("001", order_id)[-1]["status"] == "slippage_failed"


def test_a_retry_shows_its_error_without_failing(unlucky: Client) -> None:
    messages = unlucky.watch("001", unlucky.order("001"))
    assert [message["status"] for message in messages].count("failed") == 1
    retried = [message for message in messages if message["status"] == "pending" and message["lastError"]]
    assert retried
    assert messages[-1]["attempts"] == 2


def test_the_other_revisions_body_is_taken_when_the_dialect_is_forced(team: Client) -> None:
    body = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": 0.5}
    answer = team.post("/api/orders/execute", body, **{"X-Compat-Dialect": "001"}).json()
    assert answer["status"] == "queued"
