"""Guards over tokens and prices. Pure: mint accounts, pools and a clock in; reasons to refuse, and warnings, out.

A token can be a trap while its pool's maths is right: its mint may let somebody else move, freeze, tax or burn
what was bought. A price can be a trap while its quote is exact: the pool may be thin, or far from all others.
Source of the extensions' numbers: spl-token-2022 `extension/mod.rs` ExtensionType.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from operator import is_

import msgspec

from fillwright.domain.accounts import Account, Address, ChainClock, Mint
from fillwright.domain.errors import PoolRefused, QuoteRefused
from fillwright.market.snapshot import Pair, Snapshot, index_pairs, venue_for
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, decode_mint, extensions
from fillwright.venues.venue import Pool

_BPS = 10_000
_FROZEN = 2

TRANSFER_FEE, DEFAULT_STATE, NON_TRANSFERABLE = 1, 6, 9
PERMANENT_DELEGATE, TRANSFER_HOOK, PAUSABLE = 12, 14, 26
_HARMLESS: Mapping[int, str] = {
    4: "",  # confidential transfers: of balances that nobody makes confidential here
    16: "",
    18: "",  # metadata and groups
    19: "",
    20: "",
    21: "",
    22: "",
    23: "",
    3: "the mint can be closed once nothing is left of it",
    10: "shown amounts grow with interest; base units do not",
    25: "shown amounts are scaled; base units are not",
}
_DANGEROUS: Mapping[int, str] = {
    NON_TRANSFERABLE: "the token can't be transferred",
    PERMANENT_DELEGATE: "a permanent delegate can take it out of any wallet",
    TRANSFER_HOOK: "a program of its issuer runs with every transfer",
    PAUSABLE: "its issuer can pause all transfers",
}


class GuardPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`trusted` mints pass whatever they can do. `max_deviation_bps`: from the other pools' median spot price.

    `min_depth`: base units of a mint that a pool must be able to take with at most `depth_impact_bps` of impact.
    """

    trusted: tuple[Mint, ...] = ()
    max_transfer_fee_bps: int = 100
    refuse_freeze_authority: bool = False
    refuse_mint_authority: bool = False
    max_deviation_bps: int = 500
    min_depth: dict[Mint, int] = {}
    depth_impact_bps: int = 500


class MintVerdict(msgspec.Struct, frozen=True):
    """`refusal` "" where the token may be traded; `warnings` are for people."""

    refusal: str
    warnings: tuple[str, ...] = ()


def judge_mint(mint: Mint, account: Account | None, epoch: int, policy: GuardPolicy) -> MintVerdict:
    """Whether a token may be traded: an extension that is not known to be harmless is refused."""
    if account is None:
        return MintVerdict(f"{mint}: its mint account is not at hand")
    try:
        info = decode_mint(account)
        found = extensions(account.data) if account.owner == TOKEN_2022_PROGRAM else []
    except PoolRefused as error:
        return MintVerdict(f"{mint}: {error.message}")
    refusals, warnings = [], []
    for kind, value in found:
        refusal, warning = _extension(kind, value)
        refusals += [refusal] if refusal else []
        warnings += [warning] if warning else []
    # The fee may be about to rise: both the one in force and the scheduled one count.
    fee_bps = max(info.transfer_fee(epoch).bps, info.newer.bps)
    if fee_bps > policy.max_transfer_fee_bps:
        refusals.append(f"a transfer fee of {fee_bps} bps")
    elif fee_bps:
        warnings.append(f"a transfer fee of {fee_bps} bps")
    for present, refused, text in (
        (
            _has_authority(account.data, 46),
            policy.refuse_freeze_authority,
            "its issuer can freeze any wallet's balance",
        ),
        (_has_authority(account.data, 0), policy.refuse_mint_authority, "its issuer can mint more of it"),
    ):
        if present:
            (refusals if refused else warnings).append(text)
    if mint in policy.trusted:
        return MintVerdict("", tuple(warnings + refusals))
    return MintVerdict(f"{mint}: {'; '.join(refusals)}" if refusals else "", tuple(warnings))


class TokenGuard:
    """`chain.feed`'s guard: refuses a pool for either of its mints."""

    def __init__(self, policy: GuardPolicy) -> None:
        self._policy = policy

    def __call__(self, pool: Pool, accounts: Mapping[Address, Account | None], epoch: int) -> MintVerdict:
        """Why the pool must not be traded, or what there is to know about its tokens, each warning with its mint."""
        warnings: list[str] = []
        for mint in pool.mints:
            verdict = judge_mint(mint, accounts.get(Address(mint)), epoch, self._policy)
            if verdict.refusal:
                return verdict
            warnings += [f"{mint}: {warning}" for warning in verdict.warnings]
        return MintVerdict("", tuple(warnings))


