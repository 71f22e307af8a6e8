"""More hostile messages: what a taken-over engine might try next. Each is an honest one, changed in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.message import MessageAddressTableLookup, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
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
from tests.chain.signer.test_judge import (
    MY_OTHER,
    MY_WSOL,
    TABLE,
    THIEFS_OTHER,
    U64,
    UNKNOWN,
    marker,
    plus,
    sol_to,
    swap,
    sweep,
    token,
    with_account,
    with_extra_account,
    with_first,
    with_swap,
)
from tests.chain.signer.test_service import signer

from fillwright.chain import programs
from fillwright.chain.signer.judge import judge, judge_sweep, tables_used
from fillwright.chain.signer.policy import Policy, Spending
from fillwright.chain.swaps import SHAPES
from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import SignerRefused
from fillwright.domain.transactions import SwapPlan
from fillwright.venues.venue import Swap, SwapAccounts

ME = WALLET.pubkey()
ORDER = order()
SELL = order(OTHER, AMOUNT // 10)
PROGRAM = Pubkey.from_string(VENUE.program_id)
MINT = Pubkey.from_string(OTHER)
MY_OTHER_2022 = programs.token_account(ME, MINT, programs.TOKEN_2022)
NONCE = Pubkey.from_bytes(bytes([11]) * 32)
SYSVAR = Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111")


def system(tag: int, data: bytes = b"", *accounts: Pubkey) -> Instruction:
    metas = [AccountMeta(key, key == ME, True) for key in (accounts or (ME, THIEF))]
    return Instruction(programs.SYSTEM, tag.to_bytes(4, "little") + data, metas)


def token_2022(data: bytes, *accounts: Pubkey) -> Instruction:
    return Instruction(programs.TOKEN_2022, data, [AccountMeta(key, key == ME, True) for key in accounts])


def budget(data: bytes, *accounts: Pubkey) -> Instruction:
    return Instruction(programs.COMPUTE_BUDGET, data, [AccountMeta(key, False, False) for key in accounts])


def with_data(instruction: Instruction, data: bytes) -> Instruction:
    return Instruction(instruction.program_id, data, list(instruction.accounts))


def create(token_program: Pubkey = programs.TOKEN, mint: Pubkey = MINT) -> Instruction:
    return programs.create_token_account(ME, mint, token_program)


def without(instruction: Instruction, index: int) -> Instruction:
    metas = [meta for number, meta in enumerate(instruction.accounts) if number != index]
    return Instruction(instruction.program_id, bytes(instruction.data), metas)


def moved(first: int, second: int) -> list[Instruction]:
    found = parts(ORDER)
    found[first], found[second] = found[second], found[first]
    return found


def as_program(program: Pubkey) -> list[Instruction]:
    held = swap(AMOUNT, ORDER.limit)
    return with_swap(Instruction(program, bytes(held.data), list(held.accounts)))


def seeded(base: Pubkey) -> bytes:
    return bytes(base) + len(SEED).to_bytes(8, "little") + SEED.encode()


HONEST_SWAP = swap(AMOUNT, ORDER.limit)
HONEST_CLOSE = token(b"\x09", MY_WSOL, ME, ME)
MARKER = parts(ORDER)[0]
AUTHORITY = b"\x06\x02\x01" + bytes(THIEF)

HOSTILE: dict[str, Callable[[], list[Instruction]]] = {
    # Order, number and doubles
    "the marker after the unit limit": lambda: moved(0, 1),
    "the marker twice": lambda: [MARKER, *parts(ORDER)],
    "a marker of another seed beside the own": lambda: plus(
        marker(seed="y" * 32, to_pubkey=programs.marker_account(ME, "y" * 32))
    ),
    "a marker with trailing bytes": lambda: with_first(with_data(MARKER, bytes(MARKER.data) + b"\x00")),
    "a marker that is cut off": lambda: with_first(with_data(MARKER, bytes(MARKER.data)[:-1])),
    "a marker with a third account": lambda: with_first(with_extra_account(MARKER, AccountMeta(UNKNOWN, False, True))),
    "a marker under another's base": lambda: with_first(
        marker(base=THIEF, to_pubkey=Pubkey.create_with_seed(THIEF, SEED, programs.SYSTEM))
    ),
    "a marker of the token program": lambda: with_first(
        marker(owner=programs.TOKEN, to_pubkey=Pubkey.create_with_seed(ME, SEED, programs.TOKEN))
    ),
    "a marker of all lamports": lambda: with_first(marker(lamports=2**64 - 1)),
    "the order in two halves": lambda: [
        *with_swap(swap(AMOUNT // 2, ORDER.limit // 2)),
        swap(AMOUNT - AMOUNT // 2, ORDER.limit - ORDER.limit // 2),
    ],
    "a second swap of one unit": lambda: plus(swap(1, 0)),
    "the way back after the swap": lambda: plus(
        VENUE.instruction(POOL, Swap(OTHER, SwapMode.EXACT_IN, 1), 0, SwapAccounts(ME, MY_OTHER, MY_WSOL), CLOCK)
    ),
    "thirty-three instructions": lambda: [*parts(ORDER), *[token(b"\x11", MY_WSOL)] * 33],
    # Amounts, pools, mints
    "a swap of everything": lambda: with_swap(swap(2**64 - 1, ORDER.limit)),
    "a swap of nothing for nothing": lambda: with_swap(swap(0, 0)),
    "the pool's other pool": lambda: with_swap(with_account(HONEST_SWAP, 3, UNKNOWN)),
    "the same accounts in an unknown program": lambda: as_program(UNKNOWN),
    "the same accounts in another venue's program": lambda: as_program(Pubkey.from_string(SHAPES[0].program)),
    "the same accounts in the token program": lambda: as_program(programs.TOKEN),
    "a swap with the wallet as authority of a vault": lambda: with_swap(with_account(HONEST_SWAP, 1, ME)),
    "a swap of a thief's tokens into the wallet's": lambda: with_swap(with_account(HONEST_SWAP, 4, THIEFS_OTHER)),
    "a swap whose output is the pool's vault": lambda: with_swap(with_account(HONEST_SWAP, 5, UNKNOWN)),
    "a swap whose vault is the wallet's wSOL": lambda: with_swap(with_account(HONEST_SWAP, 7, MY_WSOL)),
    "a swap with an account too few": lambda: with_swap(without(HONEST_SWAP, 12)),
    "a swap that is cut off": lambda: with_swap(with_data(HONEST_SWAP, bytes(HONEST_SWAP.data)[:-1])),
    "a deposit into the pool": lambda: with_swap(
        with_data(HONEST_SWAP, bytes.fromhex("f223c68952e1f2b6") + bytes(HONEST_SWAP.data)[8:])
    ),
    # SOL
    "one lamport to a stranger, before the marker": lambda: [sol_to(THIEF, 1), *parts(ORDER)],
    "nothing to a stranger": lambda: plus(sol_to(THIEF, 0)),
    "a tip of all there is": lambda: [*parts(ORDER)[:-1], sol_to(TIP_ACCOUNT, 2**64 - 1)],
    "two tips that are small together": lambda: [
        *parts(ORDER)[:-1],
        sol_to(TIP_ACCOUNT, 1),
        sol_to(TIP_ACCOUNT, 1),
    ],
    "a tip with trailing bytes": lambda: [
        *parts(ORDER)[:-1],
        with_data(sol_to(TIP_ACCOUNT, 1), bytes(sol_to(TIP_ACCOUNT, 1).data) + b"\x00"),
    ],
    "a transfer of three accounts": lambda: plus(system(2, (1).to_bytes(8, "little"), ME, MY_WSOL, THIEF)),
    "a transfer from the marker to a thief": lambda: plus(
        system(11, (1).to_bytes(8, "little") + seeded(ME), programs.marker_account(ME, SEED), ME, THIEF)
    ),
    "a transfer with a seed from the wallet": lambda: plus(
        system(11, (1).to_bytes(8, "little") + seeded(ME), ME, ME, THIEF)
    ),
    # The System program's other instructions
    "an account with a seed that is no marker": lambda: plus(
        marker(to_pubkey=Pubkey.create_with_seed(ME, "z", UNKNOWN), seed="z", owner=UNKNOWN)
    ),
    "a nonce advanced after the marker": lambda: plus(system(4, b"", NONCE, SYSVAR, ME)),
    "a nonce withdrawn": lambda: plus(system(5, (1).to_bytes(8, "little"), NONCE, THIEF, ME)),
    "a nonce made": lambda: plus(system(6, bytes(THIEF), NONCE, SYSVAR)),
    "a nonce given away": lambda: plus(system(7, bytes(THIEF), NONCE, ME)),
    "space for the wallet": lambda: plus(system(8, (165).to_bytes(8, "little"), ME)),
    "space with a seed": lambda: plus(system(9, seeded(ME) + bytes(40), MY_OTHER, ME)),
    "assigned with a seed": lambda: plus(system(10, seeded(ME) + bytes(THIEF), MY_OTHER, ME)),
    "an instruction of System that is not made yet": lambda: plus(system(13, bytes(56), ME, THIEF)),
    "no instruction of System": lambda: plus(Instruction(programs.SYSTEM, b"", [AccountMeta(ME, True, True)])),
    # Token and Token-2022
    "approve, Token-2022": lambda: plus(token_2022(b"\x04" + U64, MY_OTHER_2022, THIEF, ME)),
    "set authority, Token-2022": lambda: plus(token_2022(AUTHORITY, MY_OTHER_2022, ME)),
    "close of wSOL, Token-2022": lambda: [*parts(ORDER)[:-2], token_2022(b"\x09", MY_WSOL, ME, ME)],
    "transfer with a fee, Token-2022": lambda: plus(
        token_2022(b"\x1a\x01" + U64 + b"\x06" + bytes(8), MY_OTHER_2022, MINT, THIEFS_OTHER, ME)
    ),
    "set the owner of wSOL": lambda: plus(token(AUTHORITY, MY_WSOL, ME)),
    "revoke": lambda: plus(token(b"\x05", MY_OTHER, ME)),
    "mint": lambda: plus(token(b"\x07" + U64, MINT, THIEFS_OTHER, ME)),
    "freeze": lambda: plus(token(b"\x0a", MY_OTHER, MINT, ME)),
    "burn, checked": lambda: plus(token(b"\x0f" + U64 + b"\x06", MY_OTHER, MINT, ME)),
    "an account of a thief's": lambda: plus(token(b"\x12" + bytes(THIEF), UNKNOWN, MINT)),
    "excess lamports withdrawn": lambda: plus(token(b"\x26", MY_OTHER, THIEF, ME)),
    "wSOL unwrapped to a thief": lambda: plus(token(b"\x2d\x00", MY_WSOL, THIEF, ME)),
    "a batch that holds a transfer": lambda: plus(
        token(b"\xff\x03\x09\x03" + (1).to_bytes(8, "little"), MY_OTHER, THIEFS_OTHER, ME)
    ),
    "a close under another's authority": lambda: [*parts(ORDER)[:-2], token(b"\x09", MY_WSOL, ME, THIEF)],
    "a close with trailing bytes": lambda: [*parts(ORDER)[:-2], with_data(HONEST_CLOSE, b"\x09\x00")],
    "a sync with a second account": lambda: plus(token(b"\x11", MY_WSOL, THIEF)),
    "no instruction of Token": lambda: plus(token(b"", MY_WSOL)),
    # Token accounts
    "a token account of a mint that is not traded": lambda: plus(create(mint=UNKNOWN)),
    "a Token account made by Token-2022": lambda: plus(with_account(create(), 5, programs.TOKEN_2022)),
    "a token account of another mint": lambda: plus(with_account(create(), 3, programs.WSOL)),
    "a token account with a false System program": lambda: plus(with_account(create(), 4, UNKNOWN)),
    "a token account with trailing bytes": lambda: plus(with_data(create(), b"\x01\x00")),
    "a token account with an account too many": lambda: plus(
        with_extra_account(create(), AccountMeta(UNKNOWN, False, False))
    ),
    # Compute budget
    "units as they were asked for once": lambda: plus(budget(b"\x00" + bytes(8))),
    "a limit on loaded data": lambda: plus(budget(b"\x04" + bytes(4))),
    "an unknown budget": lambda: plus(budget(b"\x05" + bytes(4))),
    "no budget": lambda: plus(budget(b"")),
    "a price that is cut off": lambda: [
        budget(b"\x03" + bytes(7)) if bytes(part.data)[:1] == b"\x03" and part.program_id == programs.COMPUTE_BUDGET
        else part for part in parts(ORDER)
    ],
    "a price with an account": lambda: [
        budget(bytes(part.data), UNKNOWN) if part.program_id == programs.COMPUTE_BUDGET else part
        for part in parts(ORDER)
    ],
    "the dearest price there is": lambda: [
        set_compute_unit_price(2**64 - 1) if part.program_id == programs.COMPUTE_BUDGET and part.data[0] == 3 else part
        for part in parts(ORDER)
    ],
    "more units than there are, at a price": lambda: [
        set_compute_unit_limit(2**32 - 1) if part.program_id == programs.COMPUTE_BUDGET and part.data[0] == 2 else part
        for part in parts(ORDER)
    ],
    # Other programs
    "a vote": lambda: plus(
        Instruction(Pubkey.from_string("Vote111111111111111111111111111111111111111"), b"\x00", [])
    ),
    "an upgrade of a program": lambda: plus(
        Instruction(
            Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111"), b"\x04\x00\x00\x00",
            [AccountMeta(UNKNOWN, False, True), AccountMeta(ME, True, False), AccountMeta(THIEF, False, False)],
        )
    ),
    "a lookup table made": lambda: plus(
        Instruction(
            Pubkey.from_string("AddressLookupTab1e1111111111111111111111111"), bytes(13), [AccountMeta(ME, True, True)]
        )
    ),
    "a signature checked by a precompile": lambda: plus(
        Instruction(Pubkey.from_string("Ed25519SigVerify111111111111111111111111111"), b"\x00\x00", [])
    ),
}  # fmt: skip


def test_each_is_new_and_there_are_more_than_forty() -> None:
    assert len(HOSTILE) + len(BYTES) > 80
    built = {message(build()) for build in HOSTILE.values()}
    assert len(built) == len(HOSTILE)
    assert honest(ORDER) not in built


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_message_is_refused(name: str) -> None:
    with pytest.raises(SignerRefused) as refused:
        judge(message(HOSTILE[name]()), ORDER, ME, policy(), {})
    assert refused.value.code == "signer_refused"


def test_sol_is_not_wrapped_for_an_order_that_spends_tokens() -> None:
    judge(honest(SELL), SELL, ME, policy(), {})
    with pytest.raises(SignerRefused, match="wrapped"):
        judge(message([*parts(SELL), sol_to(MY_WSOL, 1)]), SELL, ME, policy(), {})


PARSED = MessageV0.from_bytes(honest(ORDER)[1:])


def raw(
    header: tuple[int, int, int] | None = None,
    keys: Sequence[Pubkey] | None = None,
    instructions: Sequence[CompiledInstruction] | None = None,
    lookups: Sequence[MessageAddressTableLookup] = (),
) -> bytes:
    """The honest message with some of its parts replaced."""
    head = PARSED.header if header is None else type(PARSED.header)(*header)
    held = list(PARSED.account_keys if keys is None else keys)
    given = list(PARSED.instructions if instructions is None else instructions)
    return bytes(to_bytes_versioned(MessageV0(head, held, PARSED.recent_blockhash, given, list(lookups))))


def spelled(prefix: int, count: bytes) -> bytes:
    """The honest message with its number of keys spelled as `count`."""
    whole = honest(ORDER)
    assert whole[4] == len(PARSED.account_keys)
    return whole[:4] + count + whole[5 + prefix :]


def looked_up(*hidden: Pubkey) -> bytes:
    """The honest message with these accounts behind the policy's lookup table."""
    table = AddressLookupTableAccount(TABLE, list(hidden))
    return bytes(to_bytes_versioned(MessageV0.try_compile(ME, parts(ORDER), [table], Hash.hash(b"x"))))


