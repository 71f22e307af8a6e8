"""How numbers and decisions read."""

from __future__ import annotations

import pytest

from fillwright import wire
from fillwright.cli import show
from fillwright.domain.orders import OrderStatus

SOL, USDC, RAY = (wire.TokenRef(symbol, symbol, 6) for symbol in ("SOL", "USDC", "RAY"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, "–"),
        ("0", "0"),
        ("1000000", "1,000,000"),
        ("123456789012", "123,456,789,012"),
        ("1.50", "1.5"),
        ("143.025895362", "143.0259"),
        ("12345678.9", "12,345,679"),
        ("0.00000017944391", "0.0000001794439"),
        ("0.1", "0.1"),
        ("99999999.99", "100,000,000"),
    ],
)
def test_numbers_are_grouped_and_rounded_for_reading(text: str | None, shown: str) -> None:
    assert show.number(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, "–"),
        ("0", "0 bp"),
        ("-0.0001", "0 bp"),
        ("13.7369", "13.74 bp"),
        ("-69.3491", "-69.35 bp"),
        ("20", "20.00 bp"),
    ],
)
def test_basis_points_have_two_decimals(text: str | None, shown: str) -> None:
    assert show.bps(text) == shown


def test_slippage_says_for_whom_it_was_good() -> None:
    assert show.slippage("12.5") == "12.50 bp worse than quoted"
    assert show.slippage("-12.5") == "12.50 bp better than quoted"
    assert show.slippage("0.0000") == "exactly as quoted"


@pytest.mark.parametrize(
    ("attempts", "bids", "shown"), [(0, 0, "0"), (2, 0, "2"), (1, 1, "1 + 1 bid"), (2, 3, "2 + 3 bids")]
)
def test_further_bids_stand_beside_the_attempts(attempts: int, bids: int, shown: str) -> None:
    class Order:
        pass

    order = Order()
    order.attempts, order.bids = attempts, bids  # type: ignore[attr-defined]
    assert show.tries(order) == shown  # type: ignore[arg-type]


def test_a_further_bid_says_its_price() -> None:
    data = {"attempt": 1, "bid": 2, "signature": "abcdefghijkl", "unit_price": "15000"}
    event = wire.EventView(
        mode="devnet", type="rebid", order_id="o", status=OrderStatus.SUBMITTED, number=5, sequence=5,
        at="2026-01-01T00:00:00.000Z", slot=None, data=data,
    )  # fmt: skip
    assert show.event_detail(event) == "attempt 1, bid 2 at 15,000 micro-lamports a unit, signature abcdefgh…"


def candidate(pool: str, amount_out: int, behind: str, refusal: str | None = None) -> wire.CandidateView:
    return wire.CandidateView(
        venue=f"venue_{pool}", dex="dex", pool=pool, amount_in_units="100", amount_out_units=str(amount_out),
        behind_bps=behind, refusal=refusal,
    )  # fmt: skip


def leg(pool: str, amount_in: int, source: wire.TokenRef = SOL, target: wire.TokenRef = USDC) -> wire.LegView:
    return wire.LegView(
        venue=f"venue_{pool}", dex="dex", pool=pool, input=source, output=target, amount_in=str(amount_in),
        amount_in_units=str(amount_in), amount_out="1", amount_out_units="1", fees=[],
    )  # fmt: skip


def route(amount_out: int, *legs: wire.LegView) -> wire.RouteView:
    return wire.RouteView(
        amount_in="100", amount_in_units="100", amount_out=str(amount_out), amount_out_units=str(amount_out),
        limit="1", limit_units="1", price="1", price_impact_bps="0", legs=list(legs), slot=1,
    )  # fmt: skip


CANDIDATES = [candidate("b", 990, "100"), candidate("c", 0, "0", "paused"), candidate("a", 1_000, "0")]


def test_a_route_over_one_pool_beats_the_next_best() -> None:
    assert show.decision_line(CANDIDATES, route(1_000, leg("a", 100))) == "venue_a beats venue_b by 100.00 bp"
    assert show.decision_line(CANDIDATES[1:], route(1_000, leg("a", 100))).endswith(
        "is the only one that can execute it"
    )
    assert show.decision_line(CANDIDATES, None) == "no executable route"


def test_a_split_is_shown_by_its_shares_and_its_gain() -> None:
    line = show.decision_line(CANDIDATES, route(1_010, leg("a", 75), leg("b", 25)))
    assert line == "split 75.0 % venue_a + 25.0 % venue_b, 100.00 bp better than the best pool alone"


def test_a_route_over_another_token_is_shown_swap_by_swap() -> None:
    line = show.decision_line([], route(1_010, leg("a", 100, SOL, RAY), leg("b", 7, RAY, USDC)))
    assert line == "100 SOL → RAY on venue_a, 7 RAY → USDC on venue_b"
