"""Whether a live configuration can be run: what is wrong with it, before anything is opened. Pure.

In: the parts of a configuration. Out: a text for people, "" where nothing is wrong. It never repeats an endpoint's
address, which often carries a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from urllib.parse import urlsplit

from solders.pubkey import Pubkey

from fillwright.chain.endpoint import RpcEndpoint
from fillwright.domain.transactions import Commitment
from fillwright.market.drift import DriftPolicy
from fillwright.market.guards import GuardPolicy
from fillwright.venues.registry import VENUES

MAX_BLOCKHASH_LIFE_S = 30.0
"""A blockhash lives for 150 blocks: one that has been held for longer leaves too few to land in."""


def wrong_addresses(where: str, addresses: Iterable[str]) -> str:
    """Names the first that is no address."""
    for address in addresses:
        try:
            Pubkey.from_string(address)
        except ValueError:
            return f"{where}: {address!r} is no address"
    return ""


def wrong_pair(a: str, b: str, venues: Sequence[str]) -> str:
    """What is wrong with a pair whose pools are to be looked for."""
    unknown = [venue for venue in venues if venue not in VENUES]
    if unknown:
        return f"pairs: unknown venues {unknown}; known are {sorted(VENUES)}"
    return "pairs: a pair of a mint with itself" if a == b else wrong_addresses("pairs", (a, b))


def wrong_endpoint(endpoint: RpcEndpoint) -> str:
    """What is wrong with an endpoint, by its name."""
    if not endpoint.name:
        return "an endpoint without a name"
    if not is_url(endpoint.url, ("http", "https")):
        return f"{endpoint.name}: its url is not one that begins with http:// or https://"
    if endpoint.websocket_url and not is_url(endpoint.websocket_url, ("ws", "wss")):
        return f"{endpoint.name}: its websocket_url is not one that begins with ws:// or wss://"
    if not (isfinite(endpoint.requests_per_s) and endpoint.requests_per_s >= 0) or endpoint.burst < 1:
        return f"{endpoint.name}: requests_per_s is not negative, burst is at least 1"
    return ""


def wrong_tip(lamports: int, accounts: Sequence[str]) -> str:
    """What is wrong with a tip."""
    if lamports < 0:
        return "tip: lamports is not negative"
    if lamports and not accounts:
        return "tip: nobody to pay it to: accounts is empty"
    return wrong_addresses("tip", accounts)


def wrong_times(positive: dict[str, float], commitment: str, blockhash_life_s: float) -> str:
    """What is wrong with how often, how long and how final things are read."""
    for name, seconds in positive.items():
        if not (isfinite(seconds) and seconds > 0):
            return f"{name} is a positive number of seconds"
    if not 0 <= blockhash_life_s <= MAX_BLOCKHASH_LIFE_S:
        return f"blockhash_life_s is within 0 and {MAX_BLOCKHASH_LIFE_S:g}"
    known = [each.value for each in Commitment]
    return "" if commitment in known else f"feed: commitment is one of {known}"


def wrong_guards(guards: GuardPolicy, drift: DriftPolicy) -> str:
    """What is wrong with the bounds of guards and drift sentinel."""
    bounds = (guards.max_transfer_fee_bps, guards.max_deviation_bps, guards.depth_impact_bps)
    if min(*bounds, *guards.min_depth.values()) < 0:
        return "guards: a bound is negative"
    if problem := wrong_addresses("guards", (*guards.trusted, *guards.min_depth)):
        return problem
    if drift.release_after < 0 or not (isfinite(drift.recheck_s) and drift.recheck_s > 0):
        return "drift: release_after is not negative, recheck_s is positive"
    if drift.tolerance_ppm < 0 or not 1 <= drift.strikes <= drift.window:
        return "drift: tolerance_ppm is not negative, strikes is within 1 and window"
    return ""


def is_url(text: str, schemes: Sequence[str]) -> bool:
    """Whether `text` names a host under one of these schemes."""
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
