"""Which venues there are. Adding one is a folder and a line here."""

from __future__ import annotations

from importlib import import_module

from fillwright.domain.accounts import Account, Address
from fillwright.domain.clusters import Cluster
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
    """The venue whose pool account this is, on whichever cluster, or None."""
    for venue in VENUES.values():
        if account.owner in venue.program_ids.values() and venue.recognises(account):
            return venue
    return None


def venue_by_program(program: str) -> AnyVenue | None:
    """The venue whose program has this id on some cluster, or None."""
    return next((venue for venue in VENUES.values() if program in venue.program_ids.values()), None)


def programs_on(venue: AnyVenue, cluster: Cluster | None) -> tuple[Address, ...]:
    """The venue's program ids on `cluster`; None, a chain that is no public cluster: each id that it has anywhere."""
    if cluster is not None:
        return (venue.program_ids[cluster],)
    return tuple(dict.fromkeys(venue.program_ids.values()))


def misplaced(venue: AnyVenue, program: Address, cluster: Cluster | None) -> str:
    """Why a pool of `program`, an id of the venue's, can't be one of a chain of `cluster`; "" where it can."""
    if program in programs_on(venue, cluster):
        return ""
    home = next((name for name, known in venue.program_ids.items() if known == program), "no cluster")
    return f"its owner {program} is {venue.label} on {home}, and this chain is {cluster}"
