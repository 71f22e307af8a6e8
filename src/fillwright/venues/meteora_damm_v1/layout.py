"""Accounts of Meteora DAMM v1 and its lending vaults, decoded into one frozen pool.

In: account bytes. Out: a `DammV1Pool` holding everything that quotes and instructions need. Must not judge
whether a swap is possible: that depends on the clock and is `quote`'s part.

Layouts (Anchor, Borsh): `dynamic-amm` `state.rs` (`Pool`), `dynamic-vault` `state.rs` (`Vault`); stake prices:
Marinade `State`, Lido (Solido) and SPL `StakePool`, read as `dynamic-amm-quote` `depeg/*.rs` does.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from fillwright.domain.accounts import Account, Accounts, Address, Mint
from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import PoolRefused, Refusal
from fillwright.venues.reading import required, u64_at
from fillwright.venues.token_program import TOKEN_PROGRAM, decode_balance, decode_mint, pubkey_at
from fillwright.venues.venue import PoolShape

VENUE_ID = "meteora_damm_v1"
PROGRAM_ID = Address("Eo7WjKq67rjJQSZxS6z3YkapzY3eMj6Xy8X5EQVn5UaB")
VAULT_PROGRAM_ID = Address("24Uqj9JCLxUeoC3hGfh5W3s9FM9uCHDS2SG3LYwBpyTi")

DEPEG_PRECISION = 1_000_000
"""Scale of a stake token's virtual price: `dynamic-amm` `constants::depeg::PRECISION`."""

_POOL_DISCRIMINATOR = bytes.fromhex("f19a6d0411b16dbc")
_A_MINT, _B_MINT = 40, 72
_ALLOCATED_POOL_BYTES = 944
POOL_SHAPE = PoolShape(_ALLOCATED_POOL_BYTES, (_A_MINT, _B_MINT))
_A_VAULT, _B_VAULT = 104, 136
_A_VAULT_LP, _B_VAULT_LP = 168, 200
_ENABLED = 233
_PROTOCOL_A_FEE, _PROTOCOL_B_FEE = 234, 266
_TRADE_FEE_NUMERATOR, _TRADE_FEE_DENOMINATOR = 330, 338
_PROTOCOL_FEE_NUMERATOR, _PROTOCOL_FEE_DENOMINATOR = 346, 354
_STAKE = 363
_ACTIVATION_POINT, _ACTIVATION_TYPE = 403, 475
_PARTNER_FEE_NUMERATOR, _PENDING_FEE_A, _PENDING_FEE_B = 476, 516, 524
_CURVE_TYPE = 874
_AMP = 875
_A_MULTIPLIER, _B_MULTIPLIER = 883, 891
_VIRTUAL_PRICE, _CACHE_UPDATED, _DEPEG_TYPE = 900, 908, 916
_CONSTANT_PRODUCT_POOL_BYTES, _STABLE_POOL_BYTES = 875, 925
_CONSTANT_PRODUCT, _STABLE = 0, 1

_VAULT_DISCRIMINATOR = bytes.fromhex("d308e82b02987577")
_VAULT_ENABLED = 8
_TOTAL_AMOUNT = 11
_TOKEN_VAULT = 19
_VAULT_MINT = 83
_LP_MINT = 115
_LOCKED_PROFIT, _LAST_REPORT, _DEGRADATION = 1203, 1211, 1219
_VAULT_BYTES = 1227

_MARINADE_STATE = Address("8szGkuLTAux9XMgZ2vtY39jVSowEcpBfFfD8hXSEqdGC")
_MARINADE_BYTES, _MARINADE_PRICE = 576, 512
_MARINADE_PRICE_ONE = 2**32
_LIDO_STATE = Address("49Yi1TKkNyYjPAFdR9LBvoHcUjuPX4Df5T5yv39w2XTn")
_LIDO_BYTES, _LIDO_SUPPLY, _LIDO_SOL = 89, 73, 81
_STAKE_POOL_BYTES, _STAKE_POOL_LAMPORTS, _STAKE_POOL_SUPPLY = 611, 258, 266
_LAST_STAKE_POOL_TYPE = 2


class DepegKind(IntEnum):
    """Which stake program gives the price of token B (`DepegType`)."""

    MARINADE = 1
    LIDO = 2
    SPL_STAKE = 3


_DEPEG_TYPES = frozenset(int(kind) for kind in DepegKind)


class Fees(msgspec.Struct, frozen=True):
    """`PoolFees`: the trade fee is a share of the input, the protocol fee a share of the trade fee."""

    trade_numerator: int
    trade_denominator: int
    protocol_numerator: int
    protocol_denominator: int


