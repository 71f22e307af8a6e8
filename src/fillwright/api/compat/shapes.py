"""The dialects' JSON: orders, list rows, history, socket messages, quotes. Numbers are JSON numbers.

In: facts and steps. Out: plain dicts. Where one path serves several dialects, their shapes are merged into one
object, and whatever would collide follows the dialect that the order came in.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fillwright.api.compat.dialects import D000, D001, D002, D003, D004, MESSAGES_003, Dialect
from fillwright.api.compat.facts import Facts, QuoteFacts, best_by_dex, candidate_quote
from fillwright.api.compat.numbers import encode
from fillwright.api.compat.progress import Step
from fillwright.api.views import rfc3339
from fillwright.domain.orders import Order
from fillwright.domain.routes import Candidate
from fillwright.domain.tokens import TokenList

Shape = dict[str, Any]

_ROUTED = frozenset({"routing", "building", "submitted", "confirmed", "failed"})


def accepted(order: Order, dialect: Dialect) -> Shape:
    """The answer to a new order."""
    order_id = order.id
    match dialect.id:
        case "000":
            return {"orderId": order_id, "status": "PENDING"}
        case "001":
            compact = compact_id(order_id)
            return {"status": "queued", "orderId": compact, "ws_url": f"/api/orders/upgrade/{compact}"}
        case "003":
            return {"orderId": order_id, "status": "pending", "message": MESSAGES_003["pending"]}
        case "004":
            data = {"orderId": order_id, "status": "pending", "message": "Order queued for execution"}
            return {"success": True, "data": data}
        case _:
            return {"orderId": order_id, "status": "pending"}


def compact_id(order_id: str) -> str:
    """An order's id without dashes: 001's clients look for hex digits only."""
    return order_id.replace("-", "")


def failure(dialect: Dialect | None, message: str, detail: str | None = None) -> Shape:
    """An error. Where the dialect is not known, one object that each of them can read."""
    shape: Shape = {} if dialect is not None and not dialect.has_envelope else {"success": False}
    shape["error"] = message
    if detail is not None and (dialect is None or dialect is D002):
        shape["message"] = detail
    return shape


def order(facts: Facts, dialect: Dialect | None) -> Shape:
    """`GET /api/orders/{id}`; without a dialect, one object for all that have this path."""
    match dialect:
        case None:
            held = _order_004(facts) | _data_003(facts)
            return {**_order_002(facts), **_order_003(facts), "success": True, "data": held}
        case Dialect(id="004"):
            return {"success": True, "data": _order_004(facts)}
        case Dialect(id="003"):
            return _order_003(facts)
        case _:
            return _order_002(facts)


def order_004(facts: Facts) -> Shape:
    """004's order, without an envelope."""
    return _order_004(facts)


def row(facts: Facts, dialect: Dialect | None) -> Shape:
    """An entry of `GET /api/orders`; without a dialect, 002's and 003's keys in one."""
    match dialect:
        case None:
            slippage = facts.realised_slippage if facts.spec.dialect == D003.id else facts.tolerance
            return {**_order_002(facts), **_row_003(facts), "slippage": slippage}
        case Dialect(id="003"):
            return _row_003(facts)
        case Dialect(id="004"):
            return _order_004(facts)
        case _:
            return _order_002(facts)


def _order_002(facts: Facts) -> Shape:
    order = facts.order
    return {
        "orderId": order.id,
        "type": facts.spec.type.value,
        "tokenIn": facts.token_in,
        "tokenOut": facts.token_out,
        "amountIn": facts.amount_in,
        "slippage": facts.tolerance,
        "status": facts.step,
        "createdAt": rfc3339(order.created_ms),
        "updatedAt": rfc3339(order.updated_ms),
        "txHash": facts.tx_hash,
        "executedPrice": facts.executed_price,
        "executedAmount": facts.executed_amount,
        "dex": facts.dex(D002),
        "error": facts.error,
        "retryCount": order.retries,
    }


