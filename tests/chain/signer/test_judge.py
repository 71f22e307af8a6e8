"""The judge: honest messages pass; each of the hostile ones is refused, whatever else is right about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import request_heap_frame, set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message, MessageAddressTableLookup, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    AssignParams,
    CreateAccountParams,
    CreateAccountWithSeedParams,
    TransferParams,
    TransferWithSeedParams,
    advance_nonce_account,
    assign,
    create_account,
    create_account_with_seed,
    transfer,
    transfer_with_seed,
)
from tests.chain.signer.orders import (
    AMOUNT,
    CLOCK,
    OTHER,
    POOL,
    SEED,
    THIEF,
    TIP_ACCOUNT,
    VENUE,
    WALLET,
    honest,
    message,
    order,
    parts,
    policy,
)

from fillwright.chain import programs
from fillwright.chain.signer.judge import judge, judge_sweep, tables_used
from fillwright.chain.signer.policy import Floor, Policy
from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import SignerRefused
from fillwright.domain.transactions import SwapPlan
from fillwright.venues.venue import Swap, SwapAccounts

ME = WALLET.pubkey()
TOKEN = programs.TOKEN
MY_WSOL = programs.token_account(ME, programs.WSOL)
MY_OTHER = programs.token_account(ME, Pubkey.from_string(OTHER))
THIEFS_OTHER = programs.token_account(THIEF, Pubkey.from_string(OTHER))
ORDER = order()


def token(data: bytes, *accounts: Pubkey) -> Instruction:
    metas = [AccountMeta(key, key == ME, True) for key in accounts]
    return Instruction(TOKEN, data, metas)


def swap(
    amount: int, limit: int, *, output: Pubkey = MY_OTHER, source: Pubkey = MY_WSOL, wallet: Pubkey = ME
) -> Instruction:
    asked = Swap(WRAPPED_SOL, SwapMode.EXACT_IN, amount)
    return VENUE.instruction(POOL, asked, limit, SwapAccounts(wallet, source, output), CLOCK)


def with_swap(instruction: Instruction) -> list[Instruction]:
    return [instruction if part.program_id == Pubkey.from_string(VENUE.program_id) else part for part in parts(ORDER)]


def plus(*extra: Instruction) -> list[Instruction]:
    return [*parts(ORDER), *extra]


def with_first(instruction: Instruction) -> list[Instruction]:
    return [instruction, *parts(ORDER)[1:]]


def marker(**changes: object) -> Instruction:
    base: dict[str, object] = {
        "from_pubkey": ME,
        "to_pubkey": programs.marker_account(ME, SEED),
        "base": ME,
        "seed": SEED,
        "lamports": 890_880,
        "space": 0,
        "owner": programs.SYSTEM,
    }
    return create_account_with_seed(CreateAccountWithSeedParams(**{**base, **changes}))  # type: ignore[typeddict-item]


def with_extra_account(instruction: Instruction, meta: AccountMeta) -> Instruction:
    return Instruction(instruction.program_id, bytes(instruction.data), [*instruction.accounts, meta])


def with_account(instruction: Instruction, index: int, key: Pubkey) -> Instruction:
    metas = list(instruction.accounts)
    metas[index] = AccountMeta(key, metas[index].is_signer, metas[index].is_writable)
    return Instruction(instruction.program_id, bytes(instruction.data), metas)


def sol_to(receiver: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=ME, to_pubkey=receiver, lamports=lamports))


def create_for(owner: Pubkey) -> Instruction:
    made = programs.create_token_account(ME, Pubkey.from_string(OTHER), TOKEN)
    made = with_account(made, 2, owner)
    return with_account(made, 1, programs.token_account(owner, Pubkey.from_string(OTHER)))


UNKNOWN = Pubkey.from_bytes(bytes([9]) * 32)
U64 = (2**64 - 1).to_bytes(8, "little")

HOSTILE: dict[str, Callable[[], list[Instruction]]] = {
    "SOL to a thief": lambda: plus(sol_to(THIEF, 1)),
    "SOL to a thief before the swap": lambda: [parts(ORDER)[0], sol_to(THIEF, 10**9), *parts(ORDER)[1:]],
    "a second wrap": lambda: plus(sol_to(MY_WSOL, 1)),
    "a second tip": lambda: plus(sol_to(TIP_ACCOUNT, 1)),
    "more wrapped than ordered": lambda: [
        sol_to(MY_WSOL, AMOUNT + 1) if bytes(p.data) == bytes(sol_to(MY_WSOL, AMOUNT).data) else p for p in parts(ORDER)
    ],
    "too high a tip": lambda: [*parts(ORDER)[:-1], sol_to(TIP_ACCOUNT, 5_001)],
    "tokens to a thief": lambda: plus(token(b"\x03" + (1).to_bytes(8, "little"), MY_OTHER, THIEFS_OTHER, ME)),
    "tokens to a thief, checked": lambda: plus(
        token(b"\x0c" + U64 + b"\x06", MY_OTHER, Pubkey.from_string(OTHER), THIEFS_OTHER, ME)
    ),
    "approve": lambda: plus(token(b"\x04" + U64, MY_OTHER, THIEF, ME)),
    "approve, checked": lambda: plus(token(b"\x0d" + U64 + b"\x06", MY_OTHER, Pubkey.from_string(OTHER), THIEF, ME)),
    "set authority": lambda: plus(token(b"\x06\x02\x01" + bytes(THIEF), MY_OTHER, ME)),
    "set close authority": lambda: plus(token(b"\x06\x03\x01" + bytes(THIEF), MY_WSOL, ME)),
    "burn": lambda: plus(token(b"\x08" + U64, MY_OTHER, Pubkey.from_string(OTHER), ME)),
    "close of a token account": lambda: plus(token(b"\x09", MY_OTHER, ME, ME)),
    "close of wSOL to a thief": lambda: [*parts(ORDER)[:-2], token(b"\x09", MY_WSOL, THIEF, ME)],
    "close with a multisig": lambda: [*parts(ORDER)[:-2], token(b"\x09", MY_WSOL, ME, ME, UNKNOWN)],
    "sync of a foreign account": lambda: plus(token(b"\x11", UNKNOWN)),
    "a Token-2022 instruction": lambda: plus(
        Instruction(programs.TOKEN_2022, b"\x09", [AccountMeta(MY_WSOL, False, True)])
    ),
    "a token account for a thief": lambda: plus(create_for(THIEF)),
    "a token account at a foreign address": lambda: plus(
        with_account(programs.create_token_account(ME, Pubkey.from_string(OTHER), TOKEN), 1, UNKNOWN)
    ),
    "a token account, not idempotent": lambda: plus(
        Instruction(
            programs.ASSOCIATED_TOKEN,
            b"",
            list(programs.create_token_account(ME, Pubkey.from_string(OTHER), TOKEN).accounts),
        )
    ),
    "recovery of nested accounts": lambda: plus(
        Instruction(
            programs.ASSOCIATED_TOKEN,
            b"\x02",
            list(programs.create_token_account(ME, Pubkey.from_string(OTHER), TOKEN).accounts),
        )
    ),
    "an unknown program": lambda: plus(Instruction(UNKNOWN, b"hello", [AccountMeta(ME, True, True)])),
    "a memo": lambda: plus(
        Instruction(Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"), b"hello", [])
    ),
    "another instruction of the venue": lambda: plus(
        Instruction(Pubkey.from_string(VENUE.program_id), bytes(8), list(swap(1, 1).accounts))
    ),
    "a swap with trailing bytes": lambda: with_swap(
        Instruction(
            Pubkey.from_string(VENUE.program_id),
            bytes(swap(AMOUNT, ORDER.limit).data) + b"\x00",
            list(swap(1, 1).accounts),
        )
    ),
    "a swap whose output goes to a thief": lambda: with_swap(swap(AMOUNT, ORDER.limit, output=THIEFS_OTHER)),
    "a swap from a foreign account": lambda: with_swap(swap(AMOUNT, ORDER.limit, source=UNKNOWN)),
    "a swap of more than ordered": lambda: with_swap(swap(AMOUNT + 1, ORDER.limit)),
    "a swap for less than the limit": lambda: with_swap(swap(AMOUNT, ORDER.limit - 1)),
    "a swap without a limit": lambda: with_swap(swap(AMOUNT, 0)),
    "the swap twice": lambda: plus(swap(AMOUNT, ORDER.limit)),
    "no swap": lambda: [p for p in parts(ORDER) if p.program_id != Pubkey.from_string(VENUE.program_id)],
    "a swap from output to input": lambda: with_swap(
        VENUE.instruction(POOL, Swap(OTHER, SwapMode.EXACT_IN, AMOUNT), 1, SwapAccounts(ME, MY_OTHER, MY_WSOL), CLOCK)
    ),
    "a swap exact-out instead of exact-in": lambda: with_swap(
        VENUE.instruction(
            POOL, Swap(WRAPPED_SOL, SwapMode.EXACT_OUT, ORDER.limit), AMOUNT, SwapAccounts(ME, MY_WSOL, MY_OTHER), CLOCK
        )
    ),
    "a swap in another pool of the same mints": lambda: with_swap(with_account(swap(AMOUNT, ORDER.limit), 3, UNKNOWN)),
    "a swap with an account too many": lambda: with_swap(
        with_extra_account(swap(AMOUNT, ORDER.limit), AccountMeta(UNKNOWN, False, True))
    ),
    "a swap that names the wallet's account as a vault": lambda: with_swap(
        with_account(swap(AMOUNT, ORDER.limit), 6, MY_OTHER)
    ),
    "no marker": lambda: parts(ORDER)[1:],
    "another order's marker": lambda: with_first(
        marker(seed="x" * 32, to_pubkey=programs.marker_account(ME, "x" * 32))
    ),
    "a marker given to a program": lambda: with_first(
        marker(owner=UNKNOWN, to_pubkey=Pubkey.create_with_seed(ME, SEED, UNKNOWN))
    ),
    "a marker with space": lambda: with_first(marker(space=165)),
    "a marker too dear": lambda: with_first(marker(lamports=2_000_001)),
    "a marker that does not outlive its transaction": lambda: with_first(marker(lamports=0)),
    "a marker elsewhere": lambda: with_first(marker(to_pubkey=UNKNOWN)),
    "a marker that is not first": lambda: [*parts(ORDER)[1:], parts(ORDER)[0]],
    "an account created": lambda: plus(
        create_account(
            CreateAccountParams(from_pubkey=ME, to_pubkey=MY_OTHER, lamports=1, space=0, owner=programs.SYSTEM)
        )
    ),
    "the wallet assigned to a program": lambda: plus(assign(AssignParams(pubkey=ME, owner=UNKNOWN))),
    "a durable nonce": lambda: [
        advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=UNKNOWN, authorized_pubkey=ME)),
        *parts(ORDER),
    ],
    "the marker swept in the same message": lambda: plus(
        transfer_with_seed(
            TransferWithSeedParams(
                from_pubkey=programs.marker_account(ME, SEED),
                from_base=ME,
                from_seed=SEED,
                from_owner=programs.SYSTEM,
                to_pubkey=ME,
                lamports=1,
            )
        )
    ),
    "too high a priority fee": lambda: [
        set_compute_unit_price(10**12) if part.program_id == programs.COMPUTE_BUDGET and part.data[0] == 3 else part
        for part in parts(ORDER)
    ],
    "a second unit price": lambda: plus(set_compute_unit_price(1)),
    "a second unit limit": lambda: plus(set_compute_unit_limit(1)),
    "another heap": lambda: plus(request_heap_frame(65_536)),
    "a dear fee on the default units": lambda: [
        set_compute_unit_price(2_000_000) if part.program_id == programs.COMPUTE_BUDGET and part.data[0] == 3 else part
        for part in parts(ORDER)
        if not (part.program_id == programs.COMPUTE_BUDGET and part.data[0] == 2)
    ],
    "nothing at all": list,
}


def test_the_corpus_is_large_enough() -> None:
    assert len(HOSTILE) >= 30


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_message_is_refused(name: str) -> None:
    with pytest.raises(SignerRefused) as refused:
        judge(message(HOSTILE[name]()), ORDER, ME, policy(), {})
    assert refused.value.code == "signer_refused"


@pytest.mark.parametrize("mode", list(SwapMode))
@pytest.mark.parametrize("mint", [WRAPPED_SOL, OTHER])
def test_an_honest_message_passes(mint: Mint, mode: SwapMode) -> None:
    plan = order(mint, AMOUNT // 10, mode)
    verdict = judge(honest(plan), plan, ME, policy(), {})
    assert verdict.input_mint == mint
    assert verdict.max_in == (plan.amount_in if mode is SwapMode.EXACT_IN else plan.limit)
    assert verdict.marker == str(programs.marker_account(ME, SEED))


def raw_v0(change: Callable[[MessageV0], MessageV0]) -> bytes:
    return bytes(to_bytes_versioned(change(MessageV0.from_bytes(honest(ORDER)[1:]))))


def two_signers(parsed: MessageV0) -> MessageV0:
    header = type(parsed.header)(2, 0, parsed.header.num_readonly_unsigned_accounts)
    return MessageV0(header, parsed.account_keys, parsed.recent_blockhash, parsed.instructions, [])


def an_account_twice(parsed: MessageV0) -> MessageV0:
    keys = [*parsed.account_keys, parsed.account_keys[0]]
    return MessageV0(parsed.header, keys, parsed.recent_blockhash, parsed.instructions, [])


def an_account_past_the_end(parsed: MessageV0) -> MessageV0:
    first = parsed.instructions[0]
    broken = type(first)(first.program_id_index, bytes(first.data), bytes([200]) * len(bytes(first.accounts)))
    instructions = [broken, *parsed.instructions[1:]]
    return MessageV0(parsed.header, parsed.account_keys, parsed.recent_blockhash, instructions, [])


TABLE = Pubkey.from_bytes(bytes([7]) * 32)


def with_table() -> bytes:
    """The honest message, with the pool's accounts behind a lookup table."""
    addresses = [meta.pubkey for meta in swap(AMOUNT, ORDER.limit).accounts if meta.pubkey != ME]
    account = AddressLookupTableAccount(TABLE, addresses)
    return bytes(to_bytes_versioned(MessageV0.try_compile(ME, parts(ORDER), [account], Hash.hash(b"x"))))


