"""The vector checker: what it reads, how it edits accounts, and that it does find mismatches."""

from typing import Any

import msgspec
import pytest
from tests.venues.raydium_data import OWN, pool_accounts

from fillwright.domain.accounts import Account, Address, ChainClock
from fillwright.venues import vectors
from fillwright.venues.vectors import Mutation, Outcome, VectorFees, check_line, mutate, parse_line, pool_in

POOL = "raydium_cpmm/FRESH_SOL-SPL"
SYSTEM = Address("11111111111111111111111111111111")
A, B = Address("a"), Address("b")


def lines(name: str) -> list[dict[str, Any]]:
    raw = (OWN / "vectors" / "raydium_cpmm" / name).read_bytes().splitlines()
    return [msgspec.json.decode(line) for line in raw]


def first(name: str, **expected: Any) -> dict[str, Any]:
    """The first successful case of a file whose keys have these values."""
    return next(
        line
        for line in lines(name)
        if not line.get("error") and all(line.get(key) == value for key, value in expected.items())
    )


def verdicts(line: dict[str, Any]) -> list[vectors.Verdict]:
    parsed = parse_line(msgspec.json.encode(line))
    return check_line(pool_accounts(parsed.pool) if parsed.pool else {}, parsed)


def outcome(line: dict[str, Any]) -> Outcome:
    (verdict,) = verdicts(line)
    assert bool(verdict.detail) == (verdict.outcome is Outcome.MISMATCH)
    return verdict.outcome


def test_a_case_is_equal_only_with_the_executed_amounts() -> None:
    for mode in ("exact_in", "exact_out"):
        line = first("FRESH_SOL-SPL.jsonl", mode=mode)
        assert outcome(line) is Outcome.EQUAL
        for key in ("amount_in", "amount_out"):
            assert outcome({**line, key: line[key] + 1}) is Outcome.MISMATCH
        assert outcome({**line, "error": {"code": 1}}) is Outcome.MISMATCH


def test_a_failed_swap_wants_a_refusal_and_a_swap_wants_none() -> None:
    line = next(line for line in lines("FRESH_SOL-SPL.jsonl") if line["error"])
    assert outcome(line) is Outcome.REFUSED_AS_EXPECTED
    assert outcome({**line, "error": None}) is Outcome.MISMATCH


def test_a_pool_that_does_not_decode_refuses_every_case() -> None:
    address = pool_in(pool_accounts(POOL))[1]
    unknown_mode = [{"account": address, "offset": 389, "hex": "09"}]
    line = {**first("FRESH_SOL-SPL.jsonl"), "mutations": unknown_mode}
    assert outcome(line) is Outcome.MISMATCH
    assert outcome({**line, "error": {"code": 6013}}) is Outcome.REFUSED_AS_EXPECTED


def test_in_a_sequence_the_state_moves_on_and_stays_after_a_failure() -> None:
    (line, *_) = lines("FRESH_SOL-SPL.seq.jsonl")
    checked = verdicts(line)
    assert len(checked) == len(line["sequence"])
    assert {verdict.outcome for verdict in checked} <= {Outcome.EQUAL, Outcome.REFUSED_AS_EXPECTED}
    without_second = {**line, "sequence": [line["sequence"][0], *line["sequence"][2:]]}
    assert Outcome.MISMATCH in {verdict.outcome for verdict in verdicts(without_second)}


def test_a_curve_case_reads_no_accounts() -> None:
    for mode in ("exact_in", "exact_out"):
        line = first("calculator.jsonl", mode=mode)
        assert outcome(line) is Outcome.EQUAL
        for key in ("amount_in", "amount_out"):
            assert outcome({**line, key: line[key] + 1}) is Outcome.MISMATCH
        assert outcome({**line, "error": {"code": "refused"}}) is Outcome.MISMATCH
        for key in line["fees"]:
            fees = {**line["fees"], key: line["fees"][key] + 1}
            assert outcome({**line, "fees": fees}) is Outcome.MISMATCH
        assert outcome({**line, "fees": None}) is Outcome.EQUAL


def test_a_refused_curve_case_wants_a_refusal() -> None:
    line = next(line for line in lines("calculator.jsonl") if line["error"])
    assert outcome(line) is Outcome.REFUSED_AS_EXPECTED
    assert outcome({**line, "error": None}) is Outcome.MISMATCH


def test_fees_that_a_case_states_are_compared() -> None:
    line = first("FRESH_SOL-SPL.jsonl", variant=None, mode="exact_in", mutations=None)
    trade = -(-line["amount_in"] * 2_500 // 10**6)
    shares = VectorFees(trade, 0, trade * 120_000 // 10**6, trade * 40_000 // 10**6)
    assert outcome({**line, "fees": shares}) is Outcome.EQUAL
    assert outcome({**line, "fees": msgspec.structs.replace(shares, fund_fee=shares.fund_fee + 1)}) is Outcome.MISMATCH


def test_a_case_without_a_clock_is_no_case() -> None:
    line = first("FRESH_SOL-SPL.jsonl")
    del line["clock"]
    with pytest.raises(ValueError, match="without a clock"):
        verdicts(line)


def test_mutations_apply_in_order_and_leave_the_snapshot_alone() -> None:
    accounts = {A: Account(SYSTEM, b"0123", 9)}
    edited = mutate(
        accounts,
        (
            Mutation(A, offset=1, hex="6162"),
            Mutation(A, offset=2, hex="7a"),
            Mutation(B, offset=2, hex="ff", length=4, owner=A),
        ),
    )
    assert edited == {A: Account(SYSTEM, b"0az3", 9), B: Account(A, b"\0\0\xff\0", 0)}
    assert accounts == {A: Account(SYSTEM, b"0123", 9)}
    assert mutate(accounts, None) == accounts


def test_a_length_cuts_or_fills_with_zeros_before_the_edit() -> None:
    accounts = {A: Account(SYSTEM, b"0123")}
    assert mutate(accounts, (Mutation(A, length=2),))[A].data == b"01"
    assert mutate(accounts, (Mutation(A, length=6, offset=5, hex="21"),))[A].data == b"0123\0!"


def test_a_snapshot_has_exactly_one_pool() -> None:
    accounts = pool_accounts(POOL)
    venue, address = pool_in(accounts)
    assert (venue.id, address) == ("raydium_cpmm", "Ea137St4AKnh8Xa8boXxYHs79Gvove3NyAfFPh7kxdvu")
    with pytest.raises(ValueError, match="0 pool accounts"):
        pool_in({key: account for key, account in accounts.items() if key != address})
    with pytest.raises(ValueError, match="2 pool accounts"):
        pool_in({**accounts, A: accounts[address]})


def test_the_fast_quoter_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    line = first("FRESH_SOL-SPL.jsonl", mode="exact_in")
    venue = type(pool_in(pool_accounts(POOL))[0])
    monkeypatch.setattr(venue, "quoter", lambda *_: lambda amount: amount)
    assert outcome(line) is Outcome.MISMATCH


def test_a_case_names_its_swap() -> None:
    case = vectors.Case(ChainClock(1, 2, 3), "in->out", "exact_out", 5, 0, 0)  # type: ignore[arg-type]
    assert (case.swap.input_mint, case.swap.amount) == ("in", 5)
