"""Every command that talks to an engine: as JSON lines into a pipe, drawn on a terminal, refused in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminals import Ran, on_terminal, piped
from client.engines import Server, server
from fillwright import __version__, wire
from fillwright.client import Client

DECISION = re.compile(r"\w+ beats \w+ by [\d.]+ bp|split [\d.]+ % \w+")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("engine")) as running:
        yield running


def lines_of(ran: Ran) -> list[dict[str, object]]:
    assert ran.err == ""
    return [json.loads(line) for line in ran.lines]


def one_line(ran: Ran, code: str) -> None:
    """It was refused as users and scripts need it."""
    assert ran.status == 1
    assert ran.out == ""
    assert ran.err.startswith(f"{code}: ")
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err


def fits(ran: Ran, columns: int) -> None:
    """Nothing is wider than the terminal, and nothing was cut to fit."""
    assert max(len(line.rstrip()) for line in ran.lines) <= columns


def test_an_order_is_watched_to_its_end_as_json_lines(engine: Server) -> None:
    ran = piped("order", "SOL", "USDC", "1", "--client-order-id", "cli-1", "--url", engine.url)
    assert ran.status == 0
    *events, order = lines_of(ran)
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert (order["status"], order["client_order_id"]) == ("confirmed", "cli-1")
    again = lines_of(piped("order", "SOL", "USDC", "1", "--client-order-id", "cli-1", FILLWRIGHT_URL=engine.url))
    assert again == [*events, order]


@pytest.mark.parametrize("columns", [80, 140])
def test_an_order_is_drawn_on_a_terminal(engine: Server, columns: int) -> None:
    ran = on_terminal(columns, "order", "USDC", "SOL", "0.5", "--exact-out", "--url", engine.url)
    assert ran.status == 0
    fits(ran, columns)
    for expected in ("USDC → 0.5 SOL", "executed price", " quoted", "signature"):
        assert expected in ran.out
    assert DECISION.search(ran.out)
    assert UUID.search(ran.out)


def test_a_terminal_gives_json_when_it_is_asked_to(engine: Server) -> None:
    ran = on_terminal(80, "quote", "SOL", "USDC", "1", "--json", "--url", engine.url)
    assert json.loads("".join(ran.lines))["mode"] == "paper"


def test_a_detached_order_returns_at_once(engine: Server) -> None:
    ran = piped("order", "SOL", "USDC", "1", "--detach", "--slippage-bps", "100", "--url", engine.url)
    assert ran.status == 0
    assert lines_of(ran)[0]["slippage_bps"] == 100


def test_an_order_that_fails_is_told_by_the_exit_status(engine: Server) -> None:
    ran = piped("order", "JUP", "WIF", "1", "--url", engine.url)
    assert ran.status == 1
    order = lines_of(ran)[-1]
    assert order["status"] == "failed"
    assert order["error"] == {"code": "no_pool", "message": "no pool that the order allows trades this pair"}


def test_a_quote_shows_every_pool_and_the_decision(engine: Server) -> None:
    (quote,) = lines_of(piped("quote", "SOL", "USDC", "1", "--url", engine.url))
    candidates = quote["candidates"]
    assert isinstance(candidates, list)
    assert len(candidates) == 2
    for columns in (80, 140):
        drawn = on_terminal(columns, "quote", "SOL", "USDC", "1", "--url", engine.url)
        fits(drawn, columns)
        assert all(venue in drawn.out for venue in ("raydium_cpmm", "meteora_damm_v2", "►", "at least"))
        assert DECISION.search(drawn.out)
    for_exact_out = on_terminal(80, "quote", "USDC", "SOL", "1", "--exact-out", "--url", engine.url)
    assert "pay USDC" in for_exact_out.out
    assert "at most" in for_exact_out.out


def test_a_decision_is_explained(engine: Server) -> None:
    with Client(engine.url) as client:
        order = client.wait(client.submit(input="SOL", output="USDC", amount="40").id)
        assert client.explain(order.id).same
    (explained,) = lines_of(piped("explain", order.id, "--url", engine.url))
    assert (explained["same"], explained["order_id"]) == (True, order.id)
    for columns in (80, 140):
        drawn = on_terminal(columns, "explain", order.id[-8:], "--url", engine.url)
        assert drawn.status == 0
        fits(drawn, columns)
        for expected in ("the same as was decided", "40 SOL →", "└── ", "gain over it", "no route gives", "together"):
            assert expected in drawn.out
    graph = piped("explain", order.id, "--dot", "--url", engine.url)
    assert graph.lines[0] == "digraph route {"
    assert '"SOL" -> "USDC"' in graph.out
    one_line(piped("explain", "0" * 36, "--url", engine.url), "id_invalid")


def test_a_route_over_another_token_is_drawn_hop_by_hop(engine: Server) -> None:
    with Client(engine.url) as client:
        order = client.wait(client.submit(input="BONK", output="USDC", amount="50000000").id)
    for columns in (80, 140):
        drawn = on_terminal(columns, "explain", order.id, "--url", engine.url)
        fits(drawn, columns)
        for expected in ("BONK → SOL → USDC", "stay as dust", "SOL → USDC", "dust  ", "together"):
            assert expected in drawn.out
    graph = piped("explain", order.id, "--dot", "--url", engine.url).out
    assert '"BONK" -> "SOL"' in graph
    assert '"SOL" -> "USDC"' in graph


def test_a_decision_without_a_route_is_explained_too(engine: Server) -> None:
    with Client(engine.url) as client:
        order = client.wait(client.submit(input="JUP", output="WIF", amount="1").id)
    drawn = on_terminal(80, "explain", order.id, "--url", engine.url)
    assert drawn.status == 0
    assert "the same as was decided" in drawn.out
    assert "no_pool" in drawn.out


def test_a_route_is_narrowed_by_options(engine: Server) -> None:
    asked = ("quote", "SOL", "USDC", "60", "--url", engine.url)
    (whole,) = lines_of(piped(*asked))
    pools = [leg["pool"] for leg in whole["route"]["legs"]]  # type: ignore[index]
    assert len(pools) == 2
    for options in (
        ("--max-legs", "1"), ("--venue", "raydium"), ("--exclude-venue", "raydium"), ("--pool", pools[0]),
        ("--exclude-pool", pools[0]),
    ):  # fmt: skip
        (narrowed,) = lines_of(piped(*asked, *options))
        assert len(narrowed["route"]["legs"]) == 1, options  # type: ignore[index]
    assert piped("quote", "BONK", "USDC", "1000000", "--url", engine.url).status == 0
    for closed in (("--max-hops", "1"), ("--direct-only",)):
        assert piped("quote", "BONK", "USDC", "1000000", *closed, "--url", engine.url).status == 1
    price = str(float(whole["mid_price"]) * 0.985)  # type: ignore[arg-type]
    (part,) = lines_of(piped("quote", "SOL", "USDC", "5000", "--fill-to-price", price[:9], "--url", engine.url))
    assert 0 < float(part["route"]["amount_in"]) < 5_000  # type: ignore[index]


def test_a_quote_without_a_route_exits_with_1(engine: Server) -> None:
    assert piped("quote", "JUP", "WIF", "1", "--url", engine.url).status == 1
    assert "no_pool" in on_terminal(80, "quote", "JUP", "WIF", "1", "--url", engine.url).out


@pytest.mark.parametrize("columns", [80, 100, 120, 160])
def test_orders_are_listed_in_one_line_each(engine: Server, columns: int) -> None:
    with Client(engine.url) as client:
        order = client.wait(client.submit(input="BONK", output="SOL", amount="1000000", max_legs=1).id)
    ran = on_terminal(columns, "orders", "--limit", "5", "--url", engine.url)
    fits(ran, columns)
    head, _, newest, *_ = ran.lines
    for column in ("order", "swap", "status", "price", "slippage", *(("venue",) if columns >= 100 else ())):
        assert column in head
    for value in (order.id[-8:], "1,000,000 BONK → SOL", "confirmed"):
        assert value in newest
    assert "…" not in newest.replace(f"{(order.signature or '')[:8]}…", "")


def test_orders_are_filtered_and_as_json(engine: Server) -> None:
    with Client(engine.url) as client:
        held = client.submit(input="RAY", output="USDC", amount="3", hold=True)
        ran = piped("orders", "--status", "waiting", "--pair", "RAY/USDC", "--url", engine.url)
        assert [order["id"] for order in lines_of(ran)] == [held.id]
        client.cancel(held.id)
    assert piped("orders", "--pair", "WIF/JUP", "--status", "expired", "--url", engine.url).out == ""
    assert "no orders" in on_terminal(80, "orders", "--status", "expired", "--url", engine.url).out


def test_one_order_is_found_by_its_id_or_the_end_of_it(engine: Server) -> None:
    with Client(engine.url) as client:
        order = client.wait(client.submit(input="SOL", output="USDC", amount="2").id)
    whole, end = (lines_of(piped("orders", text, "--url", engine.url)) for text in (order.id, order.id[-8:]))
    assert whole == end == [json.loads(wire.encode(order))]
    drawn = on_terminal(80, "orders", order.id[-8:], "--url", engine.url)
    fits(drawn, 80)
    assert order.id in drawn.out
    assert (order.signature or "") in drawn.out.replace("\n", "").replace(" ", "")
    one_line(piped("orders", "nonsense", "--url", engine.url), "not_found")
    one_line(piped("orders", order.id[:-4] + "0000", "--url", engine.url), "not_found")


def test_an_order_is_watched_from_where_one_left_off(engine: Server) -> None:
    with Client(engine.url) as client:
        order = client.wait(client.submit(input="SOL", output="USDC", amount="2").id)
        log = client.events(order.id)
    ran = piped("watch", order.id, "--from-seq", str(log[1].sequence), "--url", engine.url)
    assert [line["number"] for line in lines_of(ran)] == [event.number for event in log[2:]]
    drawn = on_terminal(80, "watch", order.id[-8:], "--url", engine.url)
    fits(drawn, 80)
    assert [event.type for event in log if event.type in drawn.out] == [event.type for event in log]


def test_an_order_is_cancelled_once(engine: Server) -> None:
    with Client(engine.url) as client:
        held = client.submit(input="SOL", output="USDC", amount="2", hold=True)
    (cancelled,) = lines_of(piped("cancel", held.id, "--url", engine.url))
    assert cancelled["status"] == "cancelled"
    one_line(piped("cancel", held.id, "--url", engine.url), "not_cancellable")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("order", "SOL", "USDC", "1e3"), "amount_format"),
        (("order", "SOL", "NOPE", "1"), "token_unknown"),
        (("quote", "SOL", "SOL", "1"), "token_same"),
        (("orders", "--status", "nonsense"), "field_range"),
        (("watch", "00000000-0000-7000-8000-000000000000"), "not_found"),
    ],
)
def test_a_refusal_is_one_line_with_its_stable_code(engine: Server, arguments: tuple[str, ...], code: str) -> None:
    one_line(piped(*arguments, "--url", engine.url), code)


def test_without_an_engine_the_command_says_so() -> None:
    one_line(piped("orders", "--url", "http://127.0.0.1:1"), "unreachable")
    one_line(piped("orders", "--url", "127.0.0.1:1"), "config_error")


def test_wrong_usage_exits_with_2() -> None:
    for arguments in (("order", "SOL"), ("nonsense",), ("orders", "--limit", "0"), ("serve", "--log-level", "loud")):
        ran = piped(*arguments)
        assert ran.status == 2
        assert "Traceback" not in ran.err


def test_a_server_that_may_not_start_says_why(tmp_path: Path) -> None:
    data = str(tmp_path)
    one_line(piped("serve", "--host", "0.0.0.0", "--data-dir", data), "config_error")  # noqa: S104
    one_line(piped("serve", "--data-dir", data, FILLWRIGHT_MODE="mainnet"), "config_error")
    one_line(piped("serve", "--data-dir", data, FILLWRIGHT_CONCURRENCY="0"), "config_error")
    file = tmp_path / "file"
    file.touch()
    one_line(piped("serve", "--data-dir", str(file)), "os_error")


def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with server(tmp_path):
        ran = piped("serve", "--port", "0", "--data-dir", str(tmp_path), "--log-level", "error")
        assert ran.status == 1
        assert ran.err.count("\n") == 1


def test_the_version_and_the_help_are_there() -> None:
    assert piped("--version").out == f"fillwright {__version__}\n"
    for command in (
        "serve",
        "demo",
        "order",
        "quote",
        "explain",
        "watch",
        "orders",
        "cancel",
        "bench",
        "config",
        "venues",
    ):
        assert piped(command, "--help").status == 0


def test_the_help_does_not_load_the_engine() -> None:
    import subprocess
    import sys

    from cli.terminals import environment

    heavy = ("fastapi", "uvicorn", "httpx2", "websockets", "solders", "pydantic", "fillwright.app")
    program = f"import sys, fillwright.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_help_names_arguments_as_it_speaks_of_them() -> None:
    for command in ("quote", "order"):
        usage = re.sub(r"\s+", " ", piped(command, "--help").out)
        assert "{INPUT} {OUTPUT} {AMOUNT}" in usage