class PriceGuard:
    """Which pools must not be traded for their price, either way. It remembers what it found of a pair until one of
    the pair's pools changes."""

    def __init__(self, policy: GuardPolicy) -> None:
        self._policy = policy
        self._by_pair: Mapping[Pair, tuple[Address, ...]] = {}
        self._indexed: frozenset[Address] = frozenset()
        self._found: dict[Pair, tuple[tuple[Pool, ...], dict[Address, str]]] = {}

    def refused(self, clock: ChainClock, pools: Mapping[Address, Pool]) -> dict[Address, str]:
        """Of `pools`, those that are refused, and why."""
        if self._indexed != pools.keys():
            self._by_pair, self._indexed = index_pairs(pools.values()), frozenset(pools)
        snapshot = Snapshot(clock, pools, self._by_pair)
        found: dict[Pair, tuple[tuple[Pool, ...], dict[Address, str]]] = {}
        for pair, addresses in self._by_pair.items():
            rivals = tuple(pools[address] for address in addresses)
            known = self._found.get(pair)
            same = known is not None and len(known[0]) == len(rivals) and all(map(is_, known[0], rivals))
            found[pair] = known if known is not None and same else (rivals, self._judge(snapshot, rivals))
        self._found = found
        return {address: why for _, refused in found.values() for address, why in refused.items()}

    def _judge(self, snapshot: Snapshot, rivals: Sequence[Pool]) -> dict[Address, str]:
        if len(rivals) == 1 and not self._policy.min_depth:
            return {}
        judged = ((pool, (judge_price(snapshot, pool, mint, self._policy) for mint in pool.mints)) for pool in rivals)
        found = ((pool.address, next(filter(None, reasons), "")) for pool, reasons in judged)
        return {address: why for address, why in found if why}


def judge_price(snapshot: Snapshot, pool: Pool, input_mint: Mint, policy: GuardPolicy) -> str:
    """Why `pool`'s price must not be taken: too far from the other pools' median, or too thin; "" where it may.

    A pair with a single pool has nothing to compare with: only the depth counts then.
    """
    output_mint = next(mint for mint in pool.mints if mint != input_mint)
    own = _spot(snapshot, pool, input_mint)
    if own is None:
        return "the pool has no spot price"
    others = [
        price
        for other in snapshot.of_pair(input_mint, output_mint)
        if other.address != pool.address and (price := _spot(snapshot, other, input_mint)) is not None
    ]
    if others:
        middle = median(others)
        if abs(own - middle) * _BPS > policy.max_deviation_bps * middle:
            off_bps = round(abs(own - middle) * _BPS / middle)
            return f"its price is {off_bps} bps from the other pools' median"
    return _thinness(snapshot, pool, input_mint, own, policy)


def median(prices: Sequence[Fraction]) -> Fraction:
    """The middle price; of an even number, the mean of the two in the middle."""
    ordered = sorted(prices)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _thinness(snapshot: Snapshot, pool: Pool, input_mint: Mint, spot: Fraction, policy: GuardPolicy) -> str:
    depth = policy.min_depth.get(input_mint, 0)
    if depth <= 0:
        return ""
    try:
        out = venue_for(pool).quoter(pool, input_mint, snapshot.clock)(depth)
    except QuoteRefused as error:
        return f"it can't take {depth} base units: {error.message}"
    if out * _BPS < spot * depth * (_BPS - policy.depth_impact_bps):
        return f"{depth} base units would move its price by more than {policy.depth_impact_bps} bps"
    return ""


def _spot(snapshot: Snapshot, pool: Pool, input_mint: Mint) -> Fraction | None:
    try:
        spot = venue_for(pool).spot(pool, input_mint, snapshot.clock)
    except QuoteRefused:
        return None
    return spot if spot > 0 else None


def _extension(kind: int, value: bytes) -> tuple[str, str]:
    """(refusal, warning) for one extension of a mint."""
    if kind == TRANSFER_FEE or (kind == TRANSFER_HOOK and not any(value[32:64])):
        return "", "" if kind == TRANSFER_FEE or not any(value[:32]) else "its issuer can add a transfer hook"
    if kind == DEFAULT_STATE:
        return ("new accounts are frozen", "") if value[:1] == bytes([_FROZEN]) else ("", "")
    if kind == PERMANENT_DELEGATE and not any(value):
        return "", ""
    if kind in _DANGEROUS:
        return _DANGEROUS[kind], ""
    if kind in _HARMLESS:
        return "", _HARMLESS[kind]
    return f"an unknown token extension ({kind})", ""


def _has_authority(mint: bytes, at: int) -> bool:
    """Whether the optional authority at `at` (a tag of four bytes, then the key) is set."""
    return mint[at : at + 4] == b"\x01\x00\x00\x00"
