"""What a local chain starts with: account dumps, program binaries that the user brings, funded wallets.

In: folders and files. Out: accounts in place. Must not: fetch anything, or carry binaries of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from solders.account import Account
from solders.pubkey import Pubkey

from fillwright.domain.accounts import WRAPPED_SOL, Accounts
from fillwright.domain.errors import ConfigError
from fillwright.localnet.chain import LocalChain, is_native_account
from fillwright.localnet.render import TOKEN_PROGRAMS
from fillwright.venues.token_program import TOKEN_2022_PROGRAM, TOKEN_PROGRAM

TOKEN_ACCOUNT_RENT = 2_039_280
_RENT = 10**9
_MAX_PROGRAM_BYTES = 16 * 1024 * 1024
_NATIVE_MINT = bytes(44) + bytes([9, 1]) + bytes(36)


def load_program(chain: LocalChain, program_id: str, path: Path) -> None:
    """Deploy a program's binary. Raises ConfigError."""
    try:
        code = path.read_bytes()
        key = Pubkey.from_string(program_id)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{program_id}={path}: no program: {error}") from error
    if not code.startswith(b"\x7fELF") or len(code) > _MAX_PROGRAM_BYTES:
        raise ConfigError(f"{path}: not a Solana program (an ELF file of at most {_MAX_PROGRAM_BYTES} bytes)")
    chain.svm.add_program(key, code)


def parse_program(text: str) -> tuple[str, Path]:
    """`ID=FILE` as given on the command line. Raises ConfigError."""
    program_id, separator, file = text.partition("=")
    if not separator or not file:
        raise ConfigError(f"--program {text}: expected ID=FILE, or a folder of <program id>.so")
    return program_id, Path(file)


def programs_of(text: str) -> list[tuple[str, Path]]:
    """One program as `ID=FILE`, or a folder's `<program id>.so` files. Raises ConfigError."""
    folder = Path(text)
    if "=" in text or not folder.is_dir():
        return [parse_program(text)]
    found = [(path.stem, path) for path in sorted(folder.glob("*.so"))]
    if not found:
        raise ConfigError(f"--program {text}: a folder without any <program id>.so")
    return found


def load_accounts(chain: LocalChain, accounts: Accounts) -> None:
    """Put dumped accounts in place. wSOL accounts get the lamports that their balance stands for."""
    if chain.svm.get_account(Pubkey.from_string(WRAPPED_SOL)) is None:
        chain.set_account(WRAPPED_SOL, Account(_RENT, _NATIVE_MINT, Pubkey.from_string(TOKEN_PROGRAM)))
    for address, account in accounts.items():
        data, lamports = account.data, max(account.lamports, 1)
        if account.owner in TOKEN_PROGRAMS and is_native_account(data):
            data, lamports = _native(data)
        elif account.lamports == 0:
            lamports = _RENT
        chain.set_account(address, Account(lamports, data, Pubkey.from_string(account.owner)))


def fund(chain: LocalChain, wallet: str, lamports: int, tokens: Mapping[str, int]) -> None:
    """Give a wallet SOL and, in its associated accounts, tokens (mint -> base units). Raises ConfigError."""
    try:
        key = Pubkey.from_string(wallet)
    except ValueError as error:
        raise ConfigError(f"--wallet {wallet}: not an address (base58 of 32 bytes)") from error
    chain.svm.airdrop(key, lamports)
    for mint, units in tokens.items():
        held = chain.account(mint)
        if held is None:
            raise ConfigError(f"{mint}: no such mint on this chain")
        program = Pubkey.from_string(str(held.owner))
        account = associated(wallet, mint, program)
        data = bytes(Pubkey.from_string(mint)) + bytes(Pubkey.from_string(wallet)) + units.to_bytes(8, "little")
        data += bytes(36) + b"\x01" + bytes(56)
        if str(program) == TOKEN_2022_PROGRAM:
            # Account type, then the transfer-fee extension's counter, which fee mints demand.
            data += bytes([2]) + (2).to_bytes(2, "little") + (8).to_bytes(2, "little") + bytes(8)
        lamports_held = TOKEN_ACCOUNT_RENT * 2
        if mint == WRAPPED_SOL:
            data, lamports_held = _native(data)
        chain.set_account(str(account), Account(lamports_held, data, program))


def associated(wallet: str, mint: str, program: Pubkey) -> Pubkey:
    """The wallet's associated token account."""
    seeds = [bytes(Pubkey.from_string(wallet)), bytes(program), bytes(Pubkey.from_string(mint))]
    return Pubkey.find_program_address(seeds, Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"))[0]


def _native(data: bytes) -> tuple[bytes, int]:
    """A wSOL account's data marked as native, and its lamports: rent and balance."""
    balance = int.from_bytes(data[64:72], "little")
    marked = data[:109] + (1).to_bytes(4, "little") + TOKEN_ACCOUNT_RENT.to_bytes(8, "little") + data[121:]
    return marked, TOKEN_ACCOUNT_RENT + balance
