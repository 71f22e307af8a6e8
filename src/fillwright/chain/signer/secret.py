"""Key material, in and out: parsing, a wrapper that never shows it, and a filter that keeps it out of logs.

In: a key as a JSON array of 64 bytes, as base58, or as a file with either. Out: a SecretKey.
Must not: let any error, repr or log line contain what was parsed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import msgspec
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from fillwright.chain.signer.harden import take_variable
from fillwright.config import Mode
from fillwright.domain.errors import ConfigError

PRIVATE_KEY = "PRIVATE_KEY"
"""The environment variable that earlier engines read their key from."""
REDACTED = "[redacted]"
MAX_KEY_FILE_BYTES = 4_096
_KEY_BYTES = 64
_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{80,90}", re.ASCII)
_ARRAY = re.compile(r"\[\s*(?:\d{1,3}\s*,\s*){31,63}\d{1,3}\s*\]", re.ASCII)
_LONG_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{60,}", re.ASCII)
_NUMBERS = re.compile(r"(?:\d{1,3}\s*,\s*){15,}\d{1,3}", re.ASCII)
_LONG_HEX = re.compile(r"[0-9a-fA-F]{60,}", re.ASCII)
_HEX = re.compile(r"\b[0-9a-fA-F]{128}\b", re.ASCII)


class SecretKey:
    """A keypair that can't be printed, pickled or compared; it only signs."""

    __slots__ = ("_keypair",)

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair

    @property
    def wallet(self) -> Pubkey:
        return self._keypair.pubkey()

    def sign(self, message: bytes) -> bytes:
        return bytes(self._keypair.sign_message(message))

    def derive(self, purpose: str) -> bytes:
        """32 bytes that only this key gives for `purpose`, and that tell nothing about it: HMAC-SHA256."""
        return hmac.new(bytes(self._keypair), purpose.encode(), hashlib.sha256).digest()

    def reveal(self) -> bytes:
        """The 64 secret bytes, for the keystore alone."""
        return bytes(self._keypair)

    def __repr__(self) -> str:
        return f"SecretKey({self.wallet}, {REDACTED})"

    def __reduce__(self) -> Any:
        raise TypeError("a secret key is not to be copied")


def parse_key(text: str) -> SecretKey:
    """A key as a JSON array of 64 bytes or as base58. Raises ConfigError, which shows nothing of it."""
    stripped = text.strip()
    try:
        if stripped.startswith("["):
            raw = bytes(msgspec.json.decode(stripped.encode(), type=list[int]))
        else:
            return SecretKey(Keypair.from_base58_string(stripped))
        return SecretKey(Keypair.from_bytes(raw))
    except (ValueError, msgspec.MsgspecError, OverflowError):
        pass
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
    raise ConfigError("not a key: expected a JSON array of 64 bytes or a base58 string") from None


def read_key(path: Path) -> SecretKey:
    """The key in a file. Raises ConfigError where it holds none, or others may read it; it names the file, unless that
    name looks like a key that was given in its place."""
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} can be read by others: chmod 600 it")
        if path.stat().st_size > MAX_KEY_FILE_BYTES:
            raise ConfigError(f"{path} is too large for a key")
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        if looks_secret(str(path)):
            text = "a key is not given as an argument, where others see it: give a file that holds it, or -"
            raise ConfigError(text) from None
        raise ConfigError(f"{path} can't be read: {type(error).__name__}") from None
    return parse_key(text)


def key_from_environment(mode: Mode, environment: MutableMapping[str, str]) -> tuple[SecretKey, str] | None:
    """The key in PRIVATE_KEY and a warning to show, or None where the variable is not set; it is unset by this.

    Raises ConfigError on mainnet: a key in the environment is in every child process and crash report.
    """
    text = take_variable(environment, PRIVATE_KEY)
    if not text:
        return None
    if mode is Mode.MAINNET:
        raise ConfigError(f"{PRIVATE_KEY} is refused on mainnet: import the key into a keystore and unset it")
    warning = f"{PRIVATE_KEY} is set: fit for {mode} only; use a keystore where money moves"
    return parse_key(text), warning


def holds_secret(text: str) -> bool:
    """Whether a 64-byte secret key stands in `text`. Signatures have the same length, but are no key pairs."""
    for found in _BASE58.findall(text):
        try:
            Keypair.from_base58_string(found)
        except ValueError:
            continue
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                raise
            continue
        return True
    return bool(_ARRAY.search(text)) or any(_is_pair(bytes.fromhex(found)) for found in _HEX.findall(text))


def looks_secret(text: str) -> bool:
    """Whether `text` may be key material, or a part of it, rather than a file's name: wider than `holds_secret`."""
    return bool(_LONG_BASE58.search(text) or _NUMBERS.search(text) or _LONG_HEX.search(text))


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A structlog processor: any value that holds key material is replaced whole."""
    for name, value in event.items():
        event[name] = _clean(value)
    return event


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return REDACTED if holds_secret(value) else value
    if isinstance(value, bytes | bytearray):
        return REDACTED if len(value) in (32, _KEY_BYTES) else value
    if isinstance(value, SecretKey | Keypair):
        return REDACTED
    if isinstance(value, dict):
        return {key: _clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        is_key = len(value) in (32, _KEY_BYTES) and all(isinstance(each, int) for each in value)
        return REDACTED if is_key else type(value)(_clean(each) for each in value)
    return value


def _is_pair(raw: bytes) -> bool:
    try:
        Keypair.from_bytes(raw)
    except ValueError:
        return False
    return True


def take_passphrase(environment: MutableMapping[str, str] | None = None) -> str | None:
    """The passphrase in FILLWRIGHT_SIGNER_PASSPHRASE, which is unset by this, or in the file that
    FILLWRIGHT_SIGNER_PASSPHRASE_FILE names. Raises ConfigError."""
    held = os.environ if environment is None else environment
    path = held.get("FILLWRIGHT_SIGNER_PASSPHRASE_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise ConfigError("FILLWRIGHT_SIGNER_PASSPHRASE_FILE can't be read") from None
    return take_variable(held, "FILLWRIGHT_SIGNER_PASSPHRASE")