FIRST = PARSED.instructions[0]
BYTES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a version alone": lambda: b"\x80",
    "version 1": lambda: b"\x81" + honest(ORDER)[1:],
    "version 127": lambda: b"\xff" + honest(ORDER)[1:],
    "no version": lambda: honest(ORDER)[1:],
    "a whole transaction instead of its message": lambda: b"\x01" + bytes(64) + honest(ORDER),
    "ten megabytes": lambda: honest(ORDER) + bytes(10_000_000),
    "the last byte missing": lambda: honest(ORDER)[:-1],
    "the message twice": lambda: honest(ORDER) * 2,
    "a count in two bytes that needs one": lambda: spelled(0, bytes([len(PARSED.account_keys) | 0x80, 0])),
    "a count in three bytes": lambda: spelled(0, bytes([len(PARSED.account_keys) | 0x80, 0x80, 0])),
    "a count that never ends": lambda: spelled(0, b"\xff\xff\xff"),
    "a count of more keys than there are": lambda: spelled(0, b"\xff\x7f"),
    "no signer": lambda: raw(header=(0, 0, 1)),
    "more signers than keys": lambda: raw(header=(255, 0, 0)),
    "a fee payer that can't be written to": lambda: raw(header=(1, 1, 0)),
    "a thief who pays while the wallet signs too": lambda: raw(
        header=(2, 0, PARSED.header.num_readonly_unsigned_accounts), keys=[THIEF, *PARSED.account_keys]
    ),
    "no keys": lambda: raw(keys=()),
    "no instructions": lambda: raw(instructions=()),
    "a program past the end": lambda: raw(
        instructions=[CompiledInstruction(250, bytes(FIRST.data), bytes(FIRST.accounts))]
    ),
    "a table twice": lambda: raw(lookups=[MessageAddressTableLookup(TABLE, b"\x00", b"")] * 2),
    "an address of a table twice": lambda: raw(lookups=[MessageAddressTableLookup(TABLE, b"\x00\x00", b"")]),
    "the wallet behind a table": lambda: raw(lookups=[MessageAddressTableLookup(TABLE, b"\x01", b"")]),
    "an index past the table's end": lambda: raw(lookups=[MessageAddressTableLookup(TABLE, b"\xff", b"")]),
    "a table with nothing looked up": lambda: raw(lookups=[MessageAddressTableLookup(TABLE, b"", b"")]),
    "another table": lambda: raw(lookups=[MessageAddressTableLookup(UNKNOWN, b"\x00", b"")]),
    "seventeen tables": lambda: raw(lookups=[MessageAddressTableLookup(UNKNOWN, b"\x00", b"")] * 17),
}


