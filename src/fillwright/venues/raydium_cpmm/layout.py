"""Raydium CPMM accounts: pool state, fee configuration, vaults and mints, decoded into one frozen pool.

Layouts: raydium-cp-swap `states/pool.rs` PoolState and `states/config.rs` AmmConfig, both behind an
8-byte Anchor discriminator. Account bytes in, `CpmmPool` out; must not judge whether it can be traded now.
"""

from __future__ import annotations

import msgspec

from fillwright.domain.accounts import Account, Accounts, Address, Mint
from fillwright.domain.clusters import program_ids
from fillwright.domain.errors import PoolRefused, Refusal
from fillwright.venues.raydium_cpmm.curve import FEE_DENOMINATOR
from fillwright.venues.reading import pubkey_pair_at, required, tradable_mint, u64_at, u64_pair_at, vault_balance
from fillwright.venues.token_program import MintInfo, pubkey_at
from fillwright.venues.venue import PoolShape

PROGRAM_ID = Address("CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C")
PROGRAM_IDS = program_ids(PROGRAM_ID, devnet="DRaycpLY18LhpbydsBWbVJtxpNv9oXPgjRSfpF2bWpYb")
"""As `lib.rs` declares them."""
_KNOWN = {program: program for program in PROGRAM_IDS.values()}
VENUE_ID = "raydium_cpmm"

POOL_DISCRIMINATOR = bytes.fromhex("f7ede3f5d7c3de46")
POOL_BYTES = 637
_CONFIG = 8
_VAULTS = (72, 104)
_MINTS = (168, 200)
POOL_SHAPE = PoolShape(POOL_BYTES, _MINTS)
_PROGRAMS = (232, 264)
_OBSERVATION = 296
_STATUS = 329
_PROTOCOL_FEES = (341, 349)
_FUND_FEES = (357, 365)
_OPEN_TIME = 373
_CREATOR_FEE_ON = 389
_ENABLE_CREATOR_FEE = 390
_CREATOR_FEES = (397, 405)

CONFIG_DISCRIMINATOR = bytes.fromhex("daf42168cbcb2b6f")
CONFIG_BYTES = 236
_TRADE_FEE_RATE = 12
_PROTOCOL_FEE_RATE = 20
_FUND_FEE_RATE = 28
_CREATOR_FEE_RATE = 108


CREATOR_FEE_ON_INPUT = 0
CREATOR_FEE_ON_TOKEN_0 = 1
CREATOR_FEE_ON_TOKEN_1 = 2

Pair = tuple[int, int]


class CpmmPool(msgspec.Struct, frozen=True, omit_defaults=True):
    """One pool. Pairs are (token 0, token 1); amounts in base units, rates in millionths.

    `balances` are the vaults' whole balances; `protocol_fees`, `fund_fees` and `creator_fees` still lie
    in them but belong to nobody's liquidity. `creator_fee_rate` is 0 where the pool's creator fee is off.
    `program` owns the pool and its configuration.
    """

    address: Address
    mints: tuple[Mint, Mint]
    mint_infos: tuple[MintInfo, MintInfo]
    config: Address
    vaults: tuple[Address, Address]
    observation: Address
    status: int
    open_time: int
    balances: Pair
    protocol_fees: Pair
    fund_fees: Pair
    creator_fees: Pair
    trade_fee_rate: int
    protocol_fee_rate: int
    fund_fee_rate: int
    creator_fee_rate: int
    creator_fee_on: int
    program: Address = PROGRAM_ID

    @property
    def venue(self) -> str:
        return VENUE_ID

    @property
    def decimals(self) -> Pair:
        return self.mint_infos[0].decimals, self.mint_infos[1].decimals

    @property
    def token_programs(self) -> tuple[Address, Address]:
        return self.mint_infos[0].program, self.mint_infos[1].program


def is_pool(account: Account) -> bool:
    """Whether `account` is a pool state of this program."""
    return account.owner in _KNOWN and len(account.data) == POOL_BYTES and account.data[:8] == POOL_DISCRIMINATOR


