"""The JSON-RPC methods of the local node: parameters in, results out, or an RpcFault.

Faults that concern single answers (lost replies, lagging and false nulls) are applied here; those of the
connection in `server`.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Any

import pybase64
from solders.pubkey import Pubkey
from solders.transaction_metadata import TransactionMetadata

from fillwright.localnet.chain import HEIGHT_BEHIND_SLOT, Landed, LocalChain, Rejected
from fillwright.localnet.faults import Fault
from fillwright.localnet.render import TOKEN_PROGRAMS, account_json

MAX_KEYS = 100
MAX_SIGNATURES = 256
MAX_HISTORY = 1_000
STATUS_CACHE_SLOTS = 300
"""How far back a status is known without a search of the history."""
VERSION = {"solana-core": "3.0.0-fillwright", "feature-set": 0}
INVALID_PARAMS = -32602
PREFLIGHT = -32002
MIN_CONTEXT = -32016
_TOKEN_ACCOUNT_BYTES = 165


class RpcFault(Exception):
    """An error object of JSON-RPC."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class LostReply(Exception):
    """What was asked has been done, but the asker is not to hear of it."""


class Methods:
    """`call` dispatches by name to the functions below."""

    def __init__(self, chain: LocalChain) -> None:
        self._chain = chain
        self._by_name: dict[str, Callable[[list[Any]], Any]] = {
            "getHealth": lambda _: "ok",
            "getVersion": lambda _: VERSION,
            "getGenesisHash": lambda _: chain.genesis_hash,
            "getSlot": lambda p: chain.slot_at(_commitment(_options(p, 0))),
            "getBlockHeight": lambda p: chain.height_at(_commitment(_options(p, 0))),
            "getEpochInfo": self._epoch_info,
            "getLatestBlockhash": self._latest_blockhash,
            "isBlockhashValid": lambda p: self._in_context(_options(p, 1), chain.is_blockhash_valid(_text(p, 0))),
            "getMinimumBalanceForRentExemption": lambda p: chain.svm.minimum_balance_for_rent_exemption(p[0]),
            "getBalance": self._balance,
            "getAccountInfo": self._account_info,
            "getMultipleAccounts": self._multiple_accounts,
            "getProgramAccounts": self._program_accounts,
            "getTokenAccountBalance": self._token_balance,
            "getRecentPrioritizationFees": lambda _: [{"slot": chain.slot, "prioritizationFee": 0}],
            "sendTransaction": self._send,
            "simulateTransaction": self._simulate,
            "getSignatureStatuses": self._statuses,
            "getTransaction": self._transaction,
            "getSignaturesForAddress": self._history,
            "requestAirdrop": self._airdrop,
        }

    def call(self, method: str, params: list[Any]) -> Any:
        """Raises RpcFault, LostReply."""
        found = self._by_name.get(method)
        if found is None:
            raise RpcFault(-32601, "Method not found")
        try:
            return found(params)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise RpcFault(INVALID_PARAMS, f"Invalid params: {error}") from error

    def _in_context(self, options: dict[str, Any], value: Any) -> dict[str, Any]:
        return {"context": {"slot": self._context(options), "apiVersion": "3.0.0"}, "value": value}

    def _context(self, options: dict[str, Any]) -> int:
        slot = self._chain.slot_at(_commitment(options))
        if slot < options.get("minContextSlot", 0):
            raise RpcFault(MIN_CONTEXT, "Minimum context slot has not been reached", {"contextSlot": slot})
        return slot

    def _epoch_info(self, params: list[Any]) -> Any:
        options = _options(params, 0)
        slot = self._context(options)
        return {
            "absoluteSlot": slot,
            "blockHeight": slot - HEIGHT_BEHIND_SLOT,
            "epoch": self._chain.epoch,
            "slotIndex": slot % 432_000,
            "slotsInEpoch": 432_000,
            "transactionCount": len(self._chain.ledger),
        }

    def _latest_blockhash(self, params: list[Any]) -> Any:
        options = _options(params, 0)
        value, last = self._chain.blockhash(_commitment(options))
        return self._in_context(options, {"blockhash": value, "lastValidBlockHeight": last})

    def _balance(self, params: list[Any]) -> Any:
        options = _options(params, 1)
        account = self._chain.account(_key(params, 0), _commitment(options))
        return self._in_context(options, 0 if account is None else account.lamports)

    def _account_info(self, params: list[Any]) -> Any:
        options = _options(params, 1)
        account = self._chain.account(_key(params, 0), _commitment(options))
        return self._in_context(options, account_json(account, options.get("dataSlice")))

    def _multiple_accounts(self, params: list[Any]) -> Any:
        options = _options(params, 1)
        if len(params[0]) > MAX_KEYS:
            raise RpcFault(INVALID_PARAMS, f"Too many inputs provided; max {MAX_KEYS}")
        found = [self._chain.account(_key(params[0], i), _commitment(options)) for i in range(len(params[0]))]
        return self._in_context(options, [account_json(account, options.get("dataSlice")) for account in found])

    def _program_accounts(self, params: list[Any]) -> Any:
        options = _options(params, 1)
        held = self._chain.svm.get_program_accounts(Pubkey.from_string(params[0]))
        found = [
            {"pubkey": str(key), "account": account_json(account, options.get("dataSlice"))}
            for key, account in held
            if all(_matches(bytes(account.data), each) for each in options.get("filters", ()))
        ]
        return self._in_context(options, found) if options.get("withContext") else found

    def _token_balance(self, params: list[Any]) -> Any:
        options = _options(params, 1)
        account = self._chain.account(_key(params, 0), _commitment(options))
        if account is None:
            raise RpcFault(INVALID_PARAMS, "Invalid param: could not find account")
        data = bytes(account.data)
        if str(account.owner) not in TOKEN_PROGRAMS or len(data) < _TOKEN_ACCOUNT_BYTES:
            raise RpcFault(INVALID_PARAMS, "Invalid param: not a Token account")
        units = int.from_bytes(data[64:72], "little")
        places = self._chain.decimals.get(str(Pubkey.from_bytes(data[:32])), 0)
        value = {"amount": str(units), "decimals": places, "uiAmountString": str(units / 10**places)}
        return self._in_context(options, value)

    def _send(self, params: list[Any]) -> str:
        options = _options(params, 1)
        raw = _decode(params[0], options.get("encoding", "base58"))
        if not options.get("skipPreflight", False):
            error, meta = self._try(raw, replace_blockhash=False)
            if error is not None:
                text = f"Transaction simulation failed: {_sentence(error)}"
                raise RpcFault(PREFLIGHT, text, {"err": error, "logs": meta["logs"]})
        else:
            self._refuse_spent(raw)
        signature = self._take(raw)
        if self._chain.dice.happens(Fault.LOST_REPLY):
            raise LostReply
        return signature

    def _refuse_spent(self, raw: bytes) -> None:
        """Tell of bytes that can't land any more: not every node does so without preflight, but some do."""
        try:
            transaction = self._chain.check(raw)
        except Rejected as error:
            raise RpcFault(INVALID_PARAMS, error.message) from error
        if not self._chain.is_blockhash_valid(str(transaction.message.recent_blockhash)):
            raise RpcFault(
                PREFLIGHT, "Transaction simulation failed: Blockhash not found", {"err": "BlockhashNotFound"}
            )
        if str(transaction.signatures[0]) in self._chain.ledger:
            raise RpcFault(PREFLIGHT, "This transaction has already been processed", {"err": "AlreadyProcessed"})

    def _take(self, raw: bytes) -> str:
        try:
            return self._chain.send(raw)
        except Rejected as error:
            code = -32003 if error.error == "SignatureFailure" else INVALID_PARAMS
            raise RpcFault(code, error.message) from error

    def _try(self, raw: bytes, *, replace_blockhash: bool) -> tuple[Any, dict[str, Any]]:
        try:
            return self._chain.simulate(raw, replace_blockhash)
        except Rejected as error:
            raise RpcFault(INVALID_PARAMS, error.message) from error

    def _simulate(self, params: list[Any]) -> Any:
        options = _options(params, 1)
        raw = _decode(params[0], options.get("encoding", "base58"))
        error, meta = self._try(raw, replace_blockhash=bool(options.get("replaceRecentBlockhash")))
        wanted = options.get("accounts")
        accounts = None
        if wanted is not None:
            posts = meta.get("postAccounts", {})
            accounts = [None if error else account_json(posts.get(key)) for key in wanted["addresses"]]
        keep = ("logs", "unitsConsumed", "fee", "preBalances", "postBalances", "preTokenBalances", "postTokenBalances")
        value = {"err": error, "accounts": accounts, "returnData": None, **{key: meta.get(key) for key in keep}}
        return self._in_context({**options, "commitment": options.get("commitment", "processed")}, value)

    def _statuses(self, params: list[Any]) -> Any:
        options = _options(params, 1)
        if len(params[0]) > MAX_SIGNATURES:
            raise RpcFault(INVALID_PARAMS, f"Too many inputs provided; max {MAX_SIGNATURES}")
        history = bool(options.get("searchTransactionHistory"))
        return self._in_context({"commitment": "processed"}, [self._status(text, history) for text in params[0]])

    def _status(self, signature: str, history: bool) -> Any:
        chain = self._chain
        landed = chain.ledger.get(signature)
        if landed is None or chain.slot < landed.slot + chain.dice.faults.status_lag_slots:
            return None
        if chain.dice.happens(Fault.FALSE_NULL) or (not history and landed.slot < chain.slot - STATUS_CACHE_SLOTS):
            return None
        commitment = self._commitment_of(landed)
        return {
            "slot": landed.slot,
            "confirmations": None if commitment == "finalized" else chain.slot - landed.slot,
            "err": landed.error,
            "status": landed.meta["status"],
            "confirmationStatus": commitment,
        }

    def _transaction(self, params: list[Any]) -> Any:
        options = _options(params, 1)
        landed = self._chain.ledger.get(_text(params, 0))
        if landed is None or landed.slot > self._chain.slot_at(_commitment(options)):
            return None
        return {
            "slot": landed.slot,
            "blockTime": landed.block_time_s,
            "transaction": [pybase64.b64encode(landed.raw).decode(), "base64"],
            "meta": landed.meta,
            "version": 0,
        }

    def _history(self, params: list[Any]) -> Any:
        options = _options(params, 1)
        newest = self._context(options)
        found: list[dict[str, Any]] = []
        skip = options.get("before")
        for signature in reversed(self._chain.by_address.get(_key(params, 0), ())):
            landed = self._chain.ledger[signature]
            if skip is not None:
                skip = None if signature == skip else skip
                continue
            if signature == options.get("until") or len(found) >= min(options.get("limit", MAX_HISTORY), MAX_HISTORY):
                break
            if landed.slot <= newest:
                found.append(
                    {
                        "signature": signature,
                        "slot": landed.slot,
                        "err": landed.error,
                        "memo": None,
                        "blockTime": landed.block_time_s,
                        "confirmationStatus": self._commitment_of(landed),
                    }
                )
        return found

    def _airdrop(self, params: list[Any]) -> str:
        outcome = self._chain.svm.airdrop(Pubkey.from_string(params[0]), params[1])
        if not isinstance(outcome, TransactionMetadata):
            raise RpcFault(INVALID_PARAMS, "the airdrop failed")
        return str(outcome.signature())

    def _commitment_of(self, landed: Landed) -> str:
        for commitment in ("finalized", "confirmed"):
            if landed.slot <= self._chain.slot_at(commitment):
                return commitment
        return "processed"


