"""Tokens: mints are canonical, a symbol counts only where it names one token."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from fillwright.domain.accounts import WRAPPED_SOL, Mint
from fillwright.domain.errors import InvalidInput
from fillwright.domain.tokens import DEVNET_TOKENS, MAINNET_TOKENS, Token, TokenList

TOKENS = TokenList(MAINNET_TOKENS)
MINT = Mint(str(Pubkey(bytes(range(32)))))


def code(text: str, tokens: TokenList = TOKENS) -> str:
    with pytest.raises(InvalidInput) as invalid:
        tokens.resolve(text, pointer="/input")
    assert invalid.value.pointer == "/input"
    return invalid.value.code


@pytest.mark.parametrize("tokens", [MAINNET_TOKENS, DEVNET_TOKENS])
def test_the_pinned_lists_name_each_mint_and_each_symbol_once(tokens: tuple[Token, ...]) -> None:
    assert len({token.mint for token in tokens}) == len({token.symbol.upper() for token in tokens}) == len(tokens)
    for token in tokens:
        assert str(Pubkey.from_string(token.mint)) == token.mint
        assert 0 <= token.decimals <= 12
        assert TokenList(tokens).resolve(token.symbol, pointer="") == token
        assert TokenList(tokens).resolve(token.mint, pointer="") == token


@pytest.mark.parametrize("text", ["SOL", "sol", "WSOL", "wSOL", WRAPPED_SOL])
def test_sol_and_wrapped_sol_are_one_token(text: str) -> None:
    assert TOKENS.resolve(text, pointer="").mint == WRAPPED_SOL


def test_symbols_are_found_in_any_case() -> None:
    assert TOKENS.resolve("msol", pointer="").symbol == "mSOL"


def test_a_symbol_of_two_tokens_is_refused_but_their_mints_are_not() -> None:
    tokens = TOKENS.extended([Token("USDC", MINT, 6)])
    assert code("usdc", tokens) == "token_ambiguous"
    assert tokens.resolve(MINT, pointer="").mint == MINT


@pytest.mark.parametrize("text", ["NOPE", "A", "x" * 31])
def test_an_unknown_symbol_is_told_from_an_address(text: str) -> None:
    assert code(text) == "token_unknown"


def test_an_address_that_no_pool_trades_is_no_mint_here() -> None:
    assert code(MINT) == "token_not_mint"
    assert TOKENS.extended([Token("", MINT, 0)]).resolve(MINT, pointer="").symbol == ""


@pytest.mark.parametrize(
    "text", ["", " SOL", "SOL ", "S0L!", "1" + MINT + "1", "1" * 65, "0" * 40, "ＳＯＬ", "SOL/USDC"]
)
def test_what_is_neither_is_refused(text: str) -> None:
    assert code(text) == "token_invalid"


@given(text=st.text(max_size=80))
def test_any_text_names_one_token_or_is_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        token = TOKENS.resolve(text, pointer="")
        assert text.upper() in {token.symbol.upper(), token.mint.upper(), "WSOL"}


def test_a_longer_list_keeps_what_is_known() -> None:
    renamed = Token("FAKE", TOKENS.resolve("USDC", pointer="").mint, 2)
    longer = TOKENS.extended([renamed, Token("NEW", MINT, 3)])
    assert len(longer) == len(TOKENS) + 1
    assert longer.resolve("USDC", pointer="").decimals == 6
    assert code("FAKE", longer) == "token_unknown"
    assert TOKENS.get(MINT) is None
