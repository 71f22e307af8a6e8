"""How the dialects differ: field names, defaults, labels, spellings. One table; nothing else names a dialect's
words.

In: a request's body, header and setting. Out: the dialect it is in. Must not: read orders or answer anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from fillwright.config import Settings
from fillwright.domain.errors import InvalidInput
from fillwright.domain.orders import OrderStatus

DIALECT_HEADER = "x-compat-dialect"


class Dialect(msgspec.Struct, frozen=True):
    """One dialect. `amount` lists the amount's names, the usual one first.

    `slippage`: name and default of the tolerance, a fraction; "" where the dialect has none, and None where the
    engine's own default holds. `labels`: DEX -> its label. `created_status`: HTTP status of an accepted order.
    `has_envelope`: answers stand in {success, data} or {success, error}.
    """

    id: str
    input: str
    output: str
    amount: tuple[str, ...]
    labels: Mapping[str, str]
    missing: str
    created_status: int = 200
    slippage: str = ""
    default_slippage: Decimal | None = None
    needs_type: bool = False
    needs_wallet: bool = False
    upper_case: bool = False
    has_envelope: bool = False
    list_limit: int = 50
    max_list_limit: int = 1_000

    def label(self, dex: str) -> str:
        """The name under which the dialect's clients know a DEX."""
        return self.labels.get(dex, dex)

    def spell(self, status: str) -> str:
        """A step's name as it goes over the wire."""
        return status.upper() if self.upper_case else status


_LOWER = {"raydium": "raydium", "meteora": "meteora"}
_TITLE = {"raydium": "Raydium", "meteora": "Meteora"}

D000 = Dialect(
    id="000",
    input="inputToken",
    output="outputToken",
    amount=("amount",),
    labels={"raydium": "RAYDIUM", "meteora": "METEORA"},
    missing="Missing required fields",
    default_slippage=Decimal("0.005"),
    upper_case=True,
)
D001 = Dialect(
    id="001",
    input="tokenIn",
    output="tokenOut",
    amount=("amountIn", "amount"),
    labels=_LOWER,
    missing="Missing required fields: tokenIn, tokenOut, amountIn",
)
D002 = Dialect(
    id="002",
    input="tokenIn",
    output="tokenOut",
    amount=("amountIn",),
    labels=_LOWER,
    missing="Missing required fields: type, tokenIn, tokenOut, amountIn",
    created_status=201,
    slippage="slippage",
    default_slippage=Decimal("0.01"),
    needs_type=True,
    list_limit=100,
)
D003 = Dialect(
    id="003",
    input="tokenIn",
    output="tokenOut",
    amount=("amount",),
    # "Meteor" is what its clients were shown.
    labels={"raydium": "Raydium", "meteora": "Meteor"},
    missing="Missing required fields: tokenIn, tokenOut, amount",
    slippage="maxSlippage",
    default_slippage=Decimal("0.05"),
    max_list_limit=100,
)
D004 = Dialect(
    id="004",
    input="inputToken",
    output="outputToken",
    amount=("inputAmount",),
    labels=_TITLE,
    missing="Missing required fields: userWallet, inputToken, outputToken, inputAmount",
    created_status=201,
    needs_wallet=True,
    has_envelope=True,
    max_list_limit=100,
)

DIALECTS: dict[str, Dialect] = {dialect.id: dialect for dialect in (D000, D001, D002, D003, D004)}

LIMIT_FIELD = "minAmountOut"
"""An absolute bound on the output: 001's own, honoured wherever it is sent."""

STEPS: dict[OrderStatus, str] = {
    OrderStatus.WAITING: "pending",
    OrderStatus.PENDING: "pending",
    OrderStatus.ROUTING: "routing",
    OrderStatus.BUILDING: "building",
    OrderStatus.SUBMITTED: "submitted",
    OrderStatus.CONFIRMED: "confirmed",
    OrderStatus.FAILED: "failed",
    OrderStatus.CANCELLED: "failed",
    OrderStatus.EXPIRED: "failed",
    OrderStatus.NEEDS_REVIEW: "failed",
}
"""The six steps that every dialect knows."""

MESSAGES_003: dict[str, str] = {
    "pending": "Order received and queued",
    "routing": "Comparing DEX prices",
    "building": "Creating transaction",
    "submitted": "Transaction sent to network",
    "confirmed": "Transaction confirmed",
    "failed": "Order execution failed",
}


def statuses_of(step: str) -> tuple[OrderStatus, ...]:
    """The canonical statuses behind a step's name in any spelling; none for an unknown name."""
    wanted = step.strip().lower()
    return tuple(status for status, name in STEPS.items() if name == wanted)


def forced(headers: Mapping[str, str]) -> Dialect | None:
    """The dialect that the request's header asks for. Raises InvalidInput `dialect_unknown`."""
    name = headers.get(DIALECT_HEADER, "").strip()
    if not name:
        return None
    if name not in DIALECTS:
        raise InvalidInput("dialect_unknown", f"X-Compat-Dialect is one of {', '.join(DIALECTS)}", status=400)
    return DIALECTS[name]


def preferred(settings: Settings) -> Dialect | None:
    """The dialect that the setting names."""
    return DIALECTS.get(settings.compat_default_dialect)


def recognise(fields: Mapping[str, object], headers: Mapping[str, str], settings: Settings) -> Dialect | None:
    """The dialect of a request: by its header, by the setting where the fields fit, by the fields.

    None where nothing tells. Raises InvalidInput `dialect_unknown`.
    """
    asked = forced(headers)
    if asked is not None:
        return asked
    setting = preferred(settings)
    if setting is not None and _fits(fields, setting):
        return setting
    return _by_fields(fields) or setting


def _fits(fields: Mapping[str, object], dialect: Dialect) -> bool:
    """Whether the fields could be this dialect's: its tokens' and amount's names, and nobody else's."""
    if dialect.needs_wallet:
        return "userWallet" in fields or "inputAmount" in fields
    if "userWallet" in fields or "inputAmount" in fields:
        return False
    return dialect.input in fields and any(name in fields for name in dialect.amount)


def _by_fields(fields: Mapping[str, object]) -> Dialect | None:
    if "userWallet" in fields or "inputAmount" in fields:
        return D004
    if "inputToken" in fields or "outputToken" in fields:
        return D000
    if "amountIn" in fields or LIMIT_FIELD in fields:
        return D002 if "type" in fields and "amountIn" in fields else D001
    if "tokenIn" in fields or "tokenOut" in fields or "maxSlippage" in fields:
        return D003
    return None