class Depeg(msgspec.Struct, frozen=True):
    """How token B is priced in token A, in millionths.

    `fresh_price` is what the stake account says now; None where it is absent or can't be read.
    """

    kind: DepegKind
    stake_account: Address
    virtual_price: int
    cached_at: int
    fresh_price: int | None


class Stable(msgspec.Struct, frozen=True):
    """The stable curve's parameters; without it a pool is constant product."""

    amp: int
    multipliers: tuple[int, int]
    depeg: Depeg | None


class Vault(msgspec.Struct, frozen=True):
    """A lending vault of one token, with the balances of its token account and LP mint."""

    address: Address
    enabled: bool
    total_amount: int
    token_vault: Address
    lp_mint: Address
    locked_profit: int
    last_report: int
    degradation: int
    reserve: int
    lp_supply: int


class DammV1Pool(msgspec.Struct, frozen=True):
    """A pool whose tokens lie in two lending vaults. Pairs are ordered (a, b)."""

    address: Address
    mints: tuple[Mint, Mint]
    decimals: tuple[int, int]
    enabled: bool
    activation_point: int
    activation_by_time: bool
    fees: Fees
    partner_fee_numerator: int
    partner_pending: tuple[int, int]
    protocol_fee_accounts: tuple[Address, Address]
    vaults: tuple[Vault, Vault]
    lp_accounts: tuple[Address, Address]
    lp_amounts: tuple[int, int]
    stable: Stable | None

    @property
    def venue(self) -> str:
        return VENUE_ID

    @property
    def token_programs(self) -> tuple[Address, Address]:
        return TOKEN_PROGRAM, TOKEN_PROGRAM


def recognises(account: Account) -> bool:
    """Whether `account` is a pool of this program: owner, discriminator, length."""
    data = account.data
    if account.owner != PROGRAM_ID or data[:8] != _POOL_DISCRIMINATOR or len(data) < _CONSTANT_PRODUCT_POOL_BYTES:
        return False
    return data[_CURVE_TYPE] != _STABLE or len(data) >= _STABLE_POOL_BYTES


def companions(address: Address, accounts: Accounts) -> tuple[Address, ...]:
    """Mints, vaults, vault LP balances and a depeg pool's stake account; then the vaults' own accounts."""
    pool = accounts.get(address)
    if pool is None or not recognises(pool):
        return ()
    data = pool.data
    vaults = (pubkey_at(data, _A_VAULT), pubkey_at(data, _B_VAULT))
    found = [
        *(pubkey_at(data, offset) for offset in (_A_MINT, _B_MINT)),
        *vaults,
        *(pubkey_at(data, offset) for offset in (_A_VAULT_LP, _B_VAULT_LP)),
    ]
    if data[_CURVE_TYPE] == _STABLE and data[_DEPEG_TYPE] in _DEPEG_TYPES:
        found.append(_stake_account(data))
    for vault in vaults:
        account = accounts.get(vault)
        if account is not None and _is_vault(account):
            found += [pubkey_at(account.data, _TOKEN_VAULT), pubkey_at(account.data, _LP_MINT)]
    return tuple(found)


def decode(address: Address, accounts: Accounts) -> DammV1Pool:
    """The pool at `address`. Raises PoolRefused `malformed`, `missing_account` or `unsupported_feature`."""
    pool = required(accounts, address)
    if not recognises(pool):
        raise PoolRefused(Refusal.MALFORMED, "not a DAMM v1 pool account")
    data = pool.data
    if data[_ENABLED] > 1:
        raise PoolRefused(Refusal.MALFORMED, "the enabled flag is neither 0 nor 1")
    if data[_ACTIVATION_TYPE] > 1:
        raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, f"activation type {data[_ACTIVATION_TYPE]} is unknown")
    mints = (Mint(pubkey_at(data, _A_MINT)), Mint(pubkey_at(data, _B_MINT)))
    if mints[0] == mints[1]:
        raise PoolRefused(Refusal.MALFORMED, "both sides of the pool are the same token")
    lp_accounts = (pubkey_at(data, _A_VAULT_LP), pubkey_at(data, _B_VAULT_LP))
    return DammV1Pool(
        address=address,
        mints=mints,
        decimals=(_decimals(accounts, mints[0]), _decimals(accounts, mints[1])),
        enabled=data[_ENABLED] == 1,
        activation_point=u64_at(data, _ACTIVATION_POINT),
        activation_by_time=data[_ACTIVATION_TYPE] == 1,
        fees=Fees(
            u64_at(data, _TRADE_FEE_NUMERATOR),
            u64_at(data, _TRADE_FEE_DENOMINATOR),
            u64_at(data, _PROTOCOL_FEE_NUMERATOR),
            u64_at(data, _PROTOCOL_FEE_DENOMINATOR),
        ),
        partner_fee_numerator=u64_at(data, _PARTNER_FEE_NUMERATOR),
        partner_pending=(u64_at(data, _PENDING_FEE_A), u64_at(data, _PENDING_FEE_B)),
        protocol_fee_accounts=(pubkey_at(data, _PROTOCOL_A_FEE), pubkey_at(data, _PROTOCOL_B_FEE)),
        vaults=(
            _vault(accounts, pubkey_at(data, _A_VAULT), mints[0]),
            _vault(accounts, pubkey_at(data, _B_VAULT), mints[1]),
        ),
        lp_accounts=lp_accounts,
        lp_amounts=(_balance(accounts, lp_accounts[0]), _balance(accounts, lp_accounts[1])),
        stable=_stable(data, accounts),
    )


