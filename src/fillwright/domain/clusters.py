"""The public Solana clusters on which DEX programs are deployed, and how a chain says which one it is.

A genesis hash in, a cluster out. A chain of one's own is none of them: it runs whatever was loaded into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from fillwright.domain.accounts import Address


class Cluster(StrEnum):
    """A deployment of programs: the same program may live under another id on each."""

    MAINNET = "mainnet"
    DEVNET = "devnet"


ProgramIds = Mapping[Cluster, Address]
"""Where a program lives, for every cluster."""

_GENESIS = {
    "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d": Cluster.MAINNET,
    "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG": Cluster.DEVNET,
}


def cluster_of(genesis_hash: str) -> Cluster | None:
    """The cluster of that genesis block, in base58; None for any other chain, such as a local one."""
    return _GENESIS.get(genesis_hash)


def program_ids(mainnet: str, devnet: str = "") -> ProgramIds:
    """The ids of a program by cluster; on devnet that of mainnet, unless another is given."""
    return MappingProxyType({Cluster.MAINNET: Address(mainnet), Cluster.DEVNET: Address(devnet or mainnet)})
