"""Every error that Fillwright raises on purpose.

    FillwrightError
    ├── InvalidInput                a request that can never succeed as written (HTTP 400, 413, 415, 422)
    ├── NotFound                    no such thing, or someone else's (404)
    ├── Conflict                    the request contradicts what is stored (409)
    │   ├── IdempotencyMismatch     a client order id came again with another body
    │   ├── NotCancellable          the order is past the point of no return
    │   └── IllegalTransition       an event that the order's status does not allow
    ├── Unauthorized                no key, or not with this scope (401, 403)
    ├── RateLimited                 too many requests (429)
    ├── Unavailable                 a part is down or overloaded; nothing was done (503)
    ├── StoreError
    │   ├── StaleLease              the writer no longer owns the order: stop at once
    │   └── VersionConflict         someone else moved the order first
    ├── ChainError                  the chain's answer is missing or unusable: the outcome is *unknown*
    │   ├── AlreadyProcessed        these very bytes have landed before
    │   ├── BlockhashNotFound       too old or too new; never means "did not land"
    │   ├── SimulationFailed        the transaction would revert as the chain stands
    │   └── SignerRefused           the signer would not sign it: nothing was sent
    ├── QuoteRefused                a pool can't price this swap; `reason` says why
    ├── PoolRefused                 an account is no pool that can be priced; `reason` says why
    └── ConfigError                 a setting is missing or contradictory; refuse to start

Each class has a stable `code`, and says whether trying again can help (`retryable`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class FillwrightError(Exception):
    """Root of the tree. `code` is stable and public; the message is for people and may change."""

    code: str = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InvalidInput(FillwrightError):
    """A request that can never succeed as written. `pointer` is a JSON pointer to the culprit."""

    code = "invalid_input"

    def __init__(self, code: str, message: str, *, pointer: str = "", status: int = 422) -> None:
        super().__init__(message, code=code)
        self.pointer = pointer
        self.status = status


class NotFound(FillwrightError):
    code = "not_found"


class Conflict(FillwrightError):
    code = "conflict"


class IdempotencyMismatch(Conflict):
    code = "idempotency_mismatch"


class NotCancellable(Conflict):
    code = "not_cancellable"


class IllegalTransition(Conflict):
    code = "illegal_transition"


class Unauthorized(FillwrightError):
    code = "unauthorized"


class RateLimited(FillwrightError):
    code = "rate_limited"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(FillwrightError):
    code = "unavailable"
    retryable = True

    def __init__(self, message: str, *, code: str | None = None, retry_after_s: float = 1.0) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class StoreError(FillwrightError):
    code = "store_error"


class StaleLease(StoreError):
    code = "stale_lease"


class VersionConflict(StoreError):
    code = "version_conflict"


class ChainError(FillwrightError):
    """The chain did not answer usably. What was sent may or may not land: *unknown* is not *failed*."""

    code = "chain_unknown"
    retryable = True


class AlreadyProcessed(ChainError):
    code = "already_processed"


class BlockhashNotFound(ChainError):
    code = "blockhash_not_found"


class SimulationFailed(ChainError):
    """`reason` is a `RevertReason` value; see `domain.lifecycle`."""

    code = "simulation_failed"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class SignerRefused(ChainError):
    """The signer did not sign: the message does more than the order, or its policy or kill switch forbids it.

    `code` is `signer_refused`, `signer_halted` or `signer_unavailable`; only a refusal is final.
    """

    code = "signer_refused"


class Refusal(StrEnum):
    """Why a pool can't be priced, or a swap can't be quoted. Values are public."""

    PAUSED = "paused"
    NOT_OPEN = "not_open"
    CLOSED = "closed"
    LIQUIDITY_EXHAUSTED = "liquidity_exhausted"
    MISSING_ACCOUNT = "missing_account"
    UNSUPPORTED_FEATURE = "unsupported_feature"
    UNSUPPORTED_MODE = "unsupported_mode"
    AMOUNT_TOO_SMALL = "amount_too_small"
    AMOUNT_TOO_LARGE = "amount_too_large"
    ARITHMETIC = "arithmetic"
    MALFORMED = "malformed"
    NOT_IN_POOL = "not_in_pool"
    STALE = "stale"


class PoolRefused(FillwrightError):
    """An account is no pool that can be priced. Raised by a venue's `decode`."""

    code = "pool_refused"

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class QuoteRefused(FillwrightError):
    """The program would refuse this swap, or its outcome can't be proven from the accounts at hand."""

    code = "quote_refused"

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ConfigError(FillwrightError):
    code = "config_error"
