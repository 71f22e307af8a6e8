"""What a live market keeps of one pool that it follows."""

from __future__ import annotations

from fillwright.domain.accounts import Address
from fillwright.market.snapshot import Unpriced
from fillwright.venues.venue import AnyVenue, Pool


class Followed:
    """One pool: the accounts it needs, and what they decode to."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.keys: tuple[Address, ...] = (address,)
        self.venue: AnyVenue | None = None
        self.pool: Pool | None = None
        self.unpriced: Unpriced | None = None
