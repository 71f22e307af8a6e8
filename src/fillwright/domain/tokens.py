"""Tokens by mint and by symbol. Mints are canonical; a symbol counts only where it names one token.

The pinned list holds well-known mints; a loaded market adds the mints of its pools, without symbols.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from solders.pubkey import Pubkey

from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.clusters import Cluster
from fillwright.domain.errors import InvalidInput

NATIVE_SYMBOLS = frozenset({"SOL", "WSOL"})
"""Both spellings mean the wSOL mint; native SOL is wrapped and unwrapped on the way."""

MAX_TOKEN_CHARS = 64


class Token(msgspec.Struct, frozen=True):
    symbol: str
    mint: Mint
    decimals: int
    name: str = ""


def _t(symbol: str, mint: str, decimals: int, name: str) -> Token:
    return Token(symbol, Mint(mint), decimals, name)


MAINNET_TOKENS: tuple[Token, ...] = (
    _t("SOL", WRAPPED_SOL, 9, "Wrapped SOL"),
    _t("USDC", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", 6, "USD Coin"),
    _t("USDT", "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB", 6, "Tether USD"),
    _t("RAY", "4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R", 6, "Raydium"),
    _t("BONK", "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263", 5, "Bonk"),
    _t("JUP", "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN", 6, "Jupiter"),
    _t("mSOL", "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So", 9, "Marinade staked SOL"),
    _t("JitoSOL", "J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn", 9, "Jito staked SOL"),
    _t("ETH", "7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs", 8, "Ether (Portal)"),
    _t("BTC", "3NZ9JMVBmGAqocybic2c7LQCJScmgsAZ6vQqTDzcqmJh", 8, "Wrapped BTC (Portal)"),
    _t("WIF", "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm", 6, "dogwifhat"),
    _t("PYTH", "HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3", 6, "Pyth Network"),
)

DEVNET_TOKENS: tuple[Token, ...] = (
    _t("SOL", WRAPPED_SOL, 9, "Wrapped SOL"),
    _t("USDC", "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU", 6, "USD Coin (devnet)"),
)


def tokens_of(cluster: Cluster | None) -> tuple[Token, ...]:
    """The pinned tokens of a cluster. A chain of somebody's own has mainnet's: its accounts come from there."""
    return DEVNET_TOKENS if cluster is Cluster.DEVNET else MAINNET_TOKENS


class TokenList:
    """Tokens by mint and by symbol. Immutable; `extended` gives a larger one."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._by_mint: dict[Mint, Token] = {}
        self._by_symbol: dict[str, list[Token]] = {}
        for token in tokens:
            if token.mint in self._by_mint:
                continue
            self._by_mint[token.mint] = token
            if token.symbol:
                self._by_symbol.setdefault(token.symbol.upper(), []).append(token)

    def __len__(self) -> int:
        return len(self._by_mint)

    def all(self) -> tuple[Token, ...]:
        return tuple(self._by_mint.values())

    def get(self, mint: Mint) -> Token | None:
        return self._by_mint.get(mint)

    def extended(self, tokens: Iterable[Token]) -> TokenList:
        """This list and `tokens`; a mint that is already known keeps its entry."""
        return TokenList((*self.all(), *tokens))

    def resolve(self, text: str, *, pointer: str) -> Token:
        """The token that a mint or a symbol names; SOL and wSOL are one token.

        Raises InvalidInput: `token_invalid` (looks like an address, is none), `token_not_mint` (an address
        that is no known mint), `token_unknown` (no such symbol), `token_ambiguous`.
        """
        token = self._by_mint.get(Mint(text))
        if token is not None:
            return token
        if not text.isascii():
            raise self._unresolved(text, pointer)  # upper() maps letters of other scripts to ASCII ones
        named = self._by_symbol.get("SOL" if text.upper() in NATIVE_SYMBOLS else text.upper(), [])
        if len(named) == 1:
            return named[0]
        if named:
            raise InvalidInput("token_ambiguous", "several tokens have this symbol: give the mint", pointer=pointer)
        raise self._unresolved(text, pointer)

    @staticmethod
    def _unresolved(text: str, pointer: str) -> InvalidInput:
        if len(text) < 32 and text.isascii() and text.isalnum():
            return InvalidInput("token_unknown", "no token in the list has this symbol", pointer=pointer)
        try:
            canonical = len(text) <= MAX_TOKEN_CHARS and str(Pubkey.from_string(text)) == text
        except ValueError:
            canonical = False
        if canonical:
            return InvalidInput("token_not_mint", "no tradable token has this mint", pointer=pointer)
        return InvalidInput("token_invalid", "a token is a symbol or the base58 address of its mint", pointer=pointer)
