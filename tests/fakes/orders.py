"""Orders, attempts and fills for tests: valid, and different from each other by their number."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from fillwright.domain.accounts import Address, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.lifecycle import accept, advance
from fillwright.domain.orders import (
    Accepted,
    Attempt,
    AttemptStatus,
    Bid,
    Built,
    EventBody,
    Fill,
    Order,
    OrderEvent,
    OrderId,
    OrderSpec,
    OrderType,
    Routed,
)
from fillwright.domain.routes import Candidate, Fee, FeeKind, Leg, Route
from fillwright.ports import Change, Lease

SOL = Mint("So11111111111111111111111111111111111111112")
USDC = Mint("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v")
WALLET = "9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM"
POOL = Address("7JuwJuNU88gurFnyWeiyGKbFmExMWcmRZntn9imEzdny")
NOW_MS = 1_760_000_000_000

SPEC = OrderSpec("alice", WALLET, OrderType.MARKET, SOL, USDC, SwapMode.EXACT_IN, 10**9, 50)
_FEES = (Fee(FeeKind.LP, SOL, 2_500_000),)
_LEG = Leg("raydium_cpmm", "raydium", POOL, SOL, USDC, 10**9, 170_000_000, _FEES)
ROUTE = Route(SwapMode.EXACT_IN, SOL, USDC, 10**9, 170_000_000, 169_150_000, (_LEG,), 120, 250_000_000)
ROUTED = Routed((Candidate("raydium_cpmm", "raydium", POOL, 10**9, 170_000_000, _FEES, 120),), ROUTE, 250_000_000)


def order_id(number: int, at_ms: int = NOW_MS) -> OrderId:
    """UUIDv7s that ascend with `number`."""
    digits = f"{at_ms:012x}7{number >> 12 & 0xFFF:03x}8000{number:012x}"
    return OrderId(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")


def new_order(number: int, *, ready_at_ms: int | None = NOW_MS, **spec: Any) -> tuple[Order, OrderEvent]:
    """An accepted order and its event. A held one waits and is not due."""
    body = Accepted(replace(SPEC, **spec), None if spec.get("hold") else ready_at_ms, "170.1", 249_999_999)
    return accept(order_id(number), body, NOW_MS)


def step(order: Order, body: EventBody, lease: Lease | None = None, **more: Any) -> Change:
    """The change that `body` makes to `order`."""
    after, event = advance(order, body, NOW_MS + order.version)
    return Change(after, (event,), order.version, lease, **more)


def attempt_of(order: Order, number: int = 1, *, signature: str | None = None) -> Attempt:
    """A built attempt, with a limit as large as they come."""
    return Attempt(
        order_id=order.id,
        number=number,
        status=AttemptStatus.BUILT,
        signature=signature or f"sig-{order.id}-{number}",
        raw=bytes(range(256)),
        last_valid_block_height=250,
        limit=U64_MAX,
        marker_seed=order.id[:32],
        created_ms=NOW_MS,
    )


def bid_of(attempt: Attempt, number: int = 2) -> Bid:
    """Transaction `number` of that attempt."""
    raw = bytes(reversed(range(256)))
    return Bid(number, f"{attempt.signature}-{number}", raw, 10_000 * number, 100 + number, NOW_MS + number)


def built(attempt: Attempt) -> Built:
    return Built(attempt.number, attempt.signature, attempt.last_valid_block_height, attempt.limit)


def fill_of(attempt: Attempt) -> Fill:
    """A fill of that attempt, with amounts as large as they come."""
    return Fill(
        attempt.signature, attempt.order_id, attempt.number, U64_MAX, U64_MAX - 1, 5_000, 0, 250_000_007, NOW_MS
    )
