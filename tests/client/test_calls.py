"""The course of one call, without a server: what is repeated, for how long, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, get_type_hints

import httpx2
import pytest

from fillwright import wire
from fillwright.client import ApiError, Patience, Unreachable, calls
from fillwright.client.calls import Call, OrderFields, QuoteFields
from fillwright.client.errors import refusal
from fillwright.domain.errors import ConfigError

URL = "http://127.0.0.1:1"
PATIENCE = Patience(tries=3, first_pause_s=1.0, max_pause_s=4.0)
LOST = httpx2.ConnectError("lost")
TOKENS = httpx2.Response(200, content=b'{"mode":"paper","tokens":[]}')
BUSY = httpx2.Response(503, headers={"Retry-After": "3"}, content=b"{}")
CONFLICT = httpx2.Response(
    409,
    content=wire.encode(
        wire.Problem(type="t", title="Conflict", status=409, detail="too late", code="not_cancellable", mode="paper")
    ),
)


def drive(
    call: Call[Any], replies: Sequence[httpx2.Response | httpx2.TransportError]
) -> tuple[Any, list[str], list[float]]:
    """The call's outcome, the paths that were asked and the pauses, given these replies in turn."""
    course = calls.exchange(call, PATIENCE, URL)
    paths, pauses, left = [], [], list(replies)
    reply = None
    try:
        while True:
            step = course.send(reply)
            if isinstance(step, Call):
                paths.append(step.path)
                reply = left.pop(0)
            else:
                pauses.append(step)
                reply = None
    except StopIteration as done:
        assert not left
        return done.value, paths, pauses


def test_a_lost_reply_is_asked_for_again_after_a_growing_pause() -> None:
    page, paths, pauses = drive(calls.TOKENS, [LOST, LOST, TOKENS])
    assert page.tokens == []
    assert len(paths) == 3
    assert 0.5 <= pauses[0] <= 1.0 <= pauses[1] <= 2.0


def test_a_busy_server_is_given_the_time_that_it_asks_for() -> None:
    _, _, pauses = drive(calls.TOKENS, [BUSY, TOKENS])
    assert pauses == [3.0]


def test_what_a_server_asks_for_is_bounded() -> None:
    assert PATIENCE.pause_s(0, "86400") == 4.0
    assert PATIENCE.pause_s(60) <= 4.0


def test_a_server_that_never_answers_is_unreachable_after_the_last_try() -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        drive(calls.TOKENS, [LOST, LOST, LOST])


def test_a_server_that_stays_busy_is_told_with_its_own_code() -> None:
    with pytest.raises(ApiError) as refused:
        drive(calls.TOKENS, [BUSY, BUSY, CONFLICT])
    assert (refused.value.status, refused.value.code) == (409, "not_cancellable")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415, 422, 500])
def test_a_refusal_is_not_repeated(status: int) -> None:
    with pytest.raises(ApiError) as refused:
        drive(calls.TOKENS, [httpx2.Response(status, content=b"<html>a proxy's own page</html>")])
    assert (refused.value.status, refused.value.code, refused.value.problem) == (status, "http_error", None)


def test_an_answer_of_something_else_is_no_answer() -> None:
    with pytest.raises(Unreachable, match="not understood"):
        drive(calls.TOKENS, [httpx2.Response(200, content=b"<html>")])


def test_a_problem_keeps_its_code_and_what_it_points_at() -> None:
    problem = wire.Problem(
        type="t", title="t", status=422, detail="d", code="amount_format", mode="paper", pointer="/amount"
    )
    error = refusal(422, wire.encode(problem))
    assert (error.code, error.message, error.problem) == ("amount_format", "d", problem)


def test_an_order_without_a_client_order_id_is_given_one_of_its_own() -> None:
    bodies = [json.loads(calls.submit({"input": "SOL"}).body or b"") for _ in range(2)]
    assert bodies[0]["client_order_id"] != bodies[1]["client_order_id"]
    assert json.loads(calls.submit({"client_order_id": "mine"}).body or b"") == {"client_order_id": "mine"}
    assert json.loads(calls.submit({"client_order_id": None}).body or b"")["client_order_id"]


