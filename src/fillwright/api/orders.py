"""Order and quote requests -> OrderSpec: tokens resolved, amounts in base units, bounds checked.

In: a request's body. Out: a spec that routing and the store take as it is. Nothing is guessed: whatever is
missing, contradictory or out of range raises InvalidInput with its code and pointer.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from solders.pubkey import Pubkey

from fillwright import wire
from fillwright.api import parsing, views
from fillwright.api.problems import InvalidParameter
from fillwright.api.services import Services
from fillwright.config import Mode
from fillwright.domain.amounts import MAX_AMOUNT_CHARS, SwapMode, parse_base_units, parse_decimal, parse_price
from fillwright.domain.errors import InvalidInput
from fillwright.domain.orders import OrderSpec, OrderType
from fillwright.domain.tokens import Token
from fillwright.venues.registry import VENUES

_CLIENT_ORDER_ID = re.compile(r"[!-~]+", re.ASCII)
_CLIENT_ORDER_ID_RULE = f"1 to {wire.MAX_CLIENT_ORDER_ID_CHARS} visible ASCII characters"
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_TIME_CHARS = 35


def parse_order(body: bytes, services: Services, account: str, key: str | None) -> OrderSpec:
    """The spec of an order request. `key` is the Idempotency-Key header, which stands in for
    `client_order_id`. Raises InvalidInput."""
    fields = parsing.read_fields(parsing.parse_json(body), _ORDER_FIELDS, ("input", "output"))
    if key is not None:
        if not _is_client_order_id(key):
            raise InvalidParameter("client_order_id_invalid", _CLIENT_ORDER_ID_RULE, "Idempotency-Key")
        if fields.setdefault("client_order_id", key) != key:
            detail = "the header Idempotency-Key names another id"
            raise InvalidInput("idempotency_conflict", detail, pointer="/client_order_id")
    return _spec(fields, services, account)


def read_order(value: object, services: Services, account: str) -> OrderSpec:
    """The spec of an order that stands in a larger request. Raises InvalidInput."""
    return _spec(parsing.read_fields(value, _ORDER_FIELDS, ("input", "output")), services, account)


def parse_quote(body: bytes, services: Services, account: str) -> OrderSpec:
    """The spec that a quote request would be as an order. Raises InvalidInput."""
    fields = parsing.read_fields(parsing.parse_json(body), _QUOTE_FIELDS, ("input", "output"))
    return _spec(fields, services, account)


def _spec(fields: dict[str, Any], services: Services, account: str) -> OrderSpec:
    tokens = services.market.tokens
    source = tokens.resolve(fields["input"], pointer="/input")
    target = tokens.resolve(fields["output"], pointer="/output")
    if source.mint == target.mint:
        raise InvalidInput("token_same", "input and output are the same token", pointer="/output")
    mode = SwapMode(fields.get("swap_mode", SwapMode.EXACT_IN))
    limit = _limit(fields, mode, source, target)
    return OrderSpec(
        account=account,
        wallet=_wallet(fields, services),
        type=OrderType.MARKET,
        input_mint=source.mint,
        output_mint=target.mint,
        mode=mode,
        amount=_amount(fields, source if mode is SwapMode.EXACT_IN else target),
        slippage_bps=_slippage(fields, services, has_limit=limit is not None),
        limit=limit,
        client_order_id=fields.get("client_order_id"),
        not_before_ms=fields.get("not_before"),
        hold=fields.get("hold", False),
        priority=fields.get("priority", 0),
        marker=services.settings.use_marker,
        venues=fields.get("venues", ()),
        exclude_venues=fields.get("exclude_venues", ()),
        pools=fields.get("pools", ()),
        exclude_pools=fields.get("exclude_pools", ()),
        max_legs=fields.get("max_legs"),
        max_hops=fields.get("max_hops"),
        direct_only=fields.get("direct_only", False),
        fill_to=_fill_to(fields, mode, source, target) if "fill_to_price" in fields else "",
    )


def _amount(fields: dict[str, Any], token: Token) -> int:
    if "amount" in fields and "amount_units" in fields:
        raise InvalidInput("amount_conflict", "give amount or amount_units, not both", pointer="/amount_units")
    if "amount" in fields:
        return parse_decimal(fields["amount"], token.decimals, pointer="/amount")
    if "amount_units" in fields:
        return parse_base_units(fields["amount_units"], pointer="/amount_units")
    raise InvalidInput("field_required", "amount or amount_units is required", pointer="/amount")


def _limit(fields: dict[str, Any], mode: SwapMode, source: Token, target: Token) -> int | None:
    name, other, token = ("min_out", "max_in", target) if mode is SwapMode.EXACT_IN else ("max_in", "min_out", source)
    if other in fields:
        raise InvalidInput("limit_not_applicable", f"the bound of {mode} is {name}", pointer=f"/{other}")
    return parse_decimal(fields[name], token.decimals, pointer=f"/{name}") if name in fields else None


def _fill_to(fields: dict[str, Any], mode: SwapMode, source: Token, target: Token) -> str:
    """The price in base units, exact. It is a bound of its own: an explicit one beside it would contradict it."""
    pointer = "/fill_to_price"
    if mode is not SwapMode.EXACT_IN or "min_out" in fields:
        detail = "a fill to a price is exact-in, and its price is its bound"
        raise InvalidInput("limit_not_applicable", detail, pointer=pointer)
    price = parse_price(fields["fill_to_price"], pointer=pointer)
    return str(price * Fraction(10**target.decimals, 10**source.decimals))


def _slippage(fields: dict[str, Any], services: Services, *, has_limit: bool) -> int:
    settings = services.settings
    if "slippage_bps" not in fields:
        return settings.default_slippage_bps
    if has_limit:
        raise InvalidInput("slippage_conflict", "an explicit bound replaces slippage_bps", pointer="/slippage_bps")
    bps: int = fields["slippage_bps"]
    if not 0 <= bps <= settings.max_slippage_bps:
        detail = f"from 0 to {settings.max_slippage_bps} basis points"
        raise InvalidInput("slippage_out_of_range", detail, pointer="/slippage_bps")
    return bps


def _wallet(fields: dict[str, Any], services: Services) -> str:
    wallet: str = fields.get("wallet", services.wallet)
    if wallet != services.wallet and services.settings.mode is not Mode.PAPER:
        raise InvalidInput("wallet_unknown", "this engine holds no key for this wallet", pointer="/wallet")
    return wallet


def is_address(text: str) -> bool:
    """Whether `text` is a base58 public key of 32 bytes in canonical spelling."""
    if not 32 <= len(text) <= 44:
        return False
    try:
        return str(Pubkey.from_string(text)) == text
    except ValueError:
        return False


def _token(value: object, pointer: str) -> str:
    return parsing.text(value, pointer)


def _amount_text(value: object, pointer: str) -> str:
    if isinstance(value, str) and len(value) <= MAX_AMOUNT_CHARS:
        return value
    raise InvalidInput("amount_format", 'an amount is a plain decimal string such as "1.5"', pointer=pointer)


def _bps(value: object, pointer: str) -> int:
    try:
        return parsing.integer(value, pointer)
    except InvalidInput:
        raise InvalidInput("slippage_format", "slippage is an integer of basis points", pointer=pointer) from None


def _client_order_id(value: object, pointer: str) -> str:
    found = parsing.text(value, pointer)
    if not _is_client_order_id(found):
        raise InvalidInput("client_order_id_invalid", _CLIENT_ORDER_ID_RULE, pointer=pointer)
    return found


def _is_client_order_id(text: str) -> bool:
    return len(text) <= wire.MAX_CLIENT_ORDER_ID_CHARS and _CLIENT_ORDER_ID.fullmatch(text) is not None


def wallet_field(value: object, pointer: str) -> str:
    """A reader of wallets, which raises `wallet_invalid`."""
    if is_address(parsing.text(value, pointer)):
        return str(value)
    raise InvalidInput("wallet_invalid", "a wallet is the base58 address of 32 bytes", pointer=pointer)


def _pool_text(value: object, pointer: str) -> str:
    if is_address(parsing.text(value, pointer)):
        return str(value)
    raise InvalidInput("pool_invalid", "a pool is the base58 address of 32 bytes", pointer=pointer)


def _venue_text(value: object, pointer: str) -> str:
    found = parsing.text(value, pointer)
    if found in VENUES or any(venue.dex == found for venue in VENUES.values()):
        return found
    raise InvalidInput("venue_unknown", "no such venue or DEX", pointer=pointer)


def _time_ms(value: object, pointer: str) -> int:
    found = parsing.text(value, pointer)
    problem = InvalidInput("time_invalid", "a time is RFC 3339, such as 2030-01-31T12:00:00.000Z", pointer=pointer)
    if len(found) > MAX_TIME_CHARS or _TIME.fullmatch(found) is None:
        raise problem
    try:
        moment = datetime.fromisoformat(found.upper())
        since = moment - _EPOCH
    except (ValueError, OverflowError):
        raise problem from None
    milliseconds = since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000
    if not 0 <= milliseconds <= views.MAX_TIME_MS:
        raise problem
    return milliseconds


_venues = parsing.listed(_venue_text, wire.MAX_LISTED)
_pools = parsing.listed(_pool_text, wire.MAX_LISTED)

_QUOTE_FIELDS: dict[str, parsing.Read] = {
    "input": _token,
    "output": _token,
    "swap_mode": parsing.one_of(*SwapMode),
    "amount": _amount_text,
    "amount_units": _amount_text,
    "slippage_bps": _bps,
    "min_out": _amount_text,
    "max_in": _amount_text,
    "venues": _venues,
    "exclude_venues": _venues,
    "pools": _pools,
    "exclude_pools": _pools,
    "max_legs": parsing.bounded(1, wire.MAX_LEGS),
    "max_hops": parsing.bounded(1, wire.MAX_HOPS),
    "direct_only": parsing.flag,
    "fill_to_price": _amount_text,
}

_ORDER_FIELDS: dict[str, parsing.Read] = {
    **_QUOTE_FIELDS,
    "type": parsing.one_of(*OrderType),
    "client_order_id": _client_order_id,
    "wallet": wallet_field,
    "not_before": _time_ms,
    "priority": parsing.bounded(-wire.MAX_PRIORITY, wire.MAX_PRIORITY),
    "hold": parsing.flag,
}