def _order_003(facts: Facts) -> Shape:
    return {
        "orderId": facts.order.id,
        "status": facts.step,
        "message": MESSAGES_003[facts.step],
        "data": _data_003(facts),
        "timestamp": rfc3339(facts.order.updated_ms),
    }


def _data_003(facts: Facts) -> Shape:
    quote = facts.quote()
    return {
        "quote": None if quote is None else _quote_003(quote, facts.dex(D003)),
        "estimatedOutput": None if quote is None else f"{quote.output:.6f}",
        "txHash": facts.tx_hash,
        "executedPrice": facts.executed_price,
        "slippage": facts.realised_slippage,
        "error": facts.error,
        "requiresWrapping": facts.wraps,
    }


def _quote_003(quote: QuoteFacts, dex: str | None) -> Shape:
    return {
        "dex": dex,
        "price": quote.price,
        "fee": quote.fee,
        "feeAmount": quote.fee_amount,
        "amountAfterFee": quote.after_fee,
        "feePercentage": f"{quote.fee * 100:.2f}%",
    }


def _order_004(facts: Facts) -> Shape:
    order = facts.order
    return {
        "id": order.id,
        "userWallet": facts.spec.wallet,
        "inputToken": facts.token_in,
        "outputToken": facts.token_out,
        "inputAmount": facts.amount_in,
        **_state_004(facts),
        "status": facts.step,
        "createdAt": rfc3339(order.created_ms),
        "updatedAt": rfc3339(order.updated_ms),
    }


def _state_004(facts: Facts) -> Shape:
    return {
        "outputAmount": facts.executed_amount,
        "selectedDex": facts.dex(D004),
        "txHash": facts.tx_hash,
        "error": facts.error,
    }


def _row_003(facts: Facts) -> Shape:
    order, quote = facts.order, facts.quote()
    return {
        "id": order.id,
        "token_in": facts.token_in,
        "token_out": facts.token_out,
        "amount": f"{facts.amount_in:.8f}",
        "max_slippage": f"{facts.tolerance:.4f}",
        "status": facts.step,
        "quote_dex": facts.dex(D003),
        "quote_price": None if quote is None else quote.price,
        "quote_fee": None if quote is None else quote.fee,
        "tx_hash": facts.tx_hash,
        "executed_price": facts.executed_price,
        "slippage": facts.realised_slippage,
        "error_message": facts.error,
        "created_at": rfc3339(order.created_ms),
        "updated_at": rfc3339(order.updated_ms),
        "attempts": order.attempt,
        "failure_reason": facts.error,
        "requires_wrapping": facts.wraps,
    }


def quote_answer(facts: Facts, sent: tuple[str, str, Decimal], now_ms: int) -> Shape:
    """003's quote of an order that exists only as a question; the route must be there."""
    quote = facts.quote()
    if quote is None:
        raise ValueError("a quote needs a route")
    return {
        "tokenIn": sent[0],
        "tokenOut": sent[1],
        "amount": sent[2],
        "quote": _quote_003(quote, facts.dex(D003)),
        "estimatedOutput": f"{quote.output:.6f}",
        "timestamp": rfc3339(now_ms),
    }


def history_entry(step: Step, tokens: TokenList) -> Shape:
    """An entry of 002's history."""
    facts = Facts(step.order, tokens)
    return {
        "orderId": step.order.id,
        "status": step.name,
        "timestamp": rfc3339(step.at_ms),
        "txHash": facts.tx_hash,
        "executedPrice": facts.executed_price,
        "error": facts.error,
        "dex": None if step.asking or step.name == "pending" else facts.dex(D002),
        "routing": routing_002(step.candidates, facts) if step.candidates else None,
    }


def routing_002(candidates: Sequence[Candidate], facts: Facts) -> Shape:
    """What each DEX offered, and which one was taken. One that refused stands with zeros and its reason."""
    found = best_by_dex(candidates, facts.spec)
    shape: Shape = {D002.label(dex): _quote_002(found.get(dex), dex, facts) for dex in D002.labels}
    shape["selected"] = facts.dex(D002)
    return shape


