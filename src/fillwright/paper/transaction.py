"""Paper transactions: real signed Solana transactions whose swap a made-up program understands.

In: a plan and a blockhash, or raw signed bytes. Out: message bytes, or the plan that the bytes hold. The first
instruction creates the order's marker account, where it wants one; the second one carries the swap as
MessagePack. Must not: know what the chain holds.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec
from msgspec.structs import replace
from solders.errors import BincodeError
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message, MessageV0, from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import (
    ID,
    CreateAccountWithSeedParams,
    create_account_with_seed,
    decode_create_account_with_seed,
)

from fillwright.domain.accounts import Address, Mint
from fillwright.domain.amounts import U64_MAX, SwapMode
from fillwright.domain.errors import ChainError
from fillwright.domain.transactions import Blockhash, SwapPlan

PAPER_SWAP_PROGRAM = Pubkey.from_string("PaperSwapFiLLwright111111111111111111111111")
MARKER_LAMPORTS = 890_880
MAX_TRANSACTION_BYTES = 1_232
_SIGNATURE_BYTES = 64
_MARKER_CACHE = 4_096
_PARSED_CACHE = 1_024
_ADDRESS_CACHE = 4_096
"""Base58 is slow, and the same pools, mints and wallets come again and again."""


class PaperLeg(msgspec.Struct, frozen=True, array_like=True):
    """One swap. Mints are positions in `PaperSwap.mints`; the mode's free side is only the quote. `limit` is the leg's
    own bound: its min-out for exact-in, its max-in for exact-out (0: none)."""

    pool: bytes
    input: int
    output: int
    amount_in: int
    amount_out: int
    limit: int = 0


class PaperSwap(msgspec.Struct, frozen=True, array_like=True):
    """What the paper program is asked to do. `mints` begins with the swap's own input and output."""

    order_id: str
    attempt: int
    owner: str
    mode: SwapMode
    limit: int
    mints: tuple[bytes, ...]
    legs: tuple[PaperLeg, ...]


class Transaction(msgspec.Struct, frozen=True):
    """A transaction as read from its bytes. `signature` is "" for a message that nobody has signed.

    `marker_seed` is "" where the transaction makes no marker. `mints` are those of `swap` in base58.
    """

    signature: str
    payer: str
    blockhash: bytes
    marker_seed: str
    swap: PaperSwap
    mints: tuple[Mint, ...]

    def pool(self, leg: PaperLeg) -> Address:
        return _address(leg.pool)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PaperSwap).decode


@lru_cache(maxsize=_MARKER_CACHE)
def marker_address(wallet: Pubkey, seed: str) -> Pubkey:
    """Where `wallet`'s marker with this seed stands."""
    return Pubkey.create_with_seed(wallet, seed, ID)


def build_message(plan: SwapPlan, blockhash: Blockhash, wallet: Pubkey) -> bytes:
    """The unsigned v0 message of `plan`, paid for by `wallet`.

    Raises ChainError `transaction_too_large`: nothing was sent, and these very legs never fit.
    """
    swap, mints = _swap_of(plan)
    instructions = [Instruction(PAPER_SWAP_PROGRAM, _encode(swap), [AccountMeta(wallet, True, True)])]
    if plan.marker_seed:
        instructions.insert(0, _marker_instruction(plan.marker_seed, wallet))
    recent = Hash.from_string(blockhash.value)
    raw = to_bytes_versioned(MessageV0.try_compile(wallet, instructions, [], recent))
    check_size(1 + _SIGNATURE_BYTES + len(raw))
    if _is_whole(swap):
        _remember(raw, Transaction("", str(wallet), bytes(recent), plan.marker_seed, swap, mints))
    return raw


def check_size(size: int) -> None:
    """Raises ChainError `transaction_too_large` where `size` bytes are more than a packet holds."""
    if size > MAX_TRANSACTION_BYTES:
        message = f"a transaction of {size} bytes exceeds the network's {MAX_TRANSACTION_BYTES}"
        raise ChainError(message, code="transaction_too_large")


def parse_signed(raw: bytes) -> Transaction:
    """The transaction in `raw`; its signature is not verified here. Raises ChainError `transaction_invalid`."""
    if len(raw) <= 1 + _SIGNATURE_BYTES or raw[0] != 1:
        raise _invalid("it does not begin with exactly one signature")
    signature = Signature.from_bytes(raw[1 : 1 + _SIGNATURE_BYTES])
    return replace(_parse(raw[1 + _SIGNATURE_BYTES :]), signature=str(signature))


def parse_message(message: bytes) -> Transaction:
    """The transaction that an unsigned message describes. Raises ChainError `transaction_invalid`."""
    return _parse(message)


def signature_of(raw: bytes) -> str:
    """The first signature of a signed transaction, not verified. Raises ChainError `transaction_invalid`."""
    if len(raw) <= 1 + _SIGNATURE_BYTES:
        raise _invalid("it holds no signature")
    return str(Signature.from_bytes(raw[1 : 1 + _SIGNATURE_BYTES]))


def is_signed(raw: bytes, payer: str) -> bool:
    """Whether the signature is this payer's over these bytes. `raw` has been parsed before."""
    signature = Signature.from_bytes(raw[1 : 1 + _SIGNATURE_BYTES])
    return signature.verify(_pubkey(payer), raw[1 + _SIGNATURE_BYTES :])


