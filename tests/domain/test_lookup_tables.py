"""Choosing lookup tables, against trying every choice."""

from __future__ import annotations

from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from fillwright.domain.accounts import Address
from fillwright.domain.lookup_tables import (
    INDEX_BYTES,
    KEY_BYTES,
    MAX_CHOSEN,
    TABLE_BYTES,
    LookupTable,
    choose_tables,
    index_tables,
    looked_up,
)


def size(holders: list[int], chosen: tuple[int, ...]) -> int:
    """Of all addresses and the tables."""
    found = looked_up(holders, chosen)
    return TABLE_BYTES * len(chosen) + INDEX_BYTES * found + KEY_BYTES * (len(holders) - found)


@given(st.lists(st.integers(0, 2**5 - 1), max_size=40))
def test_the_choice_is_the_shortest_of_all_and_has_no_idle_table(holders: list[int]) -> None:
    chosen = choose_tables(holders)
    every = chain.from_iterable(combinations(range(5), count) for count in range(6))
    assert (size(holders, chosen), len(chosen)) == min((size(holders, one), len(one)) for one in every)
    for number in chosen:
        without = tuple(other for other in chosen if other != number)
        assert size(holders, without) > size(holders, chosen)
    assert chosen == tuple(sorted(set(chosen)))


@given(st.lists(st.integers(0, 2**5 - 1), max_size=40), st.integers(0, 40))
def test_fewer_addresses_never_take_more(holders: list[int], left: int) -> None:
    part = holders[:left]
    assert size(part, choose_tables(part)) <= size(holders, choose_tables(holders))


def test_a_table_that_saves_nothing_is_left_out() -> None:
    assert choose_tables([1]) == ()
    assert choose_tables([1, 1]) == (0,)
    assert choose_tables([1, 1, 2]) == (0,)
    assert choose_tables([3, 3, 3]) == (0,)
    assert choose_tables([0, 0, 0]) == ()
    assert choose_tables([]) == ()


def test_of_many_tables_those_that_hold_most_are_used() -> None:
    holders = [1 << number for number in range(20) for _ in range(2 + number)]
    assert choose_tables(holders) == tuple(range(20 - MAX_CHOSEN, 20))


def test_the_index_says_which_tables_hold_an_address() -> None:
    a, b, c = (bytes([number]) * 32 for number in range(3))
    tables = [LookupTable(Address("x"), frozenset({a, b})), LookupTable(Address("y"), frozenset({b, c}))]
    assert index_tables(tables) == {a: 1, b: 3, c: 2}