def _quote_002(candidate: Candidate | None, dex: str, facts: Facts) -> Shape:
    if candidate is None or candidate.refusal:
        why = "no pool trades this pair" if candidate is None else candidate.detail or candidate.refusal
        return {
            "dex": D002.label(dex), "price": 0, "fee": 0, "outputAmount": 0, "priceImpact": 0, "error": why,
        }  # fmt: skip
    quote = candidate_quote(candidate, facts.spec.input_mint, facts.sides)
    return {
        "dex": D002.label(dex),
        "price": quote.price,
        "fee": quote.fee,
        "outputAmount": quote.output,
        "priceImpact": quote.impact_percent,
    }


def update_002_003(step: Step, tokens: TokenList) -> Shape:
    """A message of the path that 002 and 003 share: 002's flat fields, 003's type and data."""
    facts = Facts(step.order, tokens)
    chosen = step.name in _ROUTED and not step.asking
    flat: Shape = {"txHash": facts.tx_hash, "executedPrice": facts.executed_price, "error": facts.error}
    if chosen:
        flat["dex"] = facts.dex(D002)
    if step.candidates:
        flat["routing"] = routing_002(step.candidates, facts)
    shape: Shape = {
        "type": "order_update",
        "orderId": step.order.id,
        "status": step.name,
        "timestamp": rfc3339(step.at_ms),
        **_present(flat),
    }
    data = _present(_data_003(facts))
    return {**shape, "data": data} if chosen else shape


def connected_002(order: Order, name: str, now_ms: int) -> Shape:
    """What follows the replayed history."""
    return {
        "type": "connected",
        "orderId": order.id,
        "status": name,
        "timestamp": rfc3339(now_ms),
        "message": "Connected to order status stream",
    }


def update_000(step: Step, tokens: TokenList) -> Shape:
    """000's message after the first."""
    facts = Facts(step.order, tokens)
    shape: Shape = {"orderId": step.order.id, "status": D000.spell(step.name)}
    data = _data_000(step, facts)
    return {**shape, "data": data} if data else shape


def _data_000(step: Step, facts: Facts) -> Shape:
    match step.name:
        case "building":
            return {"dex": facts.dex(D000), "price": facts.quoted_price}
        case "confirmed":
            return {"txHash": facts.tx_hash, "price": facts.executed_price}
        case "failed":
            return {"error": facts.error}
        case _:
            return {}


def first_000(steps: Sequence[Step], tokens: TokenList) -> Shape:
    """000's first message: the state, and a log of what led to it."""
    newest = steps[-1]
    facts = Facts(newest.order, tokens)
    logs = []
    for step in steps:
        entry = {"status": D000.spell(step.name), "timestamp": rfc3339(step.at_ms)}
        logs.append(encode(entry | _data_000(step, Facts(step.order, tokens))).decode())
    return {
        "orderId": newest.order.id, "status": D000.spell(newest.name), "txHash": facts.tx_hash, "logs": logs,
    }  # fmt: skip


def update_001(step: Step, tokens: TokenList) -> Shape:
    """001's flat state; nulls are there."""
    facts = Facts(step.order, tokens)
    return {
        "status": "slippage_failed" if facts.missed_price else D001.spell(step.name),
        "orderId": compact_id(step.order.id),
        "txHash": facts.tx_hash,
        "executedPrice": facts.executed_price,
        "lastError": facts.error or facts.last_error,
        "attempts": step.order.attempt,
        "updatedAt": rfc3339(step.at_ms),
    }


def update_004(step: Step, tokens: TokenList) -> Shape:
    """004's message, the first one and all after it."""
    facts = Facts(step.order, tokens)
    return {
        "type": "status",
        "orderId": step.order.id,
        "status": step.name,
        "timestamp": rfc3339(step.at_ms),
        "data": _state_004(facts),
    }


def _present(shape: Shape) -> Shape:
    return {key: value for key, value in shape.items() if value is not None}
