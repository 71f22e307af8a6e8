"""A stand-in for a Solana RPC on loopback: it serves the accounts that it is given, and fails as it is told to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec
import pybase64
from aiohttp import web

from fillwright.domain.accounts import Account, Address, ChainClock

CLOCK_SYSVAR = Address("SysvarC1ock11111111111111111111111111111111")


def clock_account(clock: ChainClock) -> Account:
    """The Clock sysvar: slot, epoch start, epoch, next leader epoch, unix time."""
    numbers = (clock.slot, 0, clock.epoch, clock.epoch + 1)
    data = b"".join(number.to_bytes(8, "little") for number in numbers)
    data += clock.unix_timestamp.to_bytes(8, "little", signed=True)
    return Account(Address("Sysvar1111111111111111111111111111111111111"), data, 1)


class StandInNode:
    """Answers `getMultipleAccounts`. `failures`: what the next requests get instead, a status or an error object."""

    def __init__(self, accounts: Mapping[Address, Account], clock: ChainClock | None) -> None:
        self.accounts = dict(accounts)
        if clock is not None:
            self.accounts[CLOCK_SYSVAR] = clock_account(clock)
        self.failures: list[int | dict[str, Any]] = []
        self.asked: list[list[str]] = []
        self.slot = 7
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read())
        head = {"jsonrpc": "2.0", "id": body["id"]}
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, int):
                return web.Response(status=failure, text="no")
            return _json({**head, "error": failure})
        assert body["method"] == "getMultipleAccounts"
        keys, options = body["params"]
        assert options["encoding"] == "base64"
        if len(keys) > 100:
            return _json({**head, "error": {"code": -32602, "message": "Too many inputs provided; max 100"}})
        self.asked.append(keys)
        self.slot += 1
        values = [_render(self.accounts.get(key)) for key in keys]
        return _json({**head, "result": {"context": {"slot": self.slot}, "value": values}})


def _render(account: Account | None) -> object:
    if account is None:
        return None
    data = [pybase64.b64encode(account.data).decode(), "base64"]
    return {"lamports": max(account.lamports, 1), "owner": account.owner, "data": data, "executable": False}


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")
