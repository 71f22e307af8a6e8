"""A wallet's secret key as people keep it: a JSON array of bytes, base58 text, or a file that holds either."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fillwright.domain.errors import ConfigError

KEYPAIR_BYTES = 64
MAX_FILE_BYTES = 4_096
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {character: value for value, character in enumerate(_ALPHABET)}


def keypair_bytes(text: str) -> bytes:
    """The 64 bytes of a keypair. Raises ConfigError, which never shows what it was given."""
    key = _from_text(text.strip())
    if key is None:
        key = _from_text(_file(text.strip()))
    if key is None or len(key) != KEYPAIR_BYTES:
        raise ConfigError(f"PRIVATE_KEY must be {KEYPAIR_BYTES} bytes: a JSON array, base58, or a file with either")
    return key


def _from_text(text: str) -> bytes | None:
    if text.startswith("["):
        try:
            return bytes(msgspec.json.decode(text, type=list[int]))
        except (ValueError, msgspec.DecodeError):
            return None
    if text and all(character in _DIGITS for character in text):
        return _base58(text)
    return None


def _base58(text: str) -> bytes:
    number = 0
    for character in text:
        number = number * 58 + _DIGITS[character]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _file(path: str) -> str:
    try:
        with Path(path).expanduser().open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode("ascii", "replace").strip()
    except (OSError, ValueError):
        return ""
