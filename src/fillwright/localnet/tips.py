"""Stand-ins for two services that land transactions for a tip: a block engine that takes bundles, and a relay.

In: their JSON-RPC calls, as their operators document them (Jito `sendBundle`, `getTipAccounts`; a relay's
`sendTransaction` with `skipPreflight` and `maxRetries` 0). Out: transactions on the local chain, or an RpcFault.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pybase64
from solders.system_program import ID as SYSTEM_PROGRAM

from fillwright.localnet.chain import LocalChain, Rejected
from fillwright.localnet.methods import INVALID_PARAMS, RpcFault

TIP_ACCOUNTS = (
    "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
    "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
    "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY",
    "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
    "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh",
    "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
    "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL",
    "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
)
MAX_BUNDLE = 5
MIN_BUNDLE_TIP = 1_000
MIN_RELAY_TIP = 200_000
"""In lamports."""
_TRANSFER = (2).to_bytes(4, "little")


def block_engine(chain: LocalChain, method: str, params: list[Any]) -> Any:
    """One call to the block engine. Raises RpcFault."""
    if method == "getTipAccounts":
        return list(TIP_ACCOUNTS)
    if method != "sendBundle":
        raise RpcFault(-32601, "Method not found")
    raws = [_decoded(each, params[1:]) for each in _listed(params)]
    if not 0 < len(raws) <= MAX_BUNDLE:
        raise RpcFault(INVALID_PARAMS, f"a bundle holds 1 to {MAX_BUNDLE} transactions")
    if not any(tip_lamports(chain, raw) for raw in raws):
        text = "Bundles must write lock at least one tip account to be eligible for the auction."
        raise RpcFault(INVALID_PARAMS, text)
    for raw in raws if sum(tip_lamports(chain, raw) for raw in raws) >= MIN_BUNDLE_TIP else ():
        # A bundle with too small a tip is taken, and never lands.
        _take(chain, raw)
    return hashlib.sha256(b"".join(raws)).hexdigest()


def relay(chain: LocalChain, method: str, params: list[Any]) -> Any:
    """One call to the relay. Raises RpcFault."""
    if method != "sendTransaction":
        raise RpcFault(-32601, "Method not found")
    options = params[1] if len(params) > 1 and isinstance(params[1], dict) else {}
    if options.get("skipPreflight") is not True or options.get("maxRetries") != 0:
        raise RpcFault(INVALID_PARAMS, "skipPreflight must be true and maxRetries 0")
    raw = _decoded(params[0] if params else None, params[1:])
    if tip_lamports(chain, raw) < MIN_RELAY_TIP:
        raise RpcFault(INVALID_PARAMS, f"a tip of at least {MIN_RELAY_TIP} lamports to a tip account is needed")
    return _take(chain, raw)


def tip_lamports(chain: LocalChain, raw: bytes) -> int:
    """What a transaction pays to tip accounts. Raises RpcFault where it can't be read."""
    try:
        message = chain.check(raw).message
    except Rejected as error:
        raise RpcFault(INVALID_PARAMS, error.message) from error
    keys, paid = message.account_keys, 0
    for part in message.instructions:
        data, accounts = bytes(part.data), bytes(part.accounts)
        if keys[part.program_id_index] != SYSTEM_PROGRAM or data[:4] != _TRANSFER or len(accounts) != 2:
            continue
        if accounts[1] < len(keys) and str(keys[accounts[1]]) in TIP_ACCOUNTS:
            paid += int.from_bytes(data[4:12], "little")
    return paid


def _take(chain: LocalChain, raw: bytes) -> str:
    try:
        return chain.send(raw)
    except Rejected as error:
        raise RpcFault(INVALID_PARAMS, error.message) from error


def _listed(params: list[Any]) -> list[Any]:
    if not params or not isinstance(params[0], list):
        raise RpcFault(INVALID_PARAMS, "expected a list of transactions")
    return params[0]


def _decoded(text: Any, rest: list[Any]) -> bytes:
    encoding = rest[0].get("encoding", "base58") if rest and isinstance(rest[0], dict) else "base58"
    if encoding != "base64" or not isinstance(text, str):
        raise RpcFault(INVALID_PARAMS, "only base64 is spoken here")
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError as error:
        raise RpcFault(INVALID_PARAMS, "not base64") from error
