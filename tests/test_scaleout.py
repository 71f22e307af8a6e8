"""Parts of an engine in many processes that need no servers."""

from __future__ import annotations

import socket
import urllib.request
from contextlib import ExitStack

import pytest

from fillwright import observe
from fillwright.config import Settings
from fillwright.domain.errors import ConfigError
from fillwright.scaleout import show_metrics
from servers import free_port


def settings(port: int) -> Settings:
    return Settings(_env_file=None, metrics_port=port)  # type: ignore[call-arg]


def test_a_metrics_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, ExitStack() as opened:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"metrics on 127.0.0.1:{port}: Address already in use"):
            show_metrics(settings(port), opened)


def test_a_workers_metrics_say_nothing_of_a_queue_that_it_does_not_read() -> None:
    port = free_port()
    observe.queue_unseen("store_unavailable")
    with ExitStack() as opened:
        show_metrics(settings(port), opened)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    assert any(line.startswith("fillwright_orders_in_flight ") for line in lines)
    assert "# TYPE fillwright_queue_oldest_seconds gauge" in lines
    assert [line for line in lines if line.startswith("fillwright_queue_")] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