def an_empty_lookup(parsed: MessageV0) -> MessageV0:
    lookups = [MessageAddressTableLookup(TABLE, b"", b"")]
    return MessageV0(parsed.header, parsed.account_keys, parsed.recent_blockhash, parsed.instructions, lookups)


TABLE_ADDRESSES = [meta.pubkey for meta in swap(AMOUNT, ORDER.limit).accounts if meta.pubkey != ME]
BYTES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "meaningless": lambda: b"\x80" + bytes(range(100)),
    "too long": lambda: honest(ORDER) + bytes(1_232),
    "trailing bytes": lambda: honest(ORDER) + b"\x00",
    "a legacy message": lambda: bytes(to_bytes_versioned(Message(parts(ORDER), ME))),
    "another payer": lambda: message(parts(ORDER), THIEF),
    "two signers": lambda: raw_v0(two_signers),
    "an account listed twice": lambda: raw_v0(an_account_twice),
    "an account past the end": lambda: raw_v0(an_account_past_the_end),
    "a lookup table that the policy does not know": with_table,
    "a lookup table without a lookup": lambda: raw_v0(an_empty_lookup),
    "somebody else's whole transaction": lambda: message(
        [transfer(TransferParams(from_pubkey=THIEF, to_pubkey=ME, lamports=1))], THIEF
    ),
}