def _stable(data: bytes, accounts: Accounts) -> Stable | None:
    if data[_CURVE_TYPE] == _CONSTANT_PRODUCT:
        return None
    if data[_CURVE_TYPE] != _STABLE:
        raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, f"curve type {data[_CURVE_TYPE]} is unknown")
    kind, depeg = data[_DEPEG_TYPE], None
    if kind:
        if kind not in _DEPEG_TYPES:
            raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, f"depeg type {kind} is unknown")
        stake_account = _stake_account(data)
        stake = accounts.get(stake_account)
        depeg = Depeg(
            kind=DepegKind(kind),
            stake_account=stake_account,
            virtual_price=u64_at(data, _VIRTUAL_PRICE),
            cached_at=u64_at(data, _CACHE_UPDATED),
            fresh_price=None if stake is None else _stake_price(DepegKind(kind), stake.data),
        )
    return Stable(u64_at(data, _AMP), (u64_at(data, _A_MULTIPLIER), u64_at(data, _B_MULTIPLIER)), depeg)


def _stake_account(data: bytes) -> Address:
    kind = data[_DEPEG_TYPE]
    if kind == DepegKind.MARINADE:
        return _MARINADE_STATE
    return _LIDO_STATE if kind == DepegKind.LIDO else pubkey_at(data, _STAKE)


def _stake_price(kind: DepegKind, data: bytes) -> int | None:
    """Token A per token B in millionths, rounded down; None where the program could not compute it.

    Rule: `dynamic-amm-quote` `depeg/{marinade,solido,spl_stake}.rs`.
    """
    if kind is DepegKind.MARINADE:
        if len(data) < _MARINADE_BYTES:
            return None
        value, supply = u64_at(data, _MARINADE_PRICE), _MARINADE_PRICE_ONE
    elif kind is DepegKind.LIDO:
        if len(data) < _LIDO_BYTES:
            return None
        value, supply = u64_at(data, _LIDO_SOL), u64_at(data, _LIDO_SUPPLY)
    else:
        if len(data) < _STAKE_POOL_BYTES or data[0] > _LAST_STAKE_POOL_TYPE:
            return None
        value, supply = u64_at(data, _STAKE_POOL_LAMPORTS), u64_at(data, _STAKE_POOL_SUPPLY)
    if supply == 0:
        return None
    price = value * DEPEG_PRECISION // supply
    return price if price <= U64_MAX else None


def _vault(accounts: Accounts, address: Address, mint: Mint) -> Vault:
    account = required(accounts, address)
    if not _is_vault(account):
        raise PoolRefused(Refusal.MALFORMED, f"{address} is not a lending vault")
    data = account.data
    if Mint(pubkey_at(data, _VAULT_MINT)) != mint:
        raise PoolRefused(Refusal.MALFORMED, f"the lending vault {address} holds another token than the pool")
    token_vault, lp_mint = pubkey_at(data, _TOKEN_VAULT), pubkey_at(data, _LP_MINT)
    return Vault(
        address=address,
        enabled=data[_VAULT_ENABLED] != 0,
        total_amount=u64_at(data, _TOTAL_AMOUNT),
        token_vault=token_vault,
        lp_mint=lp_mint,
        locked_profit=u64_at(data, _LOCKED_PROFIT),
        last_report=u64_at(data, _LAST_REPORT),
        degradation=u64_at(data, _DEGRADATION),
        reserve=_balance(accounts, token_vault),
        lp_supply=decode_mint(required(accounts, lp_mint)).supply,
    )


def _is_vault(account: Account) -> bool:
    return (
        account.owner == VAULT_PROGRAM_ID
        and account.data[:8] == _VAULT_DISCRIMINATOR
        and len(account.data) >= _VAULT_BYTES
    )


def _decimals(accounts: Accounts, mint: Mint) -> int:
    info = decode_mint(required(accounts, Address(mint)))
    if info.program != TOKEN_PROGRAM:
        raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, "lending vaults hold tokens of the first token program only")
    return info.decimals


def _balance(accounts: Accounts, address: Address) -> int:
    return decode_balance(required(accounts, address))