def test_decimals_are_sent_in_plain_notation() -> None:
    call = calls.quote({"amount": Decimal("1E+3"), "min_out": Decimal("0.00000010"), "slippage_bps": None})
    assert json.loads(call.body or b"") == {"amount": "1000", "min_out": "0.00000010"}


def test_a_cancellation_whose_reply_was_lost_is_not_reported_as_refused() -> None:
    view = httpx2.Response(200, content=_order("cancelled"))
    order, paths, _ = drive(calls.cancel("ab-1"), [LOST, CONFLICT, view])
    assert order.status == "cancelled"
    assert paths == ["/v1/orders/ab-1/cancel", "/v1/orders/ab-1/cancel", "/v1/orders/ab-1"]


def test_a_repeated_cancellation_that_came_too_late_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        drive(calls.cancel("ab-1"), [LOST, CONFLICT, httpx2.Response(200, content=_order("submitted"))])
    assert refused.value.code == "not_cancellable"


def test_a_first_refusal_of_a_cancellation_is_final() -> None:
    with pytest.raises(ApiError):
        drive(calls.cancel("ab-1"), [CONFLICT])


def test_a_release_whose_reply_was_lost_is_not_reported_as_refused() -> None:
    order, _, _ = drive(calls.release("ab-1"), [LOST, CONFLICT, httpx2.Response(200, content=_order("routing"))])
    assert order.status == "routing"


@pytest.mark.parametrize("order_id", ["", "..", "a/b", "a?b", "a b"])
def test_an_order_id_can_not_lead_to_another_path(order_id: str) -> None:
    with pytest.raises(ApiError) as refused:
        calls.order(order_id)
    assert refused.value.code == "id_invalid"


def test_orders_can_not_be_filtered_by_what_the_server_would_ignore() -> None:
    with pytest.raises(TypeError, match="stauts"):
        calls.orders({"stauts": "failed"}, None, None)


def test_a_page_is_not_larger_than_what_is_wanted() -> None:
    assert calls.orders({}, None, 3).params["limit"] == "3"
    assert calls.orders({}, "c", None).params == {"cursor": "c", "limit": str(wire.MAX_PAGE)}


@pytest.mark.parametrize("url", ["localhost:3000", "127.0.0.1", "ftp://host", "http://", ""])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigError):
        calls.checked_url(url)


def test_proxies_are_never_asked_for_this_machine() -> None:
    assert [calls.uses_proxy(url) for url in ("http://127.0.0.1:1", "http://[::1]:1", "http://localhost")] == [
        False
    ] * 3
    assert calls.uses_proxy("https://fillwright.example")


def test_the_typed_arguments_are_exactly_the_fields_of_the_requests() -> None:
    assert set(get_type_hints(QuoteFields)) == set(wire.QuoteRequest.__struct_fields__)
    assert set(get_type_hints(OrderFields)) == set(wire.OrderRequest.__struct_fields__)


def _order(status: str) -> bytes:
    token = wire.TokenRef("m", "SOL", 9)
    nothing = dict.fromkeys(
        name
        for name in wire.OrderView.__struct_fields__
        if name
        in {
            "client_order_id", "slippage_bps", "min_out", "max_in", "max_legs", "max_hops", "not_before",
            "arrival_price", "executed_price", "realised_slippage_bps", "route", "fill", "error", "signature",
            "started_at", "ready_at", "slot",
        }
    )  # fmt: skip
    return wire.encode(
        wire.OrderView(
            **{
                **nothing, "type": "market", "wallet": "w", "input": token, "output": token, "swap_mode": "exact_in",
                "amount": "1", "amount_units": "1000000000", "venues": (), "exclude_venues": (), "pools": (),
                "exclude_pools": (), "direct_only": False, "priority": 0, "hold": False, "mode": "paper",
                "id": "ab-1", "status": status, "version": 1, "attempts": 0, "retries": 0,
                "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
                "links": wire.OrderLinks("", "", ""),
            }
        )  # type: ignore[arg-type]
    )  # fmt: skip