def companions(address: Address, accounts: Accounts) -> tuple[Address, ...]:
    """The pool's fee configuration, vaults and mints. Raises PoolRefused where there is no such pool."""
    data = _pool_account(address, accounts).data
    return tuple(pubkey_at(data, at) for at in (_CONFIG, *_VAULTS, *_MINTS))


def decode_pool(address: Address, accounts: Accounts) -> CpmmPool:
    """The pool at `address` with its companions.

    Raises PoolRefused: `missing_account`; `malformed` (also where the accounts contradict each other, or
    rates exceed what the program's `update_amm_config` accepts); `unsupported_feature` (a transfer hook, a
    creator fee mode that the program does not know).
    """
    account = _pool_account(address, accounts)
    data, program = account.data, _KNOWN[account.owner]
    config_address = pubkey_at(data, _CONFIG)
    trade, protocol, fund, creator = _rates(required(accounts, config_address), program)
    if data[_CREATOR_FEE_ON] > CREATOR_FEE_ON_TOKEN_1:
        raise PoolRefused(Refusal.UNSUPPORTED_FEATURE, f"creator fee mode {data[_CREATOR_FEE_ON]} is unknown")
    mints = pubkey_pair_at(data, _MINTS)
    programs = pubkey_pair_at(data, _PROGRAMS)
    vaults = pubkey_pair_at(data, _VAULTS)
    if mints[0] == mints[1]:
        raise PoolRefused(Refusal.MALFORMED, "both sides are the same mint")
    infos = (_mint(accounts, mints[0], programs[0]), _mint(accounts, mints[1], programs[1]))
    return CpmmPool(
        address=address,
        mints=(Mint(mints[0]), Mint(mints[1])),
        mint_infos=infos,
        config=config_address,
        vaults=vaults,
        observation=pubkey_at(data, _OBSERVATION),
        status=data[_STATUS],
        open_time=u64_at(data, _OPEN_TIME),
        balances=(
            vault_balance(accounts, vaults[0], mints[0], programs[0]),
            vault_balance(accounts, vaults[1], mints[1], programs[1]),
        ),
        protocol_fees=u64_pair_at(data, _PROTOCOL_FEES),
        fund_fees=u64_pair_at(data, _FUND_FEES),
        creator_fees=u64_pair_at(data, _CREATOR_FEES),
        trade_fee_rate=trade,
        protocol_fee_rate=protocol,
        fund_fee_rate=fund,
        creator_fee_rate=creator if data[_ENABLE_CREATOR_FEE] else 0,
        creator_fee_on=data[_CREATOR_FEE_ON],
        program=program,
    )


def _pool_account(address: Address, accounts: Accounts) -> Account:
    account = required(accounts, address)
    if not is_pool(account):
        raise PoolRefused(Refusal.MALFORMED, "not a Raydium CPMM pool account")
    return account


def _rates(account: Account, program: Address) -> tuple[int, int, int, int]:
    """Trade, protocol, fund and creator fee rates of an AmmConfig account of `program`."""
    data = account.data
    if account.owner != program or len(data) != CONFIG_BYTES or data[:8] != CONFIG_DISCRIMINATOR:
        raise PoolRefused(Refusal.MALFORMED, "not a Raydium CPMM fee configuration")
    protocol, fund = u64_at(data, _PROTOCOL_FEE_RATE), u64_at(data, _FUND_FEE_RATE)
    # Shares beyond the whole trade fee would let the accrued fees outgrow the vault.
    if protocol + fund > FEE_DENOMINATOR:
        raise PoolRefused(Refusal.MALFORMED, "protocol and fund take more than the trade fee")
    return u64_at(data, _TRADE_FEE_RATE), protocol, fund, u64_at(data, _CREATOR_FEE_RATE)


def _mint(accounts: Accounts, mint: Address, program: Address) -> MintInfo:
    info = tradable_mint(accounts, mint)
    if info.program != program:
        raise PoolRefused(Refusal.MALFORMED, f"mint {mint} is not of the token program that the pool names")
    return info
