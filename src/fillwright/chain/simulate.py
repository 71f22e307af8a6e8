"""simulateTransaction: a message in; whether it would revert, what it would move, how many units it takes, out.

Newer nodes answer with all balances before and after; for the others the wallet's accounts are read just
before, at the same commitment.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pybase64
from solders.errors import BincodeError
from solders.message import from_bytes_versioned
from solders.pubkey import Pubkey

from fillwright.chain.landed import Parsed, movements, parse, reserves_before
from fillwright.chain.lookup import LookupTables
from fillwright.chain.messages import AccountJson, InContext, Meta, SimulationJson, TokenBalance, UiAmount
from fillwright.chain.programs import TOKEN, TOKEN_2022
from fillwright.chain.reverts import explain
from fillwright.chain.rpc import Rpc
from fillwright.domain.errors import BlockhashNotFound, ChainError

_TOKEN_PROGRAMS = (str(TOKEN), str(TOKEN_2022))
_NO_SIGNATURE = b"\x01" + bytes(64)
_BASE_FEE_LAMPORTS = 5_000


class Outcome(msgspec.Struct, frozen=True):
    """`revert` "" for success. Amounts are the wallet's, as `landed.movements` tells them. `reserves`: what the other
    token accounts held before, by address; empty where the node does not tell."""

    revert: str
    detail: str
    amount_in: int
    amount_out: int
    units: int
    slot: int
    reserves: dict[str, int] = {}


class Simulator:
    """Runs unsigned messages of one wallet on a node, as the chain stands at `processed`."""

    def __init__(self, rpc: Rpc, tables: LookupTables) -> None:
        self._rpc = rpc
        self._tables = tables

    async def run(self, message: bytes) -> Outcome:
        """Raises BlockhashNotFound where the message's blockhash is unknown to the node, and ChainError."""
        raw = _NO_SIGNATURE + message
        parsed = parse(raw, await self._looked_up(message))
        own = self._own_accounts(parsed)
        options: dict[str, object] = {"encoding": "base64", "commitment": "processed", "sigVerify": False}
        options["accounts"] = {"encoding": "base64", "addresses": own}
        params = [pybase64.b64encode(raw).decode(), options]
        answer = await self._rpc.call("simulateTransaction", params, InContext[_Simulated])
        result = answer.value
        if result.err == "BlockhashNotFound":
            raise BlockhashNotFound("the node does not know the blockhash")
        revert, detail = explain(result.err, parsed.program_ids, result.logs or (), parsed.marker is not None)
        units = result.units_consumed or 0
        if revert:
            return Outcome(revert, detail, 0, 0, units, answer.context.slot)
        meta = _meta(result) or await self._meta_from_accounts(parsed, own, result)
        amount_in, amount_out, _ = movements(parsed, meta, parsed.tips_lamports())
        reserves = reserves_before(parsed, result.pre_token_balances)
        return Outcome("", "", amount_in, amount_out, units, answer.context.slot, reserves)

    async def _looked_up(self, message: bytes) -> list[str]:
        """The message's looked-up addresses, writable ones first. Raises ChainError."""
        try:
            lookups = getattr(from_bytes_versioned(message), "address_table_lookups", [])
            tables = await self._tables.of(lookups)
            held = [(lookup, table.addresses) for lookup, table in zip(lookups, tables, strict=True)]
            writable = [addresses[index] for lookup, addresses in held for index in lookup.writable_indexes]
            readonly = [addresses[index] for lookup, addresses in held for index in lookup.readonly_indexes]
        except (BincodeError, ValueError, IndexError) as error:
            raise ChainError("a message that can't be read", code="transaction_unreadable") from error
        return [str(address) for address in (*writable, *readonly)]

    def _own_accounts(self, parsed: Parsed) -> list[str]:
        """The wallet and every account of it that the transaction can change, in the order of the message."""
        own = {parsed.wallet, *(key for swap in parsed.swaps() for key in (swap.source, swap.destination))}
        if parsed.marker is not None:
            own.add(parsed.marker)
        return [str(key) for key in parsed.keys if key in own]

    async def _meta_from_accounts(self, parsed: Parsed, own: list[str], result: _Simulated) -> Meta:
        if result.accounts is None or len(result.accounts) != len(own):
            raise ChainError("the node tells no balances after a simulation", code="simulation_unusable")
        params = [own, {"encoding": "base64", "commitment": "processed"}]
        before = await self._rpc.call("getMultipleAccounts", params, InContext[list[AccountJson | None]])
        earlier = dict(zip(own, before.value, strict=True))
        later = dict(zip(own, result.accounts, strict=True))
        fee = _BASE_FEE_LAMPORTS if result.fee is None else result.fee
        return Meta(
            fee=fee,
            err=None,
            pre_balances=_lamports(parsed, earlier),
            # A simulation charges no fee on some versions; the swap's own movements are what counts here.
            post_balances=_lamports(parsed, later),
            pre_token_balances=_tokens(parsed, earlier),
            post_token_balances=_tokens(parsed, later),
        )


class _Simulated(SimulationJson, rename="camel"):
    accounts: list[AccountJson | None] | None = None


def _meta(result: SimulationJson) -> Meta | None:
    if result.pre_balances is None or result.post_balances is None or result.fee is None:
        return None
    return Meta(
        fee=result.fee,
        err=None,
        pre_balances=result.pre_balances,
        post_balances=result.post_balances,
        pre_token_balances=result.pre_token_balances,
        post_token_balances=result.post_token_balances,
    )


def _lamports(parsed: Parsed, accounts: Mapping[str, AccountJson | None]) -> tuple[int, ...]:
    held = (accounts.get(str(key)) for key in parsed.keys)
    return tuple(0 if account is None else account.lamports for account in held)


def _tokens(parsed: Parsed, accounts: Mapping[str, AccountJson | None]) -> tuple[TokenBalance, ...]:
    found = []
    for index, key in enumerate(parsed.keys):
        account = accounts.get(str(key))
        if account is not None and account.owner in _TOKEN_PROGRAMS and len(account.data[0]) >= 165:
            data = account.data[0]
            units = str(int.from_bytes(data[64:72], "little"))
            found.append(TokenBalance(index, str(Pubkey.from_bytes(data[:32])), UiAmount(units)))
    return tuple(found)
