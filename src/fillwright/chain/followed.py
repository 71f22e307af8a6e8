"""What a live market keeps of the chain and of each pool that it follows, and what its tokens must be to be traded."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fillwright.chain.discover import mints_in
from fillwright.chain.messages import AccountJson
from fillwright.domain.accounts import Account, Address
from fillwright.domain.errors import PoolRefused
from fillwright.domain.tokens import TokenList
from fillwright.market.snapshot import Unpriced
from fillwright.venues.token_program import decode_mint
from fillwright.venues.venue import AnyVenue, Pool

STANDSTILL_S = 30.0
"""A node that has told of no new slot for so long stands still, or lags."""


class Progress:
    """Whether the chain moves on. A node that stands still answers too, but what it says is no news of the chain. One
    that was never seen to move may be a chain of somebody's own, which waits for its next transaction."""

    def __init__(self) -> None:
        self._newest = 0
        self._moved_s = math.inf

    def saw(self, slot: int, now_s: float) -> None:
        """A node has told of `slot`."""
        if slot > self._newest > 0:
            self._moved_s = now_s
        self._newest = max(self._newest, slot)

    def bounded(self, known_s: float) -> float:
        """When what was heard at `known_s` was last known to be current."""
        return self._moved_s if known_s - self._moved_s > STANDSTILL_S else known_s


class Followed:
    """One pool: the accounts it needs, and what they decode to."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.keys: tuple[Address, ...] = (address,)
        self.venue: AnyVenue | None = None
        self.pool: Pool | None = None
        self.unpriced: Unpriced | None = None
        self.warnings: tuple[str, ...] = ()
        self._refused: PoolRefused | None = None

    def need(self, held: Mapping[Address, Account]) -> None:
        """Set `keys` to what the pool needs now, its mints included. Where `held` does not let its venue tell, they
        stay, and the pool is refused until it does."""
        self._refused = None
        account = held.get(self.address)
        if self.venue is None or account is None:
            self.keys = (self.address,)
            return
        try:
            companions = self.venue.companions(self.address, held)
        except PoolRefused as error:
            self._refused = error
            return
        self.keys = tuple(dict.fromkeys((self.address, *companions, *mints_in(self.venue.id, account.data))))

    def decoded(self, venue: AnyVenue, held: Mapping[Address, Account]) -> Pool:
        """The pool that its accounts make. Raises PoolRefused."""
        if self._refused is not None:
            raise self._refused
        pool: Pool = venue.decode(self.address, held)
        return pool


def account_of(told: AccountJson | None) -> Account | None:
    """The account, or None where there is none: an account without lamports does not exist."""
    if told is None or told.lamports == 0:
        return None
    return Account(Address(told.owner), told.data[0], told.lamports)


def wrong_decimals(pool: Pool, held: Mapping[Address, Account], tokens: TokenList) -> str:
    """Why the pool's amounts can't be told in whole tokens: it, its mints and what is known of them disagree about
    decimals, as where a mint was closed and made again; "" where they agree."""
    for mint, decimals in zip(pool.mints, pool.decimals, strict=True):
        account, known = held.get(Address(mint)), tokens.get(mint)
        try:
            said = decimals if account is None else decode_mint(account).decimals
        except PoolRefused as error:
            return f"{mint}: {error.message}"
        if said != decimals or (known is not None and known.decimals != decimals):
            return f"{mint}: pool, mint and what is known of it disagree about its decimals"
    return ""