def _swap_of(plan: SwapPlan) -> tuple[PaperSwap, tuple[Mint, ...]]:
    """The swap and its mints in base58."""
    mints = [plan.input_mint, plan.output_mint]
    for leg in plan.legs:
        mints.extend(mint for mint in (leg.input_mint, leg.output_mint) if mint not in mints)
    legs = tuple(
        PaperLeg(
            _key(leg.pool),
            mints.index(leg.input_mint),
            mints.index(leg.output_mint),
            leg.amount_in,
            leg.amount_out,
            min(leg.limit, U64_MAX),
        )
        for leg in plan.legs
    )
    # More than everything is no limit: a max-in beyond 2^64 - 1 means the same as that.
    limit = min(plan.limit, U64_MAX)
    keys = tuple(map(_key, mints))
    return PaperSwap(plan.order_id, plan.attempt, plan.owner, plan.mode, limit, keys, legs), tuple(mints)


@lru_cache(maxsize=_ADDRESS_CACHE)
def _pubkey(address: str) -> Pubkey:
    return Pubkey.from_string(address)


@lru_cache(maxsize=_ADDRESS_CACHE)
def _key(address: str) -> bytes:
    return bytes(_pubkey(address))


@lru_cache(maxsize=_ADDRESS_CACHE)
def _address(key: bytes) -> Address:
    return Address(str(Pubkey.from_bytes(key)))


def _marker_instruction(seed: str, wallet: Pubkey) -> Instruction:
    return create_account_with_seed(
        CreateAccountWithSeedParams(
            from_pubkey=wallet,
            to_pubkey=marker_address(wallet, seed),
            base=wallet,
            seed=seed,
            lamports=MARKER_LAMPORTS,
            space=0,
            owner=ID,
        )
    )


_parsed: dict[bytes, Transaction] = {}
"""The newest messages and what they say: most are built, simulated and sent in one process."""


def _remember(raw: bytes, transaction: Transaction) -> None:
    while len(_parsed) >= _PARSED_CACHE:
        del _parsed[next(iter(_parsed))]
    _parsed[raw] = transaction


def _parse(raw: bytes) -> Transaction:
    transaction = _parsed.get(raw)
    if transaction is None:
        transaction = read_message(raw)
        _remember(raw, transaction)
    return transaction


def read_message(raw: bytes) -> Transaction:
    """As `parse_message`, from nothing but the bytes."""
    try:
        message = from_bytes_versioned(raw)
    except (BincodeError, ValueError) as error:
        raise _invalid(str(error)) from error
    if not isinstance(message, Message | MessageV0):
        raise _invalid("its message is neither legacy nor version 0")
    keys, instructions = message.account_keys, message.instructions
    if not 1 <= len(instructions) <= 2 or message.header.num_required_signatures != 1:
        raise _invalid("expected a marker and a swap, or a swap alone, with one signature")
    if any(index >= len(keys) for part in instructions for index in (part.program_id_index, *part.accounts)):
        raise _invalid("an instruction names an account that is not listed")
    swap_part = instructions[-1]
    if keys[swap_part.program_id_index] != PAPER_SWAP_PROGRAM:
        raise _invalid(f"the last instruction is not one of {PAPER_SWAP_PROGRAM}")
    try:
        swap = _decode(swap_part.data)
        mints = tuple(Mint(_address(mint)) for mint in swap.mints)
    except (msgspec.MsgspecError, ValueError) as error:
        raise _invalid(f"its swap can't be read: {error}") from error
    _check(swap)
    seed = _marker_seed(message) if len(instructions) == 2 else ""
    return Transaction("", str(keys[0]), bytes(message.recent_blockhash), seed, swap, mints)


def _is_whole(swap: PaperSwap) -> bool:
    try:
        _check(swap)
    except ChainError:
        return False
    return True


def _check(swap: PaperSwap) -> None:
    known = range(len(swap.mints))
    if len(swap.mints) < 2 or not swap.legs:
        raise _invalid("a swap has two mints and a leg at least")
    for leg in swap.legs:
        if leg.input not in known or leg.output not in known or len(leg.pool) != Pubkey.LENGTH:
            raise _invalid("a leg names a mint or a pool that is none")
        if not all(0 <= amount <= U64_MAX for amount in (leg.amount_in, leg.amount_out, leg.limit)):
            raise _invalid("a leg's amount is no u64")


def _marker_seed(message: Message | MessageV0) -> str:
    keys, part = message.account_keys, message.instructions[0]
    accounts = [AccountMeta(keys[index], False, False) for index in part.accounts]
    if keys[part.program_id_index] != ID:
        raise _invalid("the first instruction is not one of the System program")
    try:
        marker = decode_create_account_with_seed(Instruction(ID, part.data, accounts))
    except (BincodeError, ValueError, IndexError) as error:
        raise _invalid(f"its marker can't be read: {error}") from error
    if marker["base"] != keys[0] or marker["to_pubkey"] != marker_address(keys[0], marker["seed"]):
        raise _invalid("the marker is not the payer's own")
    return str(marker["seed"])


def _invalid(why: str) -> ChainError:
    return ChainError(f"not a transaction that the paper chain runs: {why}", code="transaction_invalid")
