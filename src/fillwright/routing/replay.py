"""Decisions that can be taken again: what one follows from, as bytes, and the way back.

In: a decision and the snapshot it was taken on. Out: bytes to store with the `routing` event; from these and the
order's spec alone, the same decision. Pools are kept as their venues' frozen values. Must not: read anything else.
"""

from __future__ import annotations

import zlib
from itertools import pairwise

import msgspec

from fillwright.domain.accounts import Address, ChainClock
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import StoreError
from fillwright.domain.orders import OrderSpec
from fillwright.market.snapshot import Snapshot, index_pairs
from fillwright.routing.book import Book, Side
from fillwright.routing.field import Field
from fillwright.routing.largest import sized, unmet
from fillwright.routing.paths import Path
from fillwright.routing.route import Decision, Router
from fillwright.routing.terms import DEFAULT_TERMS, RoutingTerms
from fillwright.venues.registry import VENUES
from fillwright.venues.venue import Pool

MAX_POOL_BYTES = 4 * 1024 * 1024
_VERSION = 4
MAX_PLAIN_BYTES = 1_024
"""A larger pool is kept compressed: once for all decisions on one state of it, which are many."""
_LEVEL = 1


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """A pool: its venue and its value in JSON, compressed where it does not begin like JSON."""

    venue: str
    pool: bytes


class _Record(msgspec.Struct, frozen=True, omit_defaults=True):
    version: int
    clock: ChainClock
    terms: RoutingTerms
    lamport_price: float
    direct: tuple[Address, ...]
    paths: tuple[Path, ...]
    hops: tuple[tuple[Address, ...], ...]
    pools: tuple[_Stored, ...]
    x: float
    amount: int = 0
    limit: int | None = None
    met: bool = True
    """Of an order that may be filled in part: the size decided on, its bound, and whether any size got its price."""


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(_Record)
_encode_pool = msgspec.json.Encoder().encode


def decide_recorded(
    router: Router, spec: OrderSpec, snapshot: Snapshot, terms: RoutingTerms = DEFAULT_TERMS
) -> tuple[Decision, bytes]:
    """As `Router.decide`, with the bytes that `replay` needs to take the decision again."""
    cut, met = sized(router, spec, snapshot, terms)
    field = router.field(cut, snapshot, terms)
    decision = router.decide_on(cut, field, snapshot, terms)
    if cut is spec:
        return decision, record(field, snapshot, decision.terms)
    stored = record(field, snapshot, decision.terms, (cut.amount, cut.limit, met))
    return (decision if met else unmet(decision)), stored


def record(
    field: Field, snapshot: Snapshot, terms: RoutingTerms, cut: tuple[int, int | None, bool] = (0, None, True)
) -> bytes:
    """What a decision on `field` follows from. `cut`: of an order that may be filled in part, the size decided on
    with its bound, and whether any size got its price."""
    hops: dict[tuple[str, str], tuple[Address, ...]] = {}
    for path in field.paths:
        for pair in pairwise(path):
            hops[pair] = tuple(side.address for side in field.sides(*pair))
    kept = _Record(
        version=_VERSION,
        clock=snapshot.clock,
        terms=terms,
        lamport_price=field.lamport_price,
        direct=tuple(side.address for side in field.direct),
        paths=tuple(field.paths),
        hops=tuple(hops.values()),
        pools=tuple(_stored(side) for _, side in sorted(field.pools().items())),
        x=field.x,
        amount=cut[0],
        limit=cut[1],
        met=cut[2],
    )
    return _encoder.encode(kept)


def replay(spec: OrderSpec, stored: bytes) -> Decision:
    """The decision once more. Raises StoreError `store_record_unreadable` for bytes that are no record."""
    return replay_with_market(spec, stored)[0]


def replay_with_market(spec: OrderSpec, stored: bytes) -> tuple[Decision, Snapshot]:
    """As `replay`, with the pools that the decision was taken from, as they were."""
    kept = _read(stored)
    if spec.fill_to:
        spec = msgspec.structs.replace(spec, fill_to="", amount=kept.amount, limit=kept.limit)
    pools = [_pool(one) for one in kept.pools]
    snapshot = Snapshot(kept.clock, {pool.address: pool for pool in pools}, index_pairs(pools))
    book = Book()
    book.open(snapshot)
    pair = (spec.input_mint, spec.output_mint)
    direct = [book.side(snapshot.pools[address], spec.input_mint) for address in kept.direct]
    exact_in = spec.mode is SwapMode.EXACT_IN
    by_pair = {pair: [side for side in direct if exact_in or side.sells_exactly]}
    pairs = dict.fromkeys(hop for path in kept.paths for hop in pairwise(path))
    for hop, addresses in zip(pairs, kept.hops, strict=True):
        if hop != pair:
            by_pair[hop] = [book.side(snapshot.pools[address], hop[0]) for address in addresses]
    field = Field(direct, by_pair, list(kept.paths), kept.lamport_price, kept.x)
    decision = Router().decide_on(spec, field, snapshot, kept.terms)
    return (decision if kept.met else unmet(decision)), snapshot


def _stored(side: Side) -> _Stored:
    """Encoded once for all decisions on this state of the pool."""
    text = side.encoded
    if text is None:
        text = _encode_pool(side.pool)
        if len(text) > MAX_PLAIN_BYTES:
            text = zlib.compress(text, _LEVEL)
        side.encoded = text
    return _Stored(side.pool.venue, text)


def _pool(stored: _Stored) -> Pool:
    try:
        text = stored.pool
        if not text.startswith(b"{"):
            text = zlib.decompressobj().decompress(text, MAX_POOL_BYTES)
        pool: Pool = msgspec.json.decode(text, type=VENUES[stored.venue].pool_type)
    except (KeyError, zlib.error, msgspec.MsgspecError) as error:
        raise _unreadable(f"a pool of {stored.venue}: {error}") from error
    return pool


def _read(stored: bytes) -> _Record:
    try:
        kept = _decoder.decode(stored)
    except msgspec.MsgspecError as error:
        raise _unreadable(str(error)) from error
    if kept.version != _VERSION:
        raise _unreadable(f"version {kept.version}")
    return kept


def _unreadable(why: str) -> StoreError:
    return StoreError(f"this routing record can't be read: {why}", code="store_record_unreadable")