def _options(params: list[Any], index: int) -> dict[str, Any]:
    options = params[index] if len(params) > index else None
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise TypeError("expected an object of options")
    return options


def _commitment(options: dict[str, Any]) -> str:
    commitment = options.get("commitment", "finalized")
    if commitment not in ("processed", "confirmed", "finalized"):
        raise ValueError(f"unknown commitment {commitment}")
    return str(commitment)


def _text(params: list[Any], index: int) -> str:
    if not isinstance(params[index], str):
        raise TypeError("expected a string")
    return str(params[index])


def _key(params: list[Any], index: int) -> str:
    return str(Pubkey.from_string(_text(params, index)))


def _decode(text: str, encoding: str) -> bytes:
    if encoding == "base64":
        try:
            return pybase64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError("not base64") from error
    raise ValueError(f"encoding {encoding} is not spoken here: use base64")


def _matches(data: bytes, wanted: dict[str, Any]) -> bool:
    if "dataSize" in wanted:
        return bool(len(data) == wanted["dataSize"])
    part = wanted["memcmp"]
    raw = (
        _decode(part["bytes"], "base64")
        if part.get("encoding") == "base64"
        else bytes(Pubkey.from_string(part["bytes"]))
    )
    return data[part["offset"] : part["offset"] + len(raw)] == raw


def _sentence(error: Any) -> str:
    return "Blockhash not found" if error == "BlockhashNotFound" else str(error)
