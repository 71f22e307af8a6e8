"""A key at rest: Argon2id makes a key of the passphrase, AES-256-GCM seals the secret with it.

In: a SecretKey and a passphrase. Out: a file of mode 600; and back. The header is authenticated with the secret:
neither the wallet nor the costs can be changed unnoticed.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from solders.keypair import Keypair

from fillwright.chain.signer.secret import SecretKey
from fillwright.domain.errors import ConfigError

MIN_PASSPHRASE = 8
_KEY_BYTES, _SALT_BYTES, _NONCE_BYTES = 32, 16, 12
_MODE = 0o600
_MAX_KEYSTORE_BYTES = 8_192
MAX_MEMORY_KIB = 4 * 1024 * 1024
MAX_ITERATIONS = 100


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Argon2id's parameters; the defaults take about a quarter of a second (RFC 9106, second choice, doubled)."""

    memory_kib: int = 131_072
    iterations: int = 3
    lanes: int = 4


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    wallet: str
    kdf: str
    costs: Costs
    salt: bytes
    cipher: str
    nonce: bytes


class _Keystore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    header: _Header
    sealed: bytes


def save(path: Path, key: SecretKey, passphrase: str, costs: Costs | None = None) -> None:
    """Write a new keystore, whole or not at all. Raises ConfigError where one is there already, or the passphrase
    is shorter than MIN_PASSPHRASE."""
    if len(passphrase) < MIN_PASSPHRASE:
        raise ConfigError(f"a passphrase has at least {MIN_PASSPHRASE} characters")
    if path.exists():
        raise ConfigError(f"{path} exists: a keystore is never overwritten")
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    header = _Header(1, str(key.wallet), "argon2id", costs or Costs(), salt, "aes-256-gcm", nonce)
    sealed = AESGCM(_derive(passphrase, header)).encrypt(nonce, key.reveal(), msgspec.json.encode(header))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)  # of a start that was cut off; whatever it is, nothing is written into it
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(_Keystore(header, sealed))) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def load(path: Path, passphrase: str) -> SecretKey:
    """The key in a keystore. Raises ConfigError: missing, readable by others, damaged, or a wrong passphrase."""
    keystore = _read(path)
    header = keystore.header
    try:
        raw = AESGCM(_derive(passphrase, header)).decrypt(header.nonce, keystore.sealed, msgspec.json.encode(header))
        key = SecretKey(Keypair.from_bytes(raw))
    except (InvalidTag, ValueError):
        raise ConfigError(f"{path}: wrong passphrase, or the file is damaged") from None
    except MemoryError:
        raise ConfigError(f"{path} wants {header.costs.memory_kib} KiB of memory to be opened") from None
    if str(key.wallet) != header.wallet:
        raise ConfigError(f"{path}: the file is damaged")
    return key


def wallet_of(path: Path) -> str:
    """The wallet's address, without the passphrase. Raises ConfigError."""
    return _read(path).header.wallet


def _read(path: Path) -> _Keystore:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} can be read by others: chmod 600 it")
        if path.stat().st_size > _MAX_KEYSTORE_BYTES:
            raise ConfigError(f"{path} is no keystore")
        keystore = msgspec.json.decode(path.read_bytes(), type=_Keystore)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path} is no keystore: {type(error).__name__}") from None
    header, costs = keystore.header, keystore.header.costs
    known = header.version == 1 and header.kdf == "argon2id" and header.cipher == "aes-256-gcm"
    sane = 8 <= costs.memory_kib <= MAX_MEMORY_KIB and 1 <= costs.iterations <= MAX_ITERATIONS
    if not known or not sane or not 1 <= costs.lanes <= 64 or len(header.nonce) != _NONCE_BYTES:
        raise ConfigError(f"{path} is a keystore of a kind that this version does not read")
    return keystore


def _derive(passphrase: str, header: _Header) -> bytes:
    costs = header.costs
    kdf = Argon2id(
        salt=header.salt,
        length=_KEY_BYTES,
        iterations=costs.iterations,
        lanes=costs.lanes,
        memory_cost=costs.memory_kib,
    )
    return kdf.derive(passphrase.encode())
