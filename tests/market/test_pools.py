"""Loading account dumps: what is priced, what is listed with its reason, which copy and which clock count."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from fillwright.domain.accounts import WRAPPED_SOL, ChainClock, Mint
from fillwright.domain.errors import InvalidInput, Refusal
from fillwright.market.pools import LoadedPools, load_pools
from fillwright.market.snapshot import venue_for
from fillwright.venues.token_program import TOKEN_PROGRAM
from paper.manual_clock import START_MS, ManualClock
from paper.worlds import STILL, open_world

DATA = Path(__file__).resolve().parents[1] / "data" / "onchain" / "pools"
CPMM = DATA / "raydium_cpmm" / "FRESH_SOL-SPL"
DAMM_V2 = DATA / "meteora_damm_v2" / "SYN_full-range_linear"
CPMM_CLOCK = ChainClock(430_000_100, 995, 1_780_000_040)
ORCA_PROGRAM = "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc"


def dump(folder: Path, name: str, owner: str, data: bytes, address: str | None = None) -> str:
    """Write a made-up account and return its address."""
    address = address or str(Pubkey.from_bytes(name.encode().ljust(32, b"\x07")))
    content = {
        "pubkey": address,
        "account": {"lamports": 1, "data": [base64.b64encode(data).decode(), "base64"], "owner": owner},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(content))
    return address


def only_pool(loaded: LoadedPools) -> str:
    (address,) = loaded.pools
    return address


def accounts_of(folder: Path) -> Path:
    return folder / "accounts" if (folder / "accounts").is_dir() else folder


def test_every_pool_under_a_folder_is_found_and_decoded(tmp_path: Path) -> None:
    for pool in (CPMM, DAMM_V2):
        shutil.copytree(pool, tmp_path / pool.name)
    loaded = load_pools(tmp_path)
    assert {pool.venue for pool in loaded.pools.values()} == {"raydium_cpmm", "meteora_damm_v2"}
    assert loaded.unpriced == loaded.notes == ()
    assert loaded.clock == CPMM_CLOCK
    assert {Mint(token.mint) for token in loaded.tokens} == {
        mint for pool in loaded.pools.values() for mint in pool.mints
    }
    assert all(token.symbol == "" for token in loaded.tokens)
    assert {token.mint: token.decimals for token in loaded.tokens}[WRAPPED_SOL] == 9


def test_accounts_may_lie_flat_in_one_folder(tmp_path: Path) -> None:
    for pool in (CPMM, DAMM_V2):
        for path in accounts_of(pool).glob("*.json"):
            shutil.copy(path, tmp_path / path.name)
    (tmp_path / "meta.json").unlink(missing_ok=True)
    loaded = load_pools(tmp_path)
    assert len(loaded.pools) == 2
    assert loaded.clock is None


def test_a_pool_without_its_vault_is_listed_with_the_reason(tmp_path: Path) -> None:
    whole = load_pools(CPMM)
    address = only_pool(whole)
    vault = whole.pools[address].vaults[0]  # type: ignore[attr-defined,index]
    shutil.copytree(CPMM, tmp_path / "pool")
    (gone,) = (path for path in (tmp_path / "pool").rglob("*.json") if vault in path.read_text()[:200])
    gone.unlink()
    loaded = load_pools(tmp_path)
    (listed,) = loaded.unpriced
    assert not loaded.pools
    assert (listed.address, listed.venue, listed.reason) == (address, "raydium_cpmm", Refusal.MISSING_ACCOUNT)
    assert vault in listed.detail


def test_accounts_of_another_folder_do_not_complete_a_pool(tmp_path: Path) -> None:
    files = sorted(accounts_of(CPMM).glob("*.json"))
    for index, path in enumerate(path for path in files if path.name != "meta.json"):
        (tmp_path / str(index % 2)).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / str(index % 2) / path.name)
    loaded = load_pools(tmp_path)
    assert not loaded.pools
    assert [listed.reason for listed in loaded.unpriced] == [Refusal.MISSING_ACCOUNT]


def test_pools_of_programs_that_are_not_supported_are_listed_and_their_other_accounts_are_not(tmp_path: Path) -> None:
    orca = dump(tmp_path, "orca", ORCA_PROGRAM, b"anything")
    dump(tmp_path, "vault", "24Uqj9JCLxUeoC3hGfh5W3s9FM9uCHDS2SG3LYwBpyTi", bytes(200))
    dump(tmp_path, "token", TOKEN_PROGRAM, bytes(165))
    dump(tmp_path, "wallet", "11111111111111111111111111111111", b"")
    loaded = load_pools(tmp_path)
    assert [(listed.address, listed.reason) for listed in loaded.unpriced] == [(orca, Refusal.UNSUPPORTED_FEATURE)]
    assert ORCA_PROGRAM in loaded.unpriced[0].detail


def test_a_pool_account_that_cannot_be_one_is_listed_as_malformed(tmp_path: Path) -> None:
    cpmm = dump(tmp_path, "short", "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C", bytes.fromhex("f7ede3f5d7c3de46"))
    dump(tmp_path, "config", "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C", bytes.fromhex("daf42168cbcb2b6f"))
    loaded = load_pools(tmp_path)
    assert [(listed.address, listed.venue, listed.reason) for listed in loaded.unpriced] == [
        (cpmm, "raydium_cpmm", Refusal.MALFORMED)
    ]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pubkey": "x"}', "\xff\xfe"])
def test_a_file_that_is_no_dump_is_listed_and_the_others_are_loaded(tmp_path: Path, content: str) -> None:
    shutil.copytree(CPMM, tmp_path / "pool")
    (tmp_path / "broken.json").write_bytes(content.encode("latin-1"))
    loaded = load_pools(tmp_path)
    assert len(loaded.pools) == 1
    (listed,) = loaded.unpriced
    assert (listed.address, listed.reason) == ("broken", Refusal.MALFORMED)
    assert "broken.json" in listed.detail


def test_of_several_copies_of_a_pool_the_newest_counts_and_the_others_are_told(tmp_path: Path) -> None:
    for name, slot in (("a-old", 1_000), ("b-new", 2_000), ("c-undated", None)):
        shutil.copytree(CPMM, tmp_path / name)
        meta = tmp_path / name / "meta.json"
        meta.unlink(missing_ok=True)
        if slot is not None:
            meta.write_text(json.dumps({"clock": {"slot": slot, "unix_timestamp": slot}}))
    loaded = load_pools(tmp_path)
    assert len(loaded.pools) == 1
    assert len(loaded.notes) == 2
    assert all(only_pool(loaded) in note and f"taken from {tmp_path / 'b-new'}" in note for note in loaded.notes)
    assert loaded.clock == ChainClock(2_000, 0, 2_000)


def test_of_copies_with_one_clock_the_one_that_can_be_priced_counts(tmp_path: Path) -> None:
    for name in ("a-torn", "b-whole"):
        shutil.copytree(CPMM, tmp_path / name)
    vault = load_pools(CPMM).pools[only_pool(load_pools(CPMM))].vaults[0]  # type: ignore[attr-defined,index]
    (gone,) = (path for path in (tmp_path / "a-torn").rglob("*.json") if vault in path.read_text()[:200])
    gone.unlink()
    loaded = load_pools(tmp_path)
    assert loaded.unpriced == ()
    (note,) = loaded.notes
    assert "b-whole" in note.partition("left out")[0]


def test_a_clock_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    shutil.copytree(CPMM, tmp_path / "pool")
    (tmp_path / "pool" / "meta.json").write_text('{"clock": "yesterday"}')
    with pytest.raises(InvalidInput, match=r"meta\.json"):
        load_pools(tmp_path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        load_pools(tmp_path / "nowhere")


def test_a_folder_without_pools_loads_nothing(tmp_path: Path) -> None:
    assert load_pools(tmp_path) == LoadedPools({}, (), (), (), None)


def test_a_paper_world_starts_from_loaded_pools_at_their_clock_and_keeps_what_happened(tmp_path: Path) -> None:
    shutil.copytree(CPMM, tmp_path / "dumps" / "pool")
    loaded = load_pools(tmp_path / "dumps")
    pool = loaded.pools[only_pool(loaded)]  # type: ignore[index]
    mints = pool.mints

    async def test() -> None:
        clock = ManualClock()
        async with open_world(tmp_path, clock=clock, loaded=loaded, **STILL) as world:
            assert world.snapshot.clock == CPMM_CLOCK
            assert list(world.snapshot.pools.values()) == [pool]
            assert {token.mint for token in world.feed.tokens.all()} > set(mints)
            plan = world.plan(mints=mints, amount=100_000, dex=venue_for(pool).dex)
            landed = await world.land(plan)
            assert (landed.amount_in, landed.amount_out) == (plan.amount_in, plan.amount_out)
            after = world.snapshot.pools
            await clock.advance(4_000)
            assert world.snapshot.clock == ChainClock(CPMM_CLOCK.slot + 10, 995, CPMM_CLOCK.unix_timestamp + 4)
        async with open_world(tmp_path, clock=ManualClock(START_MS + 8_000), loaded=loaded, **STILL) as world:
            assert world.snapshot.pools == after
            assert world.snapshot.clock.slot == CPMM_CLOCK.slot + 20

    asyncio.run(test())


def test_every_kind_of_pool_comes_back_from_the_ledger_as_it_was(tmp_path: Path) -> None:
    loaded = load_pools(DATA)
    assert len({pool.venue for pool in loaded.pools.values()}) >= 3

    async def test() -> None:
        for at_ms in (START_MS, START_MS + 1_000):
            async with open_world(tmp_path, clock=ManualClock(at_ms), loaded=loaded, **STILL) as world:
                assert world.snapshot.pools == loaded.pools

    asyncio.run(test())
