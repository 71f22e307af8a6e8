"""The demonstration as a user sees it, and the check that decides over its exit status."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from cli.terminals import Ran, on_terminal, piped
from fillwright import wire
from fillwright.cli.consistency import faults
from fillwright.cli.demo import ORDERS
from fillwright.domain.orders import OrderStatus

QUICK = {
    "FILLWRIGHT_PAPER_EXECUTION_DELAY_MIN_MS": "0",
    "FILLWRIGHT_PAPER_EXECUTION_DELAY_MAX_MS": "0",
    "FILLWRIGHT_PAPER_RAYDIUM_QUOTE_DELAY_MS": "0",
    "FILLWRIGHT_PAPER_METEORA_QUOTE_DELAY_MS": "0",
    "FILLWRIGHT_PAPER_FAILURE_RATE": "0",
}


@pytest.fixture(scope="module")
def ran() -> Ran:
    return piped("demo", "--json", **QUICK)


def told(ran: Ran) -> tuple[dict[str, list[wire.EventView]], list[wire.OrderView], dict[str, object]]:
    events: dict[str, list[wire.EventView]] = {}
    orders = []
    *lines, summary = ran.lines
    for line in lines:
        if "order_id" in json.loads(line):
            event = wire.decode(line, wire.EventView)
            events.setdefault(event.order_id, []).append(event)
        else:
            orders.append(wire.decode(line, wire.OrderView))
    return events, orders, json.loads(summary)


def test_every_order_ends_and_agrees_with_its_log(ran: Ran) -> None:
    events, orders, summary = told(ran)
    assert (ran.status, ran.err) == (0, "")
    assert len(orders) == len(ORDERS) == summary["orders"]
    assert summary["consistent"] is True
    for order in orders:
        assert faults(order, events[order.id], events[order.id]) == []


def test_both_dexes_are_asked_for_every_order(ran: Ran) -> None:
    events, _, _ = told(ran)
    for log in events.values():
        routing = next(data for event in log if isinstance(data := wire.event_data(event), wire.RoutingData))
        assert {candidate.dex for candidate in routing.candidates} == {"raydium", "meteora"}


@pytest.mark.parametrize("columns", [80, 140])
def test_the_screen_shows_decisions_prices_and_signatures(columns: int) -> None:
    ran = on_terminal(columns, "demo", **QUICK)
    assert ran.status == 0
    last = ran.out[ran.out.rindex("confirmed ─") :]
    decisions = re.findall(r"\w+ beats \w+ by [\d.]+ bp|split [\d.]+ % \w+", ran.out)
    assert len(decisions) == len(ORDERS)
    for expected in ("►", "executed price", "slippage", "signature", "summary"):
        assert expected in last
    assert "every order ended as its own log says" in last
    assert max(len(line.rstrip()) for line in last.splitlines()) <= columns


def confirmed(ran: Ran) -> tuple[wire.OrderView, list[wire.EventView]]:
    events, orders, _ = told(ran)
    return orders[0], events[orders[0].id]


Doctor = Callable[[wire.OrderView, list[wire.EventView]], tuple[wire.OrderView, list[wire.EventView]]]


def _without_fill(order: wire.OrderView) -> wire.OrderView:
    return replace(order, fill=None)


def _other_fill(order: wire.OrderView) -> wire.OrderView:
    assert order.fill is not None
    return replace(order, fill=replace(order.fill, amount_out_units="1"))


@pytest.mark.parametrize(
    "doctor",
    [
        lambda order, log: (order, log[:-1]),
        lambda order, log: (order, log[1:]),
        lambda order, log: (order, [*log, log[-1]]),
        lambda order, log: (order, [log[0], *log[2:]]),
        lambda order, log: (order, []),
        lambda order, log: (replace(order, status=OrderStatus.FAILED), log),
        lambda order, log: (_without_fill(order), log),
        lambda order, log: (_other_fill(order), log),
        lambda order, log: (order, [replace(log[0], order_id="another"), *log[1:]]),
        lambda order, log: (order, [*log[:-1], replace(log[-1], status=OrderStatus.FAILED)]),
    ],
)
def test_a_doctored_log_or_order_is_noticed(ran: Ran, doctor: Doctor) -> None:
    order, log = doctor(*confirmed(ran))
    assert faults(order, log, log)


def test_a_stream_that_differs_from_the_log_is_noticed(ran: Ran) -> None:
    order, log = confirmed(ran)
    assert faults(order, log[:-1], log)
    assert faults(order, [*log, log[-1]], log)
    assert faults(order, list(reversed(log)), log)
