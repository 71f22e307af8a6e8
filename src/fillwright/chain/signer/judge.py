"""Whether a message does what its order asks and nothing else. Pure: bytes, plan, policy, tables in; a verdict out.

Every instruction must be one of a short list, with its accounts exactly so; everything else is refused. The
wallet's accounts are derived here, never believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from solders.errors import BincodeError
from solders.message import MessageV0, from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey

from fillwright.chain import programs
from fillwright.chain.fees import priority_fee_lamports
from fillwright.chain.signer.policy import Policy
from fillwright.chain.swaps import SwapCall, decode_swap
from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import SignerRefused
from fillwright.domain.transactions import SwapPlan

MAX_MESSAGE_BYTES = 1_232 - 65
MAX_INSTRUCTIONS = 32
MAX_LOOKUPS = 16
MAX_SEED_BYTES = 32
SIGNATURE_FEE_LAMPORTS = 5_000
_BPS = 10_000
_UNITS_PER_INSTRUCTION = 200_000
_MAX_UNITS = 1_400_000
_TRANSFER, _CREATE_WITH_SEED = (2).to_bytes(4, "little"), (3).to_bytes(4, "little")
_TRANSFER_WITH_SEED = (11).to_bytes(4, "little")
_SET_UNIT_LIMIT, _SET_UNIT_PRICE = 2, 3

Tables = Mapping[str, Sequence[Pubkey]]


class Part(msgspec.Struct, frozen=True):
    """One instruction with its keys."""

    program: Pubkey
    data: bytes
    accounts: tuple[Pubkey, ...]


class Verdict(msgspec.Struct, frozen=True):
    """What signing would risk: at most `max_in` of `input_mint`, and `fee_lamports` whether it swaps or fails. `marker`
    "" where none protects the order."""

    input_mint: Mint
    max_in: int
    min_out: int
    marker: str
    fee_lamports: int


class Bounds(msgspec.Struct, frozen=True):
    """What the plan allows."""

    max_in: int
    min_out: int


def tables_used(message: bytes) -> dict[str, int]:
    """The lookup tables that a message names, with the largest index in each. Raises SignerRefused."""
    found: dict[str, int] = {}
    for lookup in _decode(message).address_table_lookups:
        name = str(lookup.account_key)
        indexes = [*lookup.writable_indexes, *lookup.readonly_indexes]
        if not indexes:
            raise _refused("a lookup table is named of which nothing is used")
        found[name] = max(found.get(name, 0), *indexes)
    return found


def judge(message: bytes, plan: SwapPlan, wallet: Pubkey, policy: Policy, tables: Tables) -> Verdict:
    """Raises SignerRefused where anything in the message goes beyond the plan or the policy."""
    bounds = check_plan(plan, wallet, policy)
    parsed = _decode(message)
    parts = _resolve(parsed, wallet, policy, tables)
    case = _Case(plan, wallet, policy, bounds)
    for index, part in enumerate(parts):
        case.see(index, part)
    return case.conclude(len(parts))


def check_plan(plan: SwapPlan, wallet: Pubkey, policy: Policy) -> Bounds:
    """What the plan allows, if the policy allows the plan. Raises SignerRefused."""
    if plan.owner != str(wallet):
        raise _refused("the order is another wallet's")
    spending = policy.spend.get(plan.input_mint)
    if spending is None:
        raise _refused(f"the policy lets no {plan.input_mint} be spent")
    allowed = {*policy.spend, *policy.receive}
    mints = {plan.output_mint, *(mint for leg in plan.legs for mint in (leg.input_mint, leg.output_mint))}
    if not mints <= allowed:
        raise _refused(f"the policy knows no {min(mints - allowed)}")
    exact_in = plan.mode is SwapMode.EXACT_IN
    max_in, min_out = (plan.amount_in, plan.limit) if exact_in else (plan.limit, plan.amount_out)
    if max_in <= 0 or min_out <= 0 or plan.amount_in <= 0 or plan.amount_out <= 0:
        raise _refused("the order's amounts must be positive")
    if max_in > spending.per_order:
        raise _refused(f"{max_in} exceeds the policy's {spending.per_order} an order of {plan.input_mint}")
    slips = plan.amount_out * (_BPS - policy.max_slippage_bps) > min_out * _BPS
    if not exact_in:
        slips = max_in * _BPS > plan.amount_in * (_BPS + policy.max_slippage_bps)
    if slips:
        raise _refused(f"the limit allows more slippage than the policy's {policy.max_slippage_bps} bps")
    floor = policy.floor(plan.input_mint, plan.output_mint)
    if floor is not None and min_out < floor * max_in:
        raise _refused("the limit is below the policy's price floor")
    return Bounds(max_in, min_out)


def judge_sweep(message: bytes, wallet: Pubkey, policy: Policy) -> list[str]:
    """The marker accounts whose rent a message gives back to the wallet, if that is all it does; the fee apart.

    Raises SignerRefused.
    """
    swept = []
    units, price = None, 0
    parts = _resolve(_decode(message), wallet, policy, {})
    for part in parts:
        data, accounts = part.data, part.accounts
        if part.program == programs.COMPUTE_BUDGET and len(data) == 5 and data[0] == _SET_UNIT_LIMIT:
            units = int.from_bytes(data[1:], "little")
        elif part.program == programs.COMPUTE_BUDGET and len(data) == 9 and data[0] == _SET_UNIT_PRICE:
            price = int.from_bytes(data[1:], "little")
        elif part.program == programs.SYSTEM and data[:4] == _TRANSFER_WITH_SEED and len(accounts) == 3:
            if accounts[1:] != (wallet, wallet):
                raise _refused("a sweep to somebody else")
            swept.append(str(accounts[0]))
        else:
            raise _refused("a sweep does nothing but give back the rent of markers")
    most = min(_MAX_UNITS, _UNITS_PER_INSTRUCTION * len(parts)) if units is None else units
    if not swept or priority_fee_lamports(price, most) > policy.max_priority_fee_lamports:
        raise _refused("a sweep of nothing, or at too high a fee")
    return swept


class _Case:
    """The instructions seen so far."""

    def __init__(self, plan: SwapPlan, wallet: Pubkey, policy: Policy, bounds: Bounds) -> None:
        self.plan, self.wallet, self.policy, self.bounds = plan, wallet, policy, bounds
        mints = dict.fromkeys([plan.input_mint, *(m for leg in plan.legs for m in (leg.input_mint, leg.output_mint))])
        self.own: dict[Pubkey, tuple[Mint, Pubkey]] = {
            programs.token_account(wallet, Pubkey.from_string(mint), program): (mint, program)
            for mint in mints
            for program in (programs.TOKEN, programs.TOKEN_2022)
        }
        self.wsol = programs.token_account(wallet, programs.WSOL)
        self.swaps: list[SwapCall] = []
        self.marker = ""
        self.wrapped: int | None = None
        self.tip: int | None = None
        self.unit_limit: int | None = None
        self.unit_price: int | None = None

    def see(self, index: int, part: Part) -> None:
        """Raises SignerRefused unless the instruction belongs in such a transaction."""
        if part.program == programs.SYSTEM:
            self._system(index, part)
        elif part.program == programs.COMPUTE_BUDGET:
            self._compute_budget(part)
        elif part.program == programs.ASSOCIATED_TOKEN:
            self._create_account(part)
        elif part.program == programs.TOKEN:
            self._token(part)
        else:
            self._swap(part)

    def conclude(self, instructions: int) -> Verdict:
        """The verdict over the whole. Raises SignerRefused."""
        plan, policy = self.plan, self.policy
        if not self.swaps:
            raise _refused("the message swaps nothing")
        if (plan.marker_seed or policy.require_marker) and not self.marker:
            raise _refused("the order's marker is missing")
        if self.wrapped is not None and (plan.input_mint != WRAPPED_SOL or self.wrapped > self.bounds.max_in):
            raise _refused("more SOL is wrapped than the order spends")
        price = self.unit_price or 0
        units = self.unit_limit
        if units is None:
            units = min(_MAX_UNITS, _UNITS_PER_INSTRUCTION * instructions)
        priority_fee = priority_fee_lamports(price, units)
        if priority_fee > policy.max_priority_fee_lamports:
            raise _refused("the priority fee exceeds the policy's")
        self._check_flow()
        fee = SIGNATURE_FEE_LAMPORTS + priority_fee
        return Verdict(plan.input_mint, self.bounds.max_in, self.bounds.min_out, self.marker, fee)

    def _system(self, index: int, part: Part) -> None:
        data, accounts = part.data, part.accounts
        if data[:4] == _CREATE_WITH_SEED and index == 0 and len(accounts) == 2 and accounts[0] == self.wallet:
            self._create_marker(data, accounts[1])
            return
        if data[:4] != _TRANSFER or len(data) != 12 or len(accounts) != 2 or accounts[0] != self.wallet:
            raise _refused("a System instruction that no swap needs")
        lamports = int.from_bytes(data[4:], "little")
        if accounts[1] == self.wsol and self.wrapped is None:
            self.wrapped = lamports
        elif str(accounts[1]) in self.policy.tip_accounts and self.tip is None:
            if lamports > self.policy.max_tip_lamports:
                raise _refused("the tip exceeds the policy's")
            self.tip = lamports
        else:
            raise _refused("a transfer of SOL to somebody else, or one too many")

    def _create_marker(self, data: bytes, account: Pubkey) -> None:
        seed = self.plan.marker_seed
        if not seed:
            raise _refused("an account is created that the order does not ask for")
        if len(seed.encode()) > MAX_SEED_BYTES:
            raise _refused("no account has so long a seed")
        rest = data[4:]
        head = bytes(self.wallet) + len(seed.encode()).to_bytes(8, "little") + seed.encode()
        if not rest.startswith(head) or len(rest) != len(head) + 48:
            raise _refused("the marker is not this order's")
        lamports, space = rest[len(head) : len(head) + 8], rest[len(head) + 8 : len(head) + 16]
        owner = Pubkey.from_bytes(rest[len(head) + 16 :])
        if owner != programs.SYSTEM or any(space) or account != programs.marker_account(self.wallet, seed):
            raise _refused("the marker is not an empty account of the wallet")
        if not any(lamports):
            # Such an account is gone when the transaction ends: the next one of the order would succeed too.
            raise _refused("the marker would not stand: it gets no lamports")
        if int.from_bytes(lamports, "little") > self.policy.max_marker_lamports:
            raise _refused("the marker costs more than the policy allows")
        self.marker = str(account)

    def _compute_budget(self, part: Part) -> None:
        data = part.data
        if part.accounts:
            raise _refused("a compute-budget instruction with accounts")
        if len(data) == 5 and data[0] == _SET_UNIT_LIMIT and self.unit_limit is None:
            self.unit_limit = int.from_bytes(data[1:], "little")
        elif len(data) == 9 and data[0] == _SET_UNIT_PRICE and self.unit_price is None:
            self.unit_price = int.from_bytes(data[1:], "little")
        else:
            raise _refused("an unknown compute-budget instruction, or one too many")

    def _create_account(self, part: Part) -> None:
        accounts = part.accounts
        known = self.own.get(accounts[1]) if len(accounts) == 6 else None
        if part.data != programs.CREATE_IDEMPOTENT or known is None:
            raise _refused("a token account is created that is not the wallet's own, or not idempotently")
        mint, program = known
        wanted = (self.wallet, accounts[1], self.wallet, Pubkey.from_string(mint), programs.SYSTEM, program)
        if accounts != wanted:
            raise _refused("a token account is created for somebody else")

    def _token(self, part: Part) -> None:
        if part.data == programs.SYNC_NATIVE and part.accounts == (self.wsol,):
            return
        if part.data == programs.CLOSE_ACCOUNT and part.accounts == (self.wsol, self.wallet, self.wallet):
            return
        raise _refused("a token instruction other than wrapping or unwrapping the wallet's own SOL")

    def _swap(self, part: Part) -> None:
        call = decode_swap(part.program, part.data, part.accounts, self.policy.cluster)
        if call is None:
            raise _refused(f"an unknown instruction of {part.program}")
        if call.venue not in self.policy.venues:
            raise _refused(f"the policy does not allow {call.venue}")
        if not self.policy.allows(call.venue, call.tag):
            raise _refused(f"the policy does not allow instruction {call.tag.hex()} of {call.venue}")
        if call.wallet != self.wallet or call.source not in self.own or call.destination not in self.own:
            raise _refused("a swap from or to an account that is not the wallet's own")
        private = {self.wallet, self.wsol, *self.own}
        named = [account for account in part.accounts if account in private]
        if sorted(map(bytes, named)) != sorted(map(bytes, (call.wallet, call.source, call.destination))):
            raise _refused("a swap names accounts of the wallet where they do not belong")
        self.swaps.append(call)

    def _check_flow(self) -> None:
        """The swaps follow the plan's legs, spend no more than it allows, and yield no less than it asks."""
        plan = self.plan
        pairs = [(self.own[swap.source][0], self.own[swap.destination][0]) for swap in self.swaps]
        asked = [(leg.venue, str(leg.pool), leg.input_mint, leg.output_mint) for leg in plan.legs]
        if [(swap.venue, str(swap.pool), *pair) for swap, pair in zip(self.swaps, pairs, strict=True)] != asked:
            raise _refused("the swaps are not the order's legs")
        if any(swap.mode is not plan.mode for swap in self.swaps):
            raise _refused("a swap fixes the other side than the order does")
        spent: dict[Mint, int] = {}
        gained: dict[Mint, int] = {}
        for swap, (given, taken) in zip(self.swaps, pairs, strict=True):
            spent[given] = spent.get(given, 0) + swap.max_in
            gained[taken] = gained.get(taken, 0) + swap.min_out
        if spent.get(plan.input_mint, 0) > self.bounds.max_in or plan.input_mint in gained:
            raise _refused("the swaps spend more than the order")
        if gained.get(plan.output_mint, 0) < self.bounds.min_out or plan.output_mint in spent:
            raise _refused("the swaps may yield less than the order's limit")
        for mint, units in spent.items():
            if mint != plan.input_mint and units > gained.get(mint, 0):
                raise _refused("a later swap spends more than the one before must yield")


