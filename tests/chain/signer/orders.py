"""Honest orders for the signer's tests: plans over our own pools, and the messages that the engine builds for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from tests.venues.raydium_data import pool_accounts

from fillwright.chain.programs import TOKEN
from fillwright.chain.signer.policy import Policy, Spending
from fillwright.chain.transaction import Payment, build_instructions
from fillwright.config import Mode
from fillwright.domain.accounts import WRAPPED_SOL, ChainClock, Mint
from fillwright.domain.amounts import SwapMode
from fillwright.domain.routes import Leg
from fillwright.domain.transactions import SwapPlan
from fillwright.market.snapshot import Snapshot, index_pairs
from fillwright.venues.vectors import pool_in
from fillwright.venues.venue import Swap

WALLET = Keypair.from_seed(bytes([42]) * 32)
THIEF = Keypair.from_seed(bytes([66]) * 32).pubkey()
TIP_ACCOUNT = Pubkey.from_string("96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5")
CLOCK = ChainClock(430_000_100, 995, 1_780_000_040)
SEED = "5eed" * 8
AMOUNT = 1_000_000_000

_accounts = pool_accounts("raydium_cpmm/FRESH_SOL-SPL")
VENUE, ADDRESS = pool_in(_accounts)
POOL = VENUE.decode(ADDRESS, _accounts)
SNAPSHOT = Snapshot(CLOCK, {ADDRESS: POOL}, index_pairs([POOL]))
OTHER = next(Mint(mint) for mint in POOL.mints if mint != WRAPPED_SOL)
PAYMENT = Payment(200_000, 1_000, 890_880, 5_000, TIP_ACCOUNT)


def policy(**changes: object) -> Policy:
    base: dict[str, object] = {
        "mode": Mode.DEVNET,
        "spend": {WRAPPED_SOL: Spending(AMOUNT, 10 * AMOUNT), OTHER: Spending(AMOUNT, 10 * AMOUNT)},
        "max_tip_lamports": 5_000,
        "tip_accounts": (str(TIP_ACCOUNT),),
    }
    return Policy(**{**base, **changes})  # type: ignore[arg-type]


def order(
    input_mint: Mint = WRAPPED_SOL, amount: int = AMOUNT, mode: SwapMode = SwapMode.EXACT_IN, seed: str = SEED
) -> SwapPlan:
    quote = VENUE.quote(POOL, Swap(input_mint, mode, amount), CLOCK)
    output = OTHER if input_mint == WRAPPED_SOL else WRAPPED_SOL
    leg = Leg(VENUE.id, VENUE.dex, ADDRESS, input_mint, output, quote.amount_in, quote.amount_out)
    exact_in = mode is SwapMode.EXACT_IN
    limit = -(-quote.amount_out * 995 // 1_000) if exact_in else quote.amount_in * 1_005 // 1_000
    return SwapPlan(
        "01890000-0000-7000-8000-000000000001", 1, str(WALLET.pubkey()), mode, input_mint, output,
        quote.amount_in, quote.amount_out, limit, (leg,), seed,
    )  # fmt: skip


def parts(plan: SwapPlan, payment: Payment = PAYMENT) -> list[Instruction]:
    """The instructions that the engine builds."""
    token_programs = {plan.input_mint: TOKEN, plan.output_mint: TOKEN}
    return build_instructions(plan, SNAPSHOT, WALLET.pubkey(), payment, token_programs)


def message(instructions: Sequence[Instruction], payer: Pubkey | None = None) -> bytes:
    return bytes(
        to_bytes_versioned(MessageV0.try_compile(payer or WALLET.pubkey(), list(instructions), [], Hash.hash(b"x")))
    )


def honest(plan: SwapPlan) -> bytes:
    return message(parts(plan))


Change = Callable[[list[Instruction]], list[Instruction]]
