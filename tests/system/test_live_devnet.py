"""Mode devnet on Raydium's devnet programs, as an operator runs it: recorded pools and bytecode under those ids."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pybase64
from solders.pubkey import Pubkey
from tests.chain.world import skip_without
from tests.system.live_world import API_KEY, LiveWorld
from tests.venues.devnet import RAYDIUM, devnet_id, on_devnet
from tests.venues.raydium_data import pool_accounts
from tests.venues.raydium_programs import declaring

from fillwright.chain.landed import parse
from fillwright.client import Client
from fillwright.market.dumps import read_folder
from fillwright.venues.registry import VENUES
from fillwright.venues.vectors import pool_in

POOLS = ("raydium_amm_v4/SYN_SOL-6_fee25", "raydium_clmm/SYN_ts10_T22", "raydium_cpmm/FRESH_SOL-SPL")
LIMIT_S = 30.0


def write_world(root: Path) -> Path:
    """The pools below `root`, moved to devnet; the folder of programs that are ready to run there."""
    for name in POOLS:
        folder = root / "pools" / name / "accounts"
        folder.mkdir(parents=True)
        for key, account in on_devnet(pool_accounts(name)).items():
            data = [pybase64.b64encode(account.data).decode(), "base64"]
            body = {"pubkey": key, "account": {"lamports": account.lamports, "owner": account.owner, "data": data}}
            (folder / f"{key}.json").write_bytes(msgspec.json.encode(body))
    programs = root / "programs"
    programs.mkdir()
    held = Path(os.environ["FILLWRIGHT_PROGRAMS"])
    for venue in RAYDIUM:
        old, new = VENUES[venue].program_id, devnet_id(venue)
        code = declaring((held / f"{old}.so").read_bytes(), Pubkey.from_string(old), Pubkey.from_string(new))
        (programs / f"{new}.so").write_bytes(code)
    for path in held.glob("Tokenz*.so"):
        (programs / path.name).write_bytes(path.read_bytes())
    return programs


def test_orders_on_devnet_s_programs_are_filled_as_quoted(tmp_path: Path) -> None:
    skip_without(*RAYDIUM)
    programs = write_world(tmp_path)
    world = LiveWorld(tmp_path, pools=POOLS, programs=programs, root=tmp_path)
    with ExitStack() as closing:
        closing.callback(world.close)
        world.start()
        client = closing.enter_context(Client(world.engine.url, api_key=API_KEY))
        for name in POOLS:
            accounts = read_folder(tmp_path / "pools" / name)
            venue, address = pool_in(accounts)
            mints = venue.decode(address, accounts).mints
            for given, taken in (mints, mints[::-1]):
                placed = client.submit(input=given, output=taken, amount="0.01")
                order = client.wait(placed.id, timeout_s=LIMIT_S)
                assert (order.status, order.realised_slippage_bps) == ("confirmed", "0"), order
        landed = world.ledger().values()
        assert len(landed) == 2 * len(POOLS)
        ids = {program for each in landed for program in parse(each.transaction[0], ()).program_ids}
        assert {devnet_id(venue) for venue in RAYDIUM} <= ids
        assert not {VENUES[venue].program_id for venue in RAYDIUM} & ids
