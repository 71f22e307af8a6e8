"""Which venues there are. Adding one is a folder and a line here."""

from __future__ import annotations

from fillwright.domain.accounts import Account
from fillwright.venues import raydium_amm_v4, raydium_cpmm
from fillwright.venues.meteora_damm_v2 import METEORA_DAMM_V2
from fillwright.venues.venue import AnyVenue, Registry

VENUES: Registry = {
    raydium_cpmm.VENUE.id: raydium_cpmm.VENUE,
    raydium_amm_v4.VENUE.id: raydium_amm_v4.VENUE,
    METEORA_DAMM_V2.id: METEORA_DAMM_V2,
}


def venue_of(account: Account) -> AnyVenue | None:
    """The venue whose pool account this is, or None."""
    for venue in VENUES.values():
        if account.owner == venue.program_id and venue.recognises(account):
            return venue
    return None
