"""One stream over many connections, without any: what is new, when it is over, when it is given up."""

from __future__ import annotations

import json

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.http11 import Response

from fillwright import wire
from fillwright.client import ApiError, Patience, Unreachable
from fillwright.client.feed import Feed, options
from fillwright.domain.orders import OrderStatus

PATIENCE = Patience(resumes=3, first_pause_s=1.0, max_pause_s=4.0)


def feed(order_id: str | None = "o", wallet: str | None = None, from_seq: int | None = None) -> Feed:
    return Feed(order_id, wallet, from_seq, PATIENCE)


def event(sequence: int, status: OrderStatus = OrderStatus.PENDING) -> bytes:
    view = wire.EventView(
        mode="paper", type="x", order_id="o", status=status, number=1, sequence=sequence, at="", slot=1, data=None
    )
    return wire.encode(wire.EventFrame(view))


def subscribed(from_seq: int) -> bytes:
    return wire.encode(wire.Subscribed(mode="paper", from_seq=from_seq, all=True))


def beat() -> bytes:
    return wire.encode(wire.Heartbeat(mode="paper", at="", sequence=9))


def refused(code: str) -> bytes:
    return wire.encode(wire.StreamError(mode="paper", code=code, message="m"))


def rejected(status: int, body: bytes = b"", **headers: str) -> InvalidStatus:
    return InvalidStatus(Response(status, "", Headers(headers), body))


def subscription(of: Feed) -> dict[str, object]:
    frame, ping = of.hello()
    assert json.loads(ping) == {"op": "ping"}
    return dict(json.loads(frame))


def test_a_stream_begins_where_the_caller_says_and_resumes_after_the_last_event() -> None:
    one = feed(from_seq=4)
    assert subscription(one) == {"op": "subscribe", "order_id": "o", "from_seq": 4}
    assert one.take(event(5)) is not None
    assert subscription(one)["from_seq"] == 5


def test_an_event_that_comes_again_is_left_out() -> None:
    one = feed()
    assert [bool(one.take(event(sequence))) for sequence in (1, 2, 2, 1, 3)] == [True, True, False, False, True]


def test_a_stream_of_everything_that_saw_nothing_yet_resumes_from_where_it_began() -> None:
    one = feed(None)
    assert subscription(one) == {"op": "subscribe", "all": True}
    one.take(subscribed(17))
    assert subscription(one)["from_seq"] == 17


def test_an_order_s_stream_is_over_with_its_terminal_event() -> None:
    one, everything = feed(), feed(None)
    for each in (one, everything):
        each.take(event(1, OrderStatus.CONFIRMED))
    assert one.ended
    assert not everything.ended


def test_a_heartbeat_does_not_end_the_stream_of_an_order_under_way() -> None:
    one = feed()
    one.take(subscribed(0))
    one.take(beat())
    assert not one.ended


def test_a_stream_has_one_target() -> None:
    with pytest.raises(TypeError):
        feed("o", "w")
    assert subscription(feed(None, "w")) == {"op": "subscribe", "wallet": "w"}


@pytest.mark.parametrize(("code", "status"), [("not_found", 404), ("sequence_unknown", 422), ("id_invalid", 422)])
def test_a_refused_subscription_is_told_with_its_code(code: str, status: int) -> None:
    with pytest.raises(ApiError) as error:
        feed().take(refused(code))
    assert (error.value.code, error.value.status) == (code, status)


@pytest.mark.parametrize("code", ["unavailable", "shutting_down", "store_busy", "store_error"])
def test_a_server_that_can_not_serve_the_stream_now_is_asked_again(code: str) -> None:
    with pytest.raises(ConnectionError, match=code):
        feed().take(refused(code))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 426])
def test_a_connection_that_is_refused_for_good_is_not_tried_again(status: int) -> None:
    with pytest.raises(ApiError) as error:
        feed().broken(rejected(status))
    assert error.value.status == status


def test_a_busy_server_is_tried_again_when_it_says() -> None:
    headers = {"Retry-After": "3"}
    assert feed().broken(rejected(503, **headers)) == feed().broken(rejected(429, **headers)) == 3.0


def test_a_stream_is_given_up_after_too_many_failures_in_a_row() -> None:
    one, gone = feed(), ConnectionClosedError(None, None)
    pauses = [one.broken(gone) for _ in range(3)]
    assert pauses == sorted(pauses)
    with pytest.raises(Unreachable):
        one.broken(gone)


def test_a_word_from_the_server_makes_the_count_begin_again() -> None:
    one, gone = feed(None), ConnectionClosedError(None, None)
    for _ in range(10):
        one.broken(gone)
        one.take(beat())


def test_a_silent_server_is_asked_once_and_then_left() -> None:
    one = feed()
    assert json.loads(one.quiet()) == {"op": "ping"}
    one.take(beat())
    one.quiet()
    with pytest.raises(ConnectionError, match="silent"):
        one.quiet()


def test_the_stream_is_where_the_api_is() -> None:
    assert options("https://h:1/base", {})["uri"] == "wss://h:1/base/v1/stream"
    assert options("http://127.0.0.1:3", {})["uri"] == "ws://127.0.0.1:3/v1/stream"