def _decode(message: bytes) -> MessageV0:
    """The message, if it is of version 0 and nothing is hidden in its encoding."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise _refused("the message is too long")
    try:
        parsed = from_bytes_versioned(message)
        again = to_bytes_versioned(parsed)
    except (BincodeError, ValueError):
        raise _refused("the message can't be read") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise _refused("the message can't be read") from None
    if not isinstance(parsed, MessageV0) or again != message:
        raise _refused("not a message of version 0, or not in its only encoding")
    return parsed


def _resolve(message: MessageV0, wallet: Pubkey, policy: Policy, tables: Tables) -> list[Part]:
    header = message.header
    if header.num_required_signatures != 1 or header.num_readonly_signed_accounts != 0:
        raise _refused("the message wants other signatures than the wallet's")
    keys = list(message.account_keys)
    if not keys or keys[0] != wallet:
        raise _refused("the wallet does not pay for this message")
    keys += _looked_up(message, policy, tables)
    if len(set(keys)) != len(keys):
        raise _refused("the message lists an account twice")
    if not 0 < len(message.instructions) <= MAX_INSTRUCTIONS:
        raise _refused("the message has no instructions, or too many")
    try:
        return [
            Part(keys[part.program_id_index], bytes(part.data), tuple(keys[index] for index in part.accounts))
            for part in message.instructions
        ]
    except IndexError:
        raise _refused("an instruction names an account that is not listed") from None


def _looked_up(message: MessageV0, policy: Policy, tables: Tables) -> list[Pubkey]:
    lookups = message.address_table_lookups
    if len(lookups) > MAX_LOOKUPS:
        raise _refused("too many lookup tables")
    writable: list[Pubkey] = []
    readonly: list[Pubkey] = []
    for lookup in lookups:
        name = str(lookup.account_key)
        if name not in policy.lookup_tables or name not in tables:
            raise _refused(f"the policy does not allow the lookup table {name}")
        addresses = tables[name]
        try:
            writable += [addresses[index] for index in lookup.writable_indexes]
            readonly += [addresses[index] for index in lookup.readonly_indexes]
        except IndexError:
            raise _refused("a lookup past the end of its table") from None
    return writable + readonly


def _refused(why: str) -> SignerRefused:
    return SignerRefused(why)
