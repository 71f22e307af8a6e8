"""The signer's own policy: what may be signed at all, whatever the engine says. Read from a TOML file.

In: a file that only its owner can write. Out: a frozen Policy. Everything that is not allowed is refused.
"""

from __future__ import annotations

import os
import tomllib
from fractions import Fraction
from pathlib import Path

import msgspec
from solders.pubkey import Pubkey

from fillwright.chain.checks import is_url
from fillwright.chain.swaps import SHAPES
from fillwright.config import Mode
from fillwright.domain.accounts import Mint
from fillwright.domain.clusters import Cluster
from fillwright.domain.errors import ConfigError

MAX_POLICY_BYTES = 1024 * 1024
VENUE_IDS = tuple(dict.fromkeys(shape.venue for shape in SHAPES))


class Spending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may leave the wallet of one mint, in base units."""

    per_order: int
    per_day: int


class Floor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price under which nothing is sold: at least `output_units` of `output` for `input_units` of `input`."""

    input: Mint
    output: Mint
    input_units: int
    output_units: int

    def least_out(self, amount_in: int) -> int:
        """Rounded up."""
        return -(-amount_in * self.output_units // self.input_units)


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`spend`: mints that may be given, with their bounds; `receive`: further mints that may be taken or passed
    through. `venues`: whose programs may be called; `instructions`: of a venue that is named there these swap
    instructions alone, by the hexadecimal digits of their discriminators. `lookup_tables`: tables that a message may
    use; they are read over `rpc_url`, the signer's own. `max_order_fees_lamports`: what all the transactions signed
    for one order may cost the wallet in network and priority fees, if every one of them lands: each fails on the
    marker but one, and each pays. `sweep_after_s`: how old the last signature under a marker must be before its rent
    is given back."""

    mode: Mode
    spend: dict[Mint, Spending]
    receive: tuple[Mint, ...] = ()
    venues: tuple[str, ...] = VENUE_IDS
    instructions: dict[str, tuple[str, ...]] = {}
    max_slippage_bps: int = 100
    max_priority_fee_lamports: int = 2_000_000
    max_order_fees_lamports: int = 20_000_000
    max_tip_lamports: int = 0
    tip_accounts: tuple[str, ...] = ()
    max_marker_lamports: int = 2_000_000
    require_marker: bool = True
    sweep_after_s: int = 180
    lookup_tables: tuple[str, ...] = ()
    rpc_url: str = ""
    floors: tuple[Floor, ...] = ()

    @property
    def cluster(self) -> Cluster | None:
        """Whose programs may be named: on mainnet mainnet's alone. A local Solana counts as devnet and runs what was
        loaded into it, so there any cluster's may."""
        return Cluster.MAINNET if self.mode is Mode.MAINNET else None

    def allows(self, venue: str, tag: bytes) -> bool:
        """Whether the instruction of `venue` that begins with `tag` may be signed."""
        allowed = self.instructions.get(venue)
        return allowed is None or tag.hex() in allowed

    def floor(self, given: Mint, taken: Mint) -> Fraction | None:
        """The least output per input unit, where the policy names one."""
        for each in self.floors:
            if (each.input, each.output) == (given, taken):
                return Fraction(each.output_units, each.input_units)
        return None


def read_policy(path: Path) -> Policy:
    """Raises ConfigError: missing, writable by others, malformed, or contradictory."""
    try:
        found = path.stat()
        if found.st_mode & 0o022:
            raise ConfigError(f"{path} can be written by others: chmod go-w it")
        if found.st_uid not in (0, os.getuid()):
            raise ConfigError(f"{path} can be written by others: it belongs to another user")
        if path.stat().st_size > MAX_POLICY_BYTES:
            raise ConfigError(f"{path} is too large for a policy")
        policy = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), type=Policy)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path} is no policy: {error}") from error
    return check_policy(policy)


def check_policy(policy: Policy) -> Policy:
    """`policy`, if it can be followed. Raises ConfigError."""
    if policy.mode is Mode.PAPER:
        raise ConfigError("policy: mode is devnet or mainnet; paper mode needs no signer")
    addresses = [*policy.spend, *policy.receive, *policy.tip_accounts, *policy.lookup_tables]
    addresses += [mint for floor in policy.floors for mint in (floor.input, floor.output)]
    for address in addresses:
        try:
            Pubkey.from_string(address)
        except ValueError:
            raise ConfigError(f"policy: {address!r} is no address") from None
    unknown = [venue for venue in policy.venues if venue not in VENUE_IDS]
    if unknown:
        raise ConfigError(f"policy: unknown venues {unknown}; known are {list(VENUE_IDS)}")
    for venue, tags in policy.instructions.items():
        known = [shape.tag.hex() for shape in SHAPES if shape.venue == venue]
        if not known or not set(tags) <= set(known):
            raise ConfigError(f"policy: unknown instructions of {venue!r}: {list(tags)}; known are {known}")
    bounds = [units for each in policy.spend.values() for units in (each.per_order, each.per_day)]
    bounds += [
        policy.sweep_after_s,
        policy.max_priority_fee_lamports,
        policy.max_order_fees_lamports,
        policy.max_tip_lamports,
        policy.max_marker_lamports,
    ]
    if any(bound < 0 for bound in bounds) or not 0 <= policy.max_slippage_bps <= 10_000:
        raise ConfigError("policy: a bound is negative, or max_slippage_bps is not within 0 and 10000")
    if any(floor.input_units <= 0 or floor.output_units < 0 for floor in policy.floors):
        raise ConfigError("policy: a floor needs positive units")
    if policy.rpc_url and not is_url(policy.rpc_url, ("http", "https")):
        raise ConfigError("policy: rpc_url is not one that begins with http:// or https://")
    if policy.lookup_tables and not policy.rpc_url:
        raise ConfigError("policy: lookup_tables need an rpc_url to read them from")
    return policy
