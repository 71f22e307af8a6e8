"""Token accounts of both programs: layouts, transfer fees and their inverse."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from fillwright.domain.accounts import Account, Address
from fillwright.domain.amounts import U64_MAX
from fillwright.domain.errors import PoolRefused, QuoteRefused, Refusal
from fillwright.venues.token_program import (
    NO_TRANSFER_FEE,
    TOKEN_2022_PROGRAM,
    TOKEN_PROGRAM,
    TransferFee,
    decode_balance,
    decode_mint,
    pubkey_at,
)

fees = st.builds(
    TransferFee,
    epoch=st.just(0),
    maximum=st.one_of(st.integers(0, 10), st.integers(0, 10**9), st.just(U64_MAX)),
    bps=st.one_of(st.integers(0, 10_000), st.sampled_from([0, 1, 9_999, 10_000])),
)
amounts = st.one_of(st.integers(1, 10**4), st.integers(1, 2**62))


def u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def mint_bytes(decimals: int = 6, supply: int = 1_000, initialised: int = 1) -> bytes:
    return bytes(36) + u64(supply) + bytes([decimals, initialised]) + bytes(36)


def token_2022_mint(*records: tuple[int, bytes], account_type: int = 1) -> Account:
    data = mint_bytes() + bytes(83) + bytes([account_type])
    for kind, value in records:
        data += kind.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value
    return Account(TOKEN_2022_PROGRAM, data)


def fee_record(older: TransferFee, newer: TransferFee) -> tuple[int, bytes]:
    packed = b"".join(u64(fee.epoch) + u64(fee.maximum) + fee.bps.to_bytes(2, "little") for fee in (older, newer))
    return 1, bytes(72) + packed


def reason(account: Account) -> Refusal:
    with pytest.raises(PoolRefused) as refused:
        decode_mint(account)
    return refused.value.reason


@pytest.mark.parametrize(
    ("fee", "amount", "taken"),
    [
        (TransferFee(0, U64_MAX, 100), 10_000, 100),
        (TransferFee(0, U64_MAX, 100), 10_001, 101),
        (TransferFee(0, U64_MAX, 1), 1, 1),
        (TransferFee(0, 50, 100), 10_000, 50),
        (TransferFee(0, 0, 100), 10_000, 0),
        (TransferFee(0, U64_MAX, 10_000), 7, 7),
        (TransferFee(0, U64_MAX, 0), 7, 0),
        (TransferFee(0, U64_MAX, 100), 0, 0),
    ],
)
def test_a_transfer_fee_rounds_up_to_its_maximum(fee: TransferFee, amount: int, taken: int) -> None:
    assert fee.on(amount) == taken


@pytest.mark.parametrize(
    ("fee", "net", "gross"),
    [
        (TransferFee(0, U64_MAX, 100), 9_900, 10_000),
        (TransferFee(0, U64_MAX, 100), 9_901, 10_002),
        (TransferFee(0, 50, 100), 9_900, 9_950),
        (TransferFee(0, 777, 10_000), 5, 782),
        (TransferFee(0, 777, 0), 5, 5),
        (TransferFee(0, 777, 10_000), 0, 0),
    ],
)
def test_the_inverse_fee_names_what_to_send(fee: TransferFee, net: int, gross: int) -> None:
    assert fee.gross(net) == gross


@given(fee=fees, net=amounts)
def test_the_gross_amount_is_the_least_that_arrives_whole(fee: TransferFee, net: int) -> None:
    try:
        gross = fee.gross(net)
    except QuoteRefused:
        return
    assert gross - fee.on(gross) == net
    assert gross == net or gross - 1 - fee.on(gross - 1) < net


def test_a_gross_amount_beyond_64_bits_is_refused() -> None:
    for fee, net in ((TransferFee(0, U64_MAX, 10_000), 1), (TransferFee(0, U64_MAX, 5_000), 2**63)):
        with pytest.raises(QuoteRefused) as refused:
            fee.gross(net)
        assert refused.value.reason is Refusal.AMOUNT_TOO_LARGE


def test_the_newer_fee_counts_from_its_epoch_on() -> None:
    older, newer = TransferFee(3, 10, 100), TransferFee(7, 20, 200)
    info = decode_mint(token_2022_mint(fee_record(older, newer)))
    assert [info.transfer_fee(epoch) for epoch in (0, 6, 7, 8)] == [older, older, newer, newer]


def test_a_mint_of_the_token_program_has_no_transfer_fee() -> None:
    info = decode_mint(Account(TOKEN_PROGRAM, mint_bytes(9, 77)))
    assert (info.program, info.decimals, info.supply) == (TOKEN_PROGRAM, 9, 77)
    assert info.transfer_fee(10**6) == NO_TRANSFER_FEE
    assert not info.has_transfer_hook


def test_a_token_2022_mint_may_have_no_extensions() -> None:
    assert decode_mint(Account(TOKEN_2022_PROGRAM, mint_bytes())).transfer_fee(0) == NO_TRANSFER_FEE
    assert decode_mint(token_2022_mint()).transfer_fee(0) == NO_TRANSFER_FEE


def test_extensions_are_found_in_any_order_and_padding_ends_them() -> None:
    fee = TransferFee(0, 10, 100)
    info = decode_mint(token_2022_mint((18, bytes(64)), (19, b"name"), fee_record(fee, fee)))
    assert info.newer == fee
    ended = decode_mint(token_2022_mint((18, bytes(64)), (0, b""), fee_record(fee, fee)))
    assert ended.newer == NO_TRANSFER_FEE


def test_only_a_hook_with_a_program_is_a_hook() -> None:
    assert not decode_mint(token_2022_mint((14, bytes([9]) * 32 + bytes(32)))).has_transfer_hook
    assert decode_mint(token_2022_mint((14, bytes(32) + bytes([9]) * 32))).has_transfer_hook


@pytest.mark.parametrize(
    "account",
    [
        Account(Address("11111111111111111111111111111111"), mint_bytes()),
        Account(TOKEN_PROGRAM, mint_bytes(initialised=0)),
        Account(TOKEN_PROGRAM, mint_bytes()[:-1]),
        Account(TOKEN_PROGRAM, mint_bytes() + b"\0"),
        Account(TOKEN_2022_PROGRAM, mint_bytes() + bytes(50)),
        Account(TOKEN_2022_PROGRAM, b""),
        token_2022_mint(account_type=2),
        token_2022_mint((1, bytes(107))),
        token_2022_mint(fee_record(NO_TRANSFER_FEE, TransferFee(0, 0, 10_001))),
        Account(TOKEN_2022_PROGRAM, token_2022_mint((18, bytes(64))).data[:-1]),
    ],
)
def test_a_malformed_mint_is_refused(account: Account) -> None:
    assert reason(account) is Refusal.MALFORMED


@given(data=st.binary(max_size=400), program=st.sampled_from([TOKEN_PROGRAM, TOKEN_2022_PROGRAM]), real=st.booleans())
def test_any_bytes_are_a_mint_or_are_refused(data: bytes, program: Address, real: bool) -> None:
    if real:
        data = mint_bytes() + bytes(83) + b"\x01" + data
    with contextlib.suppress(PoolRefused):
        decode_mint(Account(program, data))


def test_a_balance_is_read_from_accounts_of_either_program() -> None:
    data = bytes(64) + u64(12_345) + bytes(93)
    assert decode_balance(Account(TOKEN_PROGRAM, data)) == 12_345
    assert decode_balance(Account(TOKEN_2022_PROGRAM, data + bytes(13))) == 12_345
    for account in (Account(TOKEN_PROGRAM, data[:-1]), Account(Address(str(Pubkey.default())), data)):
        with pytest.raises(PoolRefused):
            decode_balance(account)


def test_an_address_is_read_at_its_offset() -> None:
    key = Pubkey.from_string(TOKEN_PROGRAM)
    assert pubkey_at(b"abc" + bytes(key) + b"d", 3) == TOKEN_PROGRAM
