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

_BY_PROGRAM = {program: venue for venue in VENUES.values() for program in venue.program_ids.values()}


def venue_of(account: Account) -> AnyVenue | None:
    """The venue whose pool account this is, on whichever cluster, or None."""
    venue = _BY_PROGRAM.get(account.owner)
    return venue if venue is not None and venue.recognises(account) else None


def venue_by_program(program: str) -> AnyVenue | None:
    """The venue whose program has this id on some cluster, or None."""
    return _BY_PROGRAM.get(Address(program))


def programs_on(venue: AnyVenue, cluster: Cluster | None) -> tuple[Address, ...]:
    """The venue's program ids on `cluster`; None, a chain that is no public cluster: each id that it has anywhere."""
    if cluster is not None:
        return (venue.program_ids[cluster],)
    return tuple(dict.fromkeys(venue.program_ids.values()))


def misplaced(account: Account, cluster: Cluster | None) -> str:
    """Why an account of a venue's program can't be one of a chain of `cluster`; "" where it can, or is no venue's."""
    venue = _BY_PROGRAM.get(account.owner)
    if venue is None or cluster is None or venue.program_ids[cluster] == account.owner:
        return ""
    home = next(name for name, program in venue.program_ids.items() if program == account.owner)
    return f"its owner {account.owner} is {venue.label} on {home}, and this chain is {cluster}"
