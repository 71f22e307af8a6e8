"""What the operator is told: log lines without secrets, metrics, percentiles."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from fillwright import observe
from fillwright.observe.latencies import LATENCY_SAMPLES


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    observe.configure_logging("info")
    root.handlers[:], root.level = handlers, level


def metric(line: str) -> float:
    found = [text for text in generate_latest(observe.REGISTRY).decode().splitlines() if text.startswith(line + " ")]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


def test_steps_of_single_orders_are_quiet_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    observe.configure_logging("info")
    observe.order_accepted("an-order")
    observe.attempt_sent("an-order", 1)
    observe.order_ended("an-order", "confirmed", 1.5)
    assert capsys.readouterr() == ("", "")
    observe.configure_logging("debug")
    observe.order_accepted("an-order")
    assert "an-order" in capsys.readouterr().err


def test_json_lines_are_one_object_each(capsys: pytest.CaptureFixture[str]) -> None:
    observe.configure_logging("info", json=True)
    observe.engine_started(mode="paper", address="http://127.0.0.1:3000")
    logging.getLogger("some.library").warning("line\nbreak")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["engine started", "line\nbreak"]
    assert lines[0]["mode"] == "paper"


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_local_variables(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    observe.configure_logging("info", json=as_json)

    def fail() -> None:
        key = "5Kd3NB" + "UAdUnh"
        raise ValueError(f"a message without the {len(key)} characters")

    before = metric('fillwright_faults_total{where="test"}')
    try:
        fail()
    except ValueError as error:
        observe.unexpected_error("test", error)
    logged = capsys.readouterr().err
    assert "ValueError" in logged
    assert "Traceback" in logged
    assert "5Kd3NBUAdUnh" not in logged
    assert metric('fillwright_faults_total{where="test"}') == before + 1


def test_an_order_for_review_is_always_reported(capsys: pytest.CaptureFixture[str]) -> None:
    observe.configure_logging("error")
    observe.order_ended("an-order", "needs_review", 3.0)
    assert "an-order" in capsys.readouterr().err


def test_latencies_are_percentiles_of_the_newest_durations() -> None:
    for ms in range(1, 101):
        observe.order_ended("an-order", "expired", ms / 1_000)
    found = observe.latencies()["accepted_to_expired"]
    assert (found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms) == (51.0, 96.0, 100.0, 100.0)
    for _ in range(LATENCY_SAMPLES):
        observe.order_ended("an-order", "expired", 0.5)
    found = observe.latencies()["accepted_to_expired"]
    assert (found.count, found.p50_ms, found.max_ms) == (LATENCY_SAMPLES, 500.0, 500.0)


def test_requests_are_counted_by_route_and_status() -> None:
    line = 'fillwright_http_requests_total{route="/v1/test",status="418"}'
    before = metric(line)
    observe.request_served("/v1/test", 418, 0.001)
    assert metric(line) == before + 1
