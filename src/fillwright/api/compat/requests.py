"""Requests in any dialect -> OrderSpec: names looked up in the table, tokens resolved, amounts in base units.

In: a request's fields and its dialect. Out: a spec with the dialect and what its clients want to see again.
Raises InvalidInput, whose message is written for the dialect's own clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from fillwright.api.compat.dialects import D003, LIMIT_FIELD, Dialect
from fillwright.api.compat.numbers import number, units_of
from fillwright.api.services import Services
from fillwright.config import Mode
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import InvalidInput
from fillwright.domain.orders import OrderSpec, OrderType
from fillwright.domain.tokens import Token

ORDER_TYPES = frozenset({"market", "limit", "sniper"})
MIN_WALLET_CHARS, MAX_WALLET_CHARS = 3, 100
MAX_ECHOED_CHARS = 64
_BPS = 10_000

Fields = Mapping[str, object]


def spec_of(fields: Fields, dialect: Dialect, services: Services, account: str, *, hold: bool = False) -> OrderSpec:
    """The order that these fields ask for. Raises InvalidInput."""
    _check_type(fields, dialect)
    wallet = _wallet(fields, dialect, services)
    _check_present(fields, dialect)
    source, target = _tokens(fields, dialect, services)
    amount = _amount(fields, dialect, source)
    tolerance = _slippage(fields, dialect, services)
    limit = _limit(fields, target)
    return OrderSpec(
        account=account,
        wallet=wallet,
        type=OrderType.MARKET,
        input_mint=source.mint,
        output_mint=target.mint,
        mode=SwapMode.EXACT_IN,
        amount=amount,
        slippage_bps=min(int(tolerance * _BPS), services.settings.max_slippage_bps),
        limit=limit,
        hold=hold,
        max_legs=_max_legs(source, target, services),
        marker=services.settings.use_marker,
        dialect=dialect.id,
        dialect_fields=_echoes(fields, dialect, (source, target), tolerance),
    )


def _max_legs(source: Token, target: Token, services: Services) -> int | None:
    """One pool where a pool trades the pair: these clients are told one DEX, whose quote is what they get.

    Without such a pool, whatever way there is.
    """
    return 1 if services.market.current().of_pair(source.mint, target.mint) else None


def quote_spec(fields: Fields, services: Services, account: str) -> OrderSpec:
    """What 003's quote request would be as an order. Raises InvalidInput."""
    return spec_of(fields, D003, services, account)


def _check_present(fields: Fields, dialect: Dialect) -> None:
    named = (fields.get(dialect.input), fields.get(dialect.output), _amount_field(fields, dialect))
    if any(value is None or value == "" for value in named):
        raise InvalidInput("field_required", dialect.missing)


def _check_type(fields: Fields, dialect: Dialect) -> None:
    """Only market orders are executed. Where the dialect has the field, it must be there."""
    kind = fields.get("type")
    if kind is None:
        if dialect.needs_type:
            raise InvalidInput("field_required", dialect.missing, pointer="/type")
        return
    if not isinstance(kind, str) or kind.lower() not in ORDER_TYPES:
        raise InvalidInput("type_invalid", "type must be one of: market, limit, sniper", pointer="/type")
    if kind.lower() != "market":
        raise InvalidInput("type_unsupported", "Only MARKET orders are currently supported", pointer="/type")


def _wallet(fields: Fields, dialect: Dialect, services: Services) -> str:
    """The owner. In paper mode any label will do; elsewhere only the wallet whose key the engine holds."""
    if not dialect.needs_wallet:
        return services.wallet
    named = fields.get("userWallet")
    if named is None:
        raise InvalidInput("field_required", dialect.missing, pointer="/userWallet")
    wallet = named.strip() if isinstance(named, str) else ""
    if not MIN_WALLET_CHARS <= len(wallet) <= MAX_WALLET_CHARS:
        detail = f"userWallet must be a string of {MIN_WALLET_CHARS} to {MAX_WALLET_CHARS} characters"
        raise InvalidInput("wallet_invalid", detail, pointer="/userWallet")
    if wallet != services.wallet and services.settings.mode is not Mode.PAPER:
        raise InvalidInput("wallet_unknown", "This engine holds no key for userWallet", pointer="/userWallet")
    return wallet


def _tokens(fields: Fields, dialect: Dialect, services: Services) -> tuple[Token, Token]:
    source, target = (_token(fields, name, services) for name in (dialect.input, dialect.output))
    if source.mint == target.mint:
        raise InvalidInput("token_same", f"{dialect.input} and {dialect.output} must be different")
    return source, target


def _token(fields: Fields, name: str, services: Services) -> Token:
    text = fields[name]
    if not isinstance(text, str):
        raise InvalidInput("field_type", f"{name} must be a string", pointer=f"/{name}")
    try:
        return services.market.tokens.resolve(text.strip(), pointer=f"/{name}")
    except InvalidInput as error:
        raise InvalidInput(error.code, f"{name}: {error.message}", pointer=f"/{name}") from error


def _amount_field(fields: Fields, dialect: Dialect) -> object:
    return next((fields[name] for name in dialect.amount if name in fields), None)


def _amount(fields: Fields, dialect: Dialect, token: Token) -> int:
    """Base units. Digits beyond the token's decimals are dropped: never more is spent than was asked for."""
    exact = number(_amount_field(fields, dialect))
    name = next(name for name in dialect.amount if name in fields)
    if exact is None:
        raise InvalidInput("amount_format", f"{name} must be a finite number", pointer=f"/{name}")
    units = units_of(exact, token.decimals) if exact > 0 else 0
    if units <= 0:
        message = "inputAmount must be a number greater than 0" if dialect.needs_wallet else (
            "Amount must be greater than 0"
        )  # fmt: skip
        raise InvalidInput("amount_not_positive", message, pointer=f"/{name}")
    return units


def _slippage(fields: Fields, dialect: Dialect, services: Services) -> Decimal:
    """The tolerance as a fraction: the request's, the dialect's, or the engine's."""
    settings = services.settings
    if dialect.slippage and fields.get(dialect.slippage) is not None:
        asked = number(fields[dialect.slippage])
        if asked is None or not 0 <= asked <= 1:
            detail = f"{dialect.slippage} must be a number from 0 to 1"
            raise InvalidInput("slippage_out_of_range", detail, pointer=f"/{dialect.slippage}")
        return asked
    if dialect.default_slippage is not None:
        return dialect.default_slippage
    return Decimal(settings.default_slippage_bps) / _BPS


def _limit(fields: Fields, token: Token) -> int | None:
    """The least output to accept, rounded up; None where it is absent or zero, so that the tolerance holds."""
    if fields.get(LIMIT_FIELD) is None:
        return None
    asked = number(fields[LIMIT_FIELD])
    if asked is None or asked < 0:
        raise InvalidInput("limit_format", f"{LIMIT_FIELD} must be a number, not negative", pointer=f"/{LIMIT_FIELD}")
    return units_of(asked, token.decimals, round_up=True) or None


def _echoes(fields: Fields, dialect: Dialect, tokens: tuple[Token, Token], tolerance: Decimal) -> dict[str, str]:
    """What the clients get back as they sent it, and what the read-only views need to show amounts."""
    return {
        "input": str(fields[dialect.input]).strip()[:MAX_ECHOED_CHARS],
        "output": str(fields[dialect.output]).strip()[:MAX_ECHOED_CHARS],
        "slippage": format(tolerance, "f"),
        "input_decimals": str(tokens[0].decimals),
        "output_decimals": str(tokens[1].decimals),
    }