def test_a_table_that_is_named_without_a_lookup_is_refused_before_it_is_read() -> None:
    with pytest.raises(SignerRefused):
        tables_used(raw_v0(an_empty_lookup))


@pytest.mark.parametrize("seed", ["x" * 33, "é" * 17])
def test_a_marker_whose_seed_no_account_can_have_is_refused(seed: str) -> None:
    data = b"\x03\x00\x00\x00" + bytes(ME) + len(seed.encode()).to_bytes(8, "little") + seed.encode()
    data += (890_880).to_bytes(8, "little") + bytes(8) + bytes(programs.SYSTEM)
    made = Instruction(programs.SYSTEM, data, [AccountMeta(ME, True, True), AccountMeta(UNKNOWN, False, True)])
    with pytest.raises(SignerRefused):
        judge(message(with_first(made)), replace(ORDER, marker_seed=seed), ME, policy(), {})


@pytest.mark.parametrize("name", BYTES)
def test_broken_or_disguised_bytes_are_refused(name: str) -> None:
    with pytest.raises(SignerRefused):
        judge(BYTES[name](), ORDER, ME, policy(), {})


def test_lookup_tables_are_read_by_the_signer_and_a_swapped_address_shows() -> None:
    allowed = policy(lookup_tables=(str(TABLE),), rpc_url="http://127.0.0.1:1")
    judge(with_table(), ORDER, ME, allowed, {str(TABLE): TABLE_ADDRESSES})
    lying = [THIEFS_OTHER if key == MY_OTHER else key for key in TABLE_ADDRESSES]
    with pytest.raises(SignerRefused):
        judge(with_table(), ORDER, ME, allowed, {str(TABLE): lying})
    with pytest.raises(SignerRefused):
        judge(with_table(), ORDER, ME, allowed, {str(TABLE): TABLE_ADDRESSES[:1]})


