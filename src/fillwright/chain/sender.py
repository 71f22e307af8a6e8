"""Ways to hand a signed transaction to the network: plain RPC, a block engine's bundles, a tip-taking relay.

In: signed bytes, the same at every call. Out: nothing; returning does not mean that they landed.
Must not: change, sign or build anything. Interfaces: Solana `sendTransaction`; Jito `sendBundle`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import pybase64

from fillwright.chain.endpoint import EndpointState
from fillwright.chain.rpc import Rpc
from fillwright.domain.errors import AlreadyProcessed, ChainError

MAX_PENDING_SENDS = 1_024
"""Sends still under way after a first one was accepted; beyond it the slow ones are given up."""
_TO_NODE = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
_TO_RELAY = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}

JITO_TIP_ACCOUNTS = (
    "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
    "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
    "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY",
    "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
    "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh",
    "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
    "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL",
    "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
)
"""The block engine's own list; `getTipAccounts` tells the current one."""


class Sender(Protocol):
    """One way to the network."""

    name: str

    async def send(self, raw: bytes) -> None:
        """Raises ChainError; AlreadyProcessed where these bytes have landed before."""


class NodeSender:
    """`sendTransaction` to one node, without preflight and without its retries."""

    def __init__(self, rpc: Rpc, endpoint: EndpointState) -> None:
        self.name = endpoint.name
        self._rpc = rpc
        self._endpoint = endpoint

    async def send(self, raw: bytes) -> None:
        await self._rpc.ask_one(self._endpoint, "sendTransaction", [_base64(raw), _TO_NODE], str)


class BundleSender:
    """A bundle of this one transaction to a block engine. The transaction must pay one of its tip accounts."""

    def __init__(self, rpc: Rpc, endpoint: EndpointState) -> None:
        self.name = endpoint.name
        self._rpc = rpc
        self._endpoint = endpoint

    async def send(self, raw: bytes) -> None:
        await self._rpc.ask_one(self._endpoint, "sendBundle", [[_base64(raw)], {"encoding": "base64"}], str)


class RelaySender:
    """`sendTransaction` to a relay that forwards to the leader for a tip and insists on skipped preflight."""

    def __init__(self, rpc: Rpc, endpoint: EndpointState) -> None:
        self.name = endpoint.name
        self._rpc = rpc
        self._endpoint = endpoint

    async def send(self, raw: bytes) -> None:
        await self._rpc.ask_one(self._endpoint, "sendTransaction", [_base64(raw), _TO_RELAY], str)


class Senders:
    """Hands the same bytes to every sender at once."""

    def __init__(self, senders: Sequence[Sender]) -> None:
        if not senders:
            raise ValueError("at least one sender")
        self._senders = tuple(senders)
        self._pending: set[asyncio.Task[None]] = set()

    async def send(self, raw: bytes) -> None:
        """Return once one of them has accepted; the others go on by themselves.

        Raises AlreadyProcessed if one said so and none accepted; else, where all failed, what the first said.
        """
        tasks = [asyncio.create_task(sender.send(raw)) for sender in self._senders]
        try:
            problems = await _first_accepted(tasks)
        finally:
            self._keep(tasks)
        if problems:
            known = [problem for problem in problems if isinstance(problem, AlreadyProcessed)]
            raise (known or problems)[0]

    async def close(self) -> None:
        """Give up what is still under way."""
        pending = list(self._pending)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _keep(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            if task.done():
                self._forget(task)
                continue
            if len(self._pending) >= MAX_PENDING_SENDS:
                task.cancel()
            self._pending.add(task)
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        if not task.cancelled():
            task.exception()


async def _first_accepted(tasks: Sequence[asyncio.Task[None]]) -> list[ChainError]:
    """[] as soon as one task succeeded, else all their problems in the tasks' order."""
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is None:
                return []
            if not isinstance(task.exception(), ChainError):
                task.result()
    return [problem for task in tasks if isinstance(problem := task.exception(), ChainError)]


def _base64(raw: bytes) -> str:
    return pybase64.b64encode(raw).decode()
