"""Which venues there are. Adding one is a folder and a line here."""

from __future__ import annotations

from importlib import import_module

from fillwright.domain.accounts import Account
from fillwright.venues.venue import AnyVenue, Registry

FOLDERS = (
    "raydium_amm_v4",
    "raydium_clmm",
    "raydium_cpmm",
    "meteora_damm_v1",
    "meteora_damm_v2",
    "meteora_dlmm",
)

VENUES: Registry = {folder: import_module(f"fillwright.venues.{folder}").VENUE for folder in FOLDERS}
"""One instance of each, by its folder's name."""


def venue_of(account: Account) -> AnyVenue | None:
    """The venue whose pool account this is, or None."""
    for venue in VENUES.values():
        if account.owner == venue.program_id and venue.recognises(account):
            return venue
    return None