@pytest.mark.parametrize("name", BYTES)
def test_garbled_or_disguised_bytes_are_refused(name: str) -> None:
    allowed = policy(lookup_tables=(str(TABLE),), rpc_url="http://127.0.0.1:1")

    def judged(message: bytes) -> None:
        """As the service does: first the tables that are to be read, then the whole."""
        tables_used(message)
        judge(message, ORDER, ME, allowed, {str(TABLE): [UNKNOWN, ME]})

    with pytest.raises(SignerRefused):
        judged(BYTES[name]())


@pytest.mark.parametrize("account", [MY_OTHER, MY_WSOL, TIP_ACCOUNT, Pubkey.from_string(POOL.address)])
def test_what_a_table_really_holds_decides_whom_a_message_is_for(account: Pubkey) -> None:
    allowed = policy(lookup_tables=(str(TABLE),), rpc_url="http://127.0.0.1:1")
    raw_message = looked_up(account)
    judge(raw_message, ORDER, ME, allowed, {str(TABLE): [account]})
    for other in (THIEF, THIEFS_OTHER):
        with pytest.raises(SignerRefused):
            judge(raw_message, ORDER, ME, allowed, {str(TABLE): [other]})


LEG = ORDER.legs[0]
PLANS: dict[str, tuple[SwapPlan, Policy]] = {
    "a limit below the policy's slippage": (replace(ORDER, limit=ORDER.amount_out * 989 // 1_000), policy()),
    "an amount above what is allowed": (replace(ORDER, amount_in=AMOUNT + 1), policy()),
    "more than 64 bits": (replace(ORDER, amount_in=2**70), policy(spend={WRAPPED_SOL: Spending(2**80, 2**80)})),
    "an output of nothing": (replace(ORDER, amount_out=0, limit=0), policy()),
    "an output below zero": (replace(ORDER, amount_out=-1, limit=-1), policy()),
    "a leg of another venue": (replace(ORDER, legs=(replace(LEG, venue="raydium_clmm"),)), policy()),
    "a leg of another pool": (replace(ORDER, legs=(replace(LEG, pool=str(UNKNOWN)),)), policy()),
    "a leg of other mints": (replace(ORDER, legs=(replace(LEG, output_mint=LEG.input_mint),)), policy()),
    "a leg too many": (replace(ORDER, legs=(LEG, LEG)), policy()),
    "the output for the input": (replace(ORDER, output_mint=WRAPPED_SOL), policy()),
    "an output that is no mint": (replace(ORDER, output_mint=Mint("")), policy()),
    "an input that is no mint": (replace(ORDER, input_mint=Mint("x")), policy()),
    "the other mode": (replace(ORDER, mode=SwapMode.EXACT_OUT), policy()),
    "another's marker": (replace(ORDER, marker_seed="0" * 32), policy()),
    "a marker without a seed": (replace(ORDER, marker_seed=""), policy()),
    "a marker of half a seed": (replace(ORDER, marker_seed=SEED[:16]), policy()),
    "a signer that allows nothing": (ORDER, policy(spend={})),
    "no more fees than a signature": (ORDER, policy(max_priority_fee_lamports=0)),
    "no rent for a marker": (ORDER, policy(max_marker_lamports=890_879)),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_message_beyond_its_plan_or_a_plan_beyond_its_policy_is_refused(name: str) -> None:
    plan, rules = PLANS[name]
    with pytest.raises(SignerRefused):
        judge(honest(ORDER), plan, ME, rules, {})


def test_a_message_that_was_signed_for_one_order_is_not_signed_for_another(tmp_path: Path) -> None:
    async def run() -> None:
        first, second = order(seed="1" * 32), order(seed="2" * 32)
        async with signer(tmp_path) as running:
            signed = await running.client.sign(honest(first), first)
            assert await running.client.sign(honest(first), first) == signed
            with pytest.raises(SignerRefused):
                await running.client.sign(honest(first), second)
            spent = running.service._book.spent(WRAPPED_SOL, running.clock.ms)
            assert spent == AMOUNT

    asyncio.run(run())


SWEEPS: dict[str, Callable[[], list[Instruction]]] = {
    "to a thief": lambda: [sweep(to=THIEF)],
    "under a thief's base": lambda: [sweep(base=THIEF)],
    "with a swap": lambda: [sweep(), HONEST_SWAP],
    "with a marker": lambda: [sweep(), MARKER],
    "with a close": lambda: [sweep(), HONEST_CLOSE],
    "with a transfer to the wallet's wSOL": lambda: [sweep(), sol_to(MY_WSOL, 1)],
    "with a nonce": lambda: [system(4, b"", NONCE, SYSVAR, ME), sweep()],
    "at a high price": lambda: [set_compute_unit_price(10**12), sweep()],
    "with a heap": lambda: [budget(b"\x01" + bytes(4)), sweep()],
    "with an account too many": lambda: [with_extra_account(sweep(), AccountMeta(THIEF, False, True))],
}


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_that_does_anything_else_is_refused(name: str) -> None:
    judge_sweep(message([sweep()]), ME, policy())
    with pytest.raises(SignerRefused):
        judge_sweep(message(SWEEPS[name]()), ME, policy())