PLANS: dict[str, tuple[SwapPlan, Policy]] = {
    "another wallet": (replace(ORDER, owner=str(THIEF)), policy()),
    "an input that may not be spent": (ORDER, policy(spend={OTHER: policy().spend[OTHER]})),
    "an output that is not allowed": (ORDER, policy(spend={WRAPPED_SOL: policy().spend[WRAPPED_SOL]})),
    "too large an order": (order(amount=AMOUNT + 1), policy()),
    "too much slippage": (replace(ORDER, limit=ORDER.amount_out * 98 // 100), policy()),
    "no limit": (replace(ORDER, limit=0), policy()),
    "a venue that is not allowed": (ORDER, policy(venues=("meteora_dlmm",))),
    "an instruction that is not allowed": (ORDER, policy(instructions={"raydium_cpmm": ("37d96256a34ab4ad",)})),
    "any instruction of a venue with none allowed": (ORDER, policy(instructions={"raydium_cpmm": ()})),
    "a price below the floor": (
        ORDER,
        policy(floors=(Floor(WRAPPED_SOL, OTHER, ORDER.amount_in, ORDER.amount_out),)),
    ),
    "a tip where none is allowed": (ORDER, policy(tip_accounts=())),
    "no marker where one is required": (replace(ORDER, marker_seed=""), policy()),
    "a negative amount": (replace(ORDER, amount_in=-AMOUNT), policy()),
    "no legs": (replace(ORDER, legs=()), policy()),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_beyond_the_policy_is_refused(name: str) -> None:
    plan, rules = PLANS[name]
    built = message(parts(plan)) if plan.legs and plan.amount_in > 0 else honest(ORDER)
    with pytest.raises(SignerRefused):
        judge(built, plan, ME, rules, {})


def test_the_instructions_that_the_policy_names_are_signed() -> None:
    named = {"raydium_cpmm": ("8fbe5adac41e33de",), "meteora_dlmm": ()}
    assert judge(honest(ORDER), ORDER, ME, policy(instructions=named), {}).max_in == AMOUNT


@given(st.data())
def test_no_flipped_byte_changes_where_money_goes(data: st.DataObject) -> None:
    raw = bytearray(honest(ORDER))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= data.draw(st.integers(1, 255))
    try:
        verdict = judge(bytes(raw), ORDER, ME, policy(), {})
    except SignerRefused:
        return
    # What still passes risks no more and asks no less than the order did.
    assert (verdict.max_in, verdict.min_out) == (AMOUNT, ORDER.limit)


@given(st.binary(max_size=1_300))
def test_meaningless_bytes_are_refused_not_crashed_on(raw: bytes) -> None:
    with pytest.raises(SignerRefused):
        judge(b"\x80" + raw, ORDER, ME, policy(), {})


def sweep(to: Pubkey = ME, base: Pubkey = ME) -> Instruction:
    return transfer_with_seed(
        TransferWithSeedParams(
            from_pubkey=programs.marker_account(ME, SEED), from_base=base, from_seed=SEED,
            from_owner=programs.SYSTEM, to_pubkey=to, lamports=890_880,
        )
    )  # fmt: skip


def test_a_sweep_gives_rent_back_to_the_wallet_and_does_nothing_else() -> None:
    assert judge_sweep(message([sweep()]), ME, policy()) == [str(programs.marker_account(ME, SEED))]
    for bad in ([sweep(to=THIEF)], [], [sweep(), sol_to(THIEF, 1)], [sol_to(THIEF, 1)], [set_compute_unit_limit(1)]):
        with pytest.raises(SignerRefused):
            judge_sweep(message(bad), ME, policy())
