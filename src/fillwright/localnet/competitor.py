"""Somebody else who trades: seeded swaps of a rich wallet in the loaded pools, some slots before yours.

In: the chain and which accounts belong to which pool. Out: swaps that land at once. Must not: use the wallets or
the faults of the users of the chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction

from fillwright.domain.accounts import Account, Address, ChainClock
from fillwright.domain.amounts import SwapMode
from fillwright.domain.errors import PoolRefused, QuoteRefused, Refusal
from fillwright.localnet.chain import LocalChain
from fillwright.localnet.faults import Fault
from fillwright.localnet.load import associated, fund
from fillwright.venues.registry import venue_of
from fillwright.venues.venue import Swap, SwapAccounts

_LAMPORTS = 10**12
_TOKENS = 2**60


class Competitor:
    """Called for every slot; trades in one of `pools` (address -> its accounts) when the dice say so."""

    def __init__(self, chain: LocalChain, pools: Mapping[Address, Sequence[Address]], seed: int) -> None:
        digest = hashlib.blake2b(f"competitor {seed}".encode(), digest_size=32).digest()
        self._keypair = Keypair.from_seed(digest)
        self._pools = dict(pools)
        self._rich = False
        self.swaps = 0
        chain.on_slot.append(self._on_slot)

    @property
    def wallet(self) -> Pubkey:
        return self._keypair.pubkey()

    def _on_slot(self, chain: LocalChain) -> None:
        if self._pools and chain.dice.happens(Fault.COMPETITOR):
            self._trade(chain)

    def _trade(self, chain: LocalChain) -> None:
        draw = chain.dice.stream(Fault.COMPETITOR)
        address = draw.choice(sorted(self._pools))
        accounts = _accounts(chain, self._pools[address])
        venue = venue_of(accounts[address])
        if venue is None:
            return
        try:
            pool = venue.decode(address, accounts)
            side = draw.randrange(2)
            amount = int(10 ** (pool.decimals[side] + draw.uniform(-2, 0.5)))
            mints = (pool.mints[side], pool.mints[1 - side])
            if not self._rich:
                everything = {mint for keys in self._pools.values() for mint in _mints(chain, keys)}
                fund(chain, str(self.wallet), _LAMPORTS, dict.fromkeys(sorted(everything), _TOKENS))
                self._rich = True
            own = [self._account(chain, mint) for mint in mints]
            at = ChainClock(chain.slot, chain.epoch, chain.time_s)
            swap = Swap(mints[0], SwapMode.EXACT_IN, max(amount, 1))
            part = venue.instruction(pool, swap, 1, SwapAccounts(self.wallet, own[0], own[1]), at)
        except (PoolRefused, QuoteRefused):
            return
        blockhash = Hash.from_string(chain.blockhash("processed")[0])
        message = Message.new_with_blockhash([part], self.wallet, blockhash)
        chain.land(bytes(Transaction([self._keypair], message, blockhash)))
        self.swaps += 1

    def _account(self, chain: LocalChain, mint: str) -> Pubkey:
        held = chain.account(mint)
        if held is None:
            raise QuoteRefused(Refusal.MISSING_ACCOUNT, f"no mint {mint} on this chain")
        return associated(str(self.wallet), mint, held.owner)


def _accounts(chain: LocalChain, keys: Sequence[Address]) -> dict[Address, Account]:
    found = {key: chain.account(key) for key in keys}
    return {
        key: Account(Address(str(each.owner)), bytes(each.data), each.lamports)
        for key, each in found.items()
        if each is not None
    }


def _mints(chain: LocalChain, keys: Sequence[Address]) -> list[str]:
    return [key for key in keys if key in chain.decimals]
