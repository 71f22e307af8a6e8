"""The same transaction for another price: a v0 message with one number changed.

In: the message of a transaction under an order's marker. Out: the message that does exactly the same over the same
blockhash, but pays another price per compute unit. Must not: build or change anything else.
"""

from __future__ import annotations

from solders.errors import BincodeError
from solders.instruction import CompiledInstruction
from solders.message import MessageV0, from_bytes_versioned, to_bytes_versioned

from fillwright.chain import programs
from fillwright.chain.transaction import MAX_COMPUTE_UNITS, MAX_TRANSACTION_BYTES, SIGNATURE_BYTES
from fillwright.domain.errors import ChainError

_SET_UNIT_LIMIT, _SET_UNIT_PRICE = 2, 3
_CREATE_WITH_SEED = (3).to_bytes(4, "little")
_UNITS_PER_INSTRUCTION = 200_000


class Priced:
    """A message as its price is set. Raises ChainError `transaction_unreadable` where it is not a v0 message."""

    def __init__(self, message: bytes) -> None:
        try:
            parsed = from_bytes_versioned(message)
        except (BincodeError, ValueError) as error:
            raise _unreadable() from error
        if not isinstance(parsed, MessageV0) or not parsed.instructions:
            raise _unreadable()
        self._message = parsed
        self._limit_at: int | None = None
        self._price_at: int | None = None
        self.unit_price = 0
        self.unit_limit = min(MAX_COMPUTE_UNITS, _UNITS_PER_INSTRUCTION * len(parsed.instructions))
        for at, part in enumerate(parsed.instructions):
            data = bytes(part.data)
            if parsed.account_keys[part.program_id_index] != programs.COMPUTE_BUDGET:
                continue
            if len(data) == 5 and data[0] == _SET_UNIT_LIMIT:
                self._limit_at, self.unit_limit = at, int.from_bytes(data[1:], "little")
            elif len(data) == 9 and data[0] == _SET_UNIT_PRICE:
                self._price_at, self.unit_price = at, int.from_bytes(data[1:], "little")

    @property
    def has_marker(self) -> bool:
        """Whether it begins by creating the account that only one transaction of its order can create."""
        parsed = self._message
        first = parsed.instructions[0]
        program = parsed.account_keys[first.program_id_index]
        return program == programs.SYSTEM and bytes(first.data).startswith(_CREATE_WITH_SEED)

    def at(self, unit_price: int) -> bytes | None:
        """The message for `unit_price` micro-lamports per unit. None where there is no room for a price."""
        parts = list(self._message.instructions)
        data = bytes([_SET_UNIT_PRICE]) + unit_price.to_bytes(8, "little")
        if self._price_at is not None:
            old = parts[self._price_at]
            parts[self._price_at] = CompiledInstruction(old.program_id_index, data, bytes(old.accounts))
        elif self._limit_at is not None:
            program = parts[self._limit_at].program_id_index
            parts.insert(self._limit_at + 1, CompiledInstruction(program, data, b""))
        else:
            return None
        old_message = self._message
        message = MessageV0(
            old_message.header,
            list(old_message.account_keys),
            old_message.recent_blockhash,
            parts,
            list(old_message.address_table_lookups),
        )
        raw = to_bytes_versioned(message)
        return raw if SIGNATURE_BYTES + len(raw) <= MAX_TRANSACTION_BYTES else None


def _unreadable() -> ChainError:
    return ChainError("a message that can't be read", code="transaction_unreadable")
