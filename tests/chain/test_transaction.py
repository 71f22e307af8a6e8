"""Plans as transactions: bounds of legs, limits of size, prices; every shape of swap is read back as it was built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from solders.pubkey import Pubkey
from tests.venues.raydium_data import OWN, SHARED

from fillwright.chain.fees import MICRO, FeePolicy, priority_fee_lamports, unit_price
from fillwright.chain.reverts import explain
from fillwright.chain.swaps import SHAPES, decode_swap
from fillwright.chain.transaction import plan_swaps
from fillwright.domain.accounts import Address, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import ChainError
from fillwright.domain.routes import Leg
from fillwright.domain.transactions import SwapPlan

A, B, C = Mint("A"), Mint("B"), Mint("C")


def leg(amount_in: int, amount_out: int, given: Mint = A, taken: Mint = B) -> Leg:
    return Leg("raydium_cpmm", "raydium", Address("pool"), given, taken, amount_in, amount_out)


def plan(legs: tuple[Leg, ...], limit: int, mode: SwapMode = SwapMode.EXACT_IN) -> SwapPlan:
    first, last = legs[0], legs[-1]
    ins = sum(each.amount_in for each in legs if each.input_mint == first.input_mint)
    outs = sum(each.amount_out for each in legs if each.output_mint == last.output_mint)
    return SwapPlan("o", 1, "w", mode, first.input_mint, last.output_mint, ins, outs, limit, legs, "")


@given(st.lists(st.tuples(st.integers(1, 2**60), st.integers(1, 2**60)), min_size=1, max_size=6), st.data())
def test_parallel_bounds_sum_to_the_plans_own_and_none_exceeds_its_quote(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    legs = tuple(leg(*pair) for pair in pairs)
    limit = data.draw(st.integers(0, sum(out for _, out in pairs)))
    swaps = plan_swaps(plan(legs, limit))
    assert sum(each.limit for each in swaps) == limit
    assert all(each.limit <= each.leg.amount_out for each in swaps)


def test_a_hop_must_yield_what_the_next_one_spends() -> None:
    swaps = plan_swaps(plan((leg(10, 100), leg(20, 210), leg(300, 50, B, C)), 45))
    assert [each.limit for each in swaps] == [96, 204, 45]
    assert [each.swap.amount for each in swaps] == [10, 20, 300]


def test_an_exact_output_over_hops_lets_each_hop_spend_what_the_one_before_gives() -> None:
    swaps = plan_swaps(plan((leg(10, 105), leg(20, 210), leg(300, 50, B, C)), 33, SwapMode.EXACT_OUT))
    assert [each.limit for each in swaps] == [11, 22, 315]
    assert [each.swap.amount for each in swaps] == [105, 210, 50]


@pytest.mark.parametrize("mode", [SwapMode.EXACT_IN, SwapMode.EXACT_OUT])
def test_paths_beside_each_other_share_the_plans_bound_where_they_are_free(mode: SwapMode) -> None:
    legs = (leg(60, 600), replace(leg(40, 90, A, C), path=1), replace(leg(80, 400, C, B), path=1, hop=1))
    exact_in = mode is SwapMode.EXACT_IN
    swaps = plan_swaps(plan(legs, 500 if exact_in else 200, mode))
    assert [each.leg for each in swaps] == list(legs)
    assert [each.limit for each in swaps] == ([300, 80, 200] if exact_in else [120, 80, 90])
    assert [each.swap.amount for each in swaps] == ([60, 40, 80] if exact_in else [600, 90, 400])


@pytest.mark.parametrize(
    "broken",
    [
        plan((leg(10, 100), leg(20, 50, B, A)), 1),
        plan((leg(10, 100), leg(20, 50, C, B)), 1),
        plan((leg(10, 100), leg(120, 50, B, C)), 1),
        plan((leg(10, 100), leg(120, 50, B, C)), 1, SwapMode.EXACT_OUT),
    ],
    ids=["a circle", "a gap", "too much for the hop before", "exact-out hops"],
)
def test_plans_that_can_not_be_bounded_are_refused(broken: SwapPlan) -> None:
    with pytest.raises(ChainError) as refused:
        plan_swaps(broken)
    assert refused.value.code == "plan_unsupported"


def test_a_later_attempt_bids_more_and_no_bid_exceeds_the_caps() -> None:
    policy = FeePolicy(percentile=50, min_price=10, max_price=1_000, max_lamports=200, bump_bps=5_000)
    assert unit_price([], 1, 200_000, policy) == 10
    assert unit_price([5, 100, 900], 1, 200_000, policy) == 100
    assert unit_price([100], 3, 200_000, policy) == 200
    assert unit_price([900], 2, 200_000, policy) == 1_000
    assert unit_price([900], 1, 1_400_000, policy) == 200 * MICRO // 1_400_000
    assert priority_fee_lamports(142, 1_400_000) <= 200


def _examples() -> list[tuple[str, dict[str, object]]]:
    found = []
    for root in (SHARED, OWN):
        for path in sorted(Path(root / "instructions").glob("*.json")):
            examples = json.loads(path.read_text())["examples"]
            found += [(f"{path.stem}-{number}", each) for number, each in enumerate(examples)]
        if found:
            break
    return found


@pytest.mark.parametrize("example", [each for _, each in _examples()], ids=[name for name, _ in _examples()])
def test_instructions_that_the_programs_accepted_are_read_as_what_they_did(example: dict[str, object]) -> None:
    accounts = example["accounts"]
    assert isinstance(accounts, list)
    keys = [Pubkey.from_string(account["pubkey"]) for account in accounts]
    program = Pubkey.from_string(str(example["program_id"]))
    call = decode_swap(program, bytes.fromhex(str(example["data_hex"])), keys)
    if call is None:
        pytest.skip("a form of the swap that is not used here")
    assert call.mode == example["mode"]
    fixed = call.max_in if call.mode is SwapMode.EXACT_IN else call.min_out
    bound = call.min_out if call.mode is SwapMode.EXACT_IN else call.max_in
    assert (fixed, bound) == (example["amount"], example["limit"])
    signer = next(account["pubkey"] for account in accounts if account["is_signer"])
    assert str(call.wallet) == signer


@given(st.sampled_from(SHAPES), st.binary(max_size=60), st.integers(0, 40))
def test_meaningless_bytes_are_no_swap_or_a_whole_one(shape: object, data: bytes, count: int) -> None:
    assert hasattr(shape, "tag")
    keys = [Pubkey.from_bytes(bytes([i]) * 32) for i in range(count)]
    call = decode_swap(Pubkey.from_string(shape.program), shape.tag + data, keys)  # type: ignore[attr-defined]
    assert call is None or (0 <= call.max_in < 2**64 and call.wallet in keys)


DAMM_V1, VAULT = "Eo7WjKq67rjJQSZxS6z3YkapzY3eMj6Xy8X5EQVn5UaB", "24Uqj9JCLxUeoC3hGfh5W3s9FM9uCHDS2SG3LYwBpyTi"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
CODE_6004 = {"InstructionError": [0, {"Custom": 6004}]}


def test_the_same_code_means_what_the_program_that_failed_means_by_it() -> None:
    own = [f"Program {DAMM_V1} invoke [1]", f"Program {DAMM_V1} failed: custom program error: 0x1774"]
    inner = [f"Program {VAULT} failed: custom program error: 0x1774", *own]
    assert explain(CODE_6004, [DAMM_V1], own, marker=False)[0] == "slippage_exceeded"
    assert explain(CODE_6004, [DAMM_V1], inner, marker=False)[0] == "pool_refused"


@pytest.mark.parametrize(
    ("error", "logs", "marker", "reason"),
    [
        (None, [], False, ""),
        ("InsufficientFundsForFee", [], False, "insufficient_funds"),
        ({"InsufficientFundsForRent": {"account_index": 0}}, [], False, "insufficient_funds"),
        ({"InstructionError": [0, {"Custom": 1}]}, [f"Program {TOKEN} failed: custom program error: 0x1"], False,
         "insufficient_funds"),
        ({"InstructionError": [0, {"Custom": 77}]}, [], False, "pool_refused"),
        ({"InstructionError": [9, {"Custom": 77}]}, [], False, "program_error"),
        ({"InstructionError": [0, {"Custom": 0}]}, [], True, "marker_exists"),
        ("SomethingNew", [], False, "program_error"),
        (42, [], False, "program_error"),
    ],
)  # fmt: skip
def test_failures_have_reasons(error: object, logs: list[str], marker: bool, reason: str) -> None:
    assert explain(error, [DAMM_V1], logs, marker)[0] == reason
