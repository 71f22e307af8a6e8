"""A signer for paper mode: an ed25519 key of no value, kept in a file or derived from the seed.

In: messages. Out: signed transactions. Must not: be used where money moves; the key file is protected by its
permissions alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from solders.keypair import Keypair

from fillwright.domain.errors import ConfigError
from fillwright.domain.transactions import Signed, SwapPlan

_ONE_SIGNATURE = b"\x01"
_KEY_MODE = 0o600
MAX_REMEMBERED = 2_048
"""Signed transactions that are known again when they reach the chain."""


class PaperSigner:
    """Implements `ports.Signer`."""

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair
        self._wallet = str(keypair.pubkey())
        self._signed: dict[bytes, None] = {}

    @classmethod
    def from_seed(cls, seed: int) -> PaperSigner:
        """The same key for the same seed, known to everyone."""
        digest = hashlib.blake2b(f"fillwright paper wallet {seed}".encode(), digest_size=32).digest()
        return cls(Keypair.from_seed(digest))

    @classmethod
    def from_file(cls, path: Path) -> PaperSigner:
        """The key in `path` (a JSON array of 64 bytes, as solana-keygen writes it), made there if it is missing.

        Raises ConfigError where the file holds no key or others can read it.
        """
        try:
            if not path.exists():
                _create(path, Keypair())
            if path.stat().st_mode & 0o077:
                raise ConfigError(f"{path} can be read by others: chmod 600 it")
            return cls(Keypair.from_bytes(bytes(json.loads(path.read_text()))))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{path} holds no usable key: {error}") from error

    @property
    def wallet(self) -> str:
        return self._wallet

    async def sign(self, message: bytes, plan: SwapPlan | None = None) -> Signed:
        signature = self._keypair.sign_message(message)
        raw = _ONE_SIGNATURE + bytes(signature) + message
        if len(self._signed) >= MAX_REMEMBERED:
            del self._signed[next(iter(self._signed))]
        self._signed[raw] = None
        return Signed(str(signature), raw)

    def has_signed(self, raw: bytes) -> bool:
        """Whether these very bytes are known to come from here: their signature need not be verified. False proves
        nothing."""
        return raw in self._signed


def _create(path: Path, keypair: Keypair) -> None:
    """Write the key whole or not at all: a file that exists holds one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _KEY_MODE)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(list(bytes(keypair))))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
