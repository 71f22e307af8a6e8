"""On-chain accounts as they arrive, brought into the order of slots.

In: account states with their slots, from subscriptions and polls, in any order. Out: states as of the end of a
slot: what several accounts changed to in one transaction is seen together or not at all. Pure, but for its memory.
"""

from __future__ import annotations

from collections.abc import Mapping

from fillwright.domain.accounts import Account, Address, ChainClock

CLOCK_SYSVAR = Address("SysvarC1ock11111111111111111111111111111111")
MAX_PENDING = 100_000
"""Changes of the slot that is still going on; beyond it they become visible at once."""


class AccountBook:
    """The newest settled state of each followed account. An account that does not exist is held as None."""

    def __init__(self) -> None:
        self.newest_slot = 0
        self.settled: dict[Address, Account | None] = {}
        self._slots: dict[Address, int] = {}
        self._pending: dict[Address, tuple[int, Account | None]] = {}
        self._changed: set[Address] = set()

    def saw_slot(self, slot: int) -> None:
        """`slot` has begun: what happened in the slots before it is complete."""
        if slot <= self.newest_slot:
            return
        self.newest_slot = slot
        for address, (at, account) in list(self._pending.items()):
            if at < slot:
                del self._pending[address]
                self._settle(address, at, account)

    def notified(self, address: Address, slot: int, account: Account | None) -> None:
        """One account changed in `slot`; others may follow for the same slot."""
        if slot < self._slots.get(address, 0):
            return
        known = self._pending.get(address)
        if known is not None and slot < known[0]:
            return
        if slot < self.newest_slot or len(self._pending) >= MAX_PENDING:
            self._pending.pop(address, None)
            self._settle(address, slot, account)
        else:
            if known is not None and known[0] < slot:
                self._settle(address, *known)
            self._pending[address] = (slot, account)
            self.saw_slot(slot)

    def read(self, slot: int, accounts: Mapping[Address, Account | None]) -> None:
        """All of `accounts` as a node read them in one go at `slot`."""
        for address, account in accounts.items():
            if slot >= self._slots.get(address, 0):
                pending = self._pending.get(address)
                if pending is not None and pending[0] <= slot:
                    del self._pending[address]
                self._settle(address, slot, account)

    def forget(self, address: Address) -> None:
        self.settled.pop(address, None)
        self._slots.pop(address, None)
        self._pending.pop(address, None)
        self._changed.discard(address)

    def take_changed(self) -> set[Address]:
        """The accounts whose settled state has changed since this was asked last."""
        changed, self._changed = self._changed, set()
        return changed

    def _settle(self, address: Address, slot: int, account: Account | None) -> None:
        self._slots[address] = slot
        if address not in self.settled or self.settled[address] != account:
            self.settled[address] = account
            self._changed.add(address)


def clock_in(book: AccountBook) -> ChainClock:
    """The Clock sysvar as last settled: slot, epoch start, epoch, next leader epoch, unix time, 8 bytes each."""
    account = book.settled.get(CLOCK_SYSVAR)
    if account is None or len(account.data) < 40:
        return ChainClock(book.newest_slot, 0, 0)
    slot, epoch, unix = (int.from_bytes(account.data[at : at + 8], "little") for at in (0, 16, 32))
    return ChainClock(slot, epoch, unix)
