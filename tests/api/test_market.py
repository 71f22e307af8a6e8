"""Quotes, tokens and pools."""

from __future__ import annotations

import asyncio

import pytest

from api.world import NAMELESS, SOL, USDC, FixedMarket, World, served
from fillwright import wire

BODY = {"input": "SOL", "output": "USDC", "amount": "100"}


def test_a_quote_shows_every_pool_and_the_best_route() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            response = await client.post("/v1/quotes", json={**BODY, "slippage_bps": 100, "max_legs": 1})
            assert response.status_code == 200
            quote = wire.decode(response.content, wire.QuoteView)
            assert (quote.mode, quote.amount, quote.amount_units) == ("paper", "100", "100000000000")
            assert float(quote.mid_price or 0) == pytest.approx(150, rel=1e-12)
            assert quote.route is not None
            assert quote.error is None
            best = max(quote.candidates, key=lambda candidate: int(candidate.amount_out_units or 0))
            assert quote.route.amount_out_units == best.amount_out_units
            assert [leg.pool for leg in quote.route.legs] == [best.pool]
            assert best.behind_bps == "0"
            worse = next(candidate for candidate in quote.candidates if candidate.pool != best.pool)
            ahead = int(best.amount_out_units or 0) - int(worse.amount_out_units or 0)
            assert float(worse.behind_bps or 0) == round(ahead / int(best.amount_out_units or 0) * 1e4, 4)
            assert int(quote.route.limit_units) == -(-int(quote.route.amount_out_units) * 9_900 // 10_000)
            assert all(fee.symbol == "SOL" for fee in worse.fees + best.fees) or best.fees
            stats = (await client.get("/v1/stats")).json()
            assert stats["orders"] == {} or sum(stats["orders"].values()) == 0

    served(test)


def test_an_exact_out_quote_fixes_the_output() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            body = {"input": "SOL", "output": "USDC", "swap_mode": "exact_out", "amount": "1500", "slippage_bps": 0}
            quote = wire.decode((await client.post("/v1/quotes", json=body)).content, wire.QuoteView)
            assert quote.route is not None
            assert int(quote.route.amount_out_units) >= 1_500_000_000
            assert 10 < float(quote.route.amount_in) < 10.1
            assert quote.route.limit == quote.route.amount_in

    served(test)


def test_a_pair_without_pools_is_an_answer_with_a_reason() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            quote = wire.decode(
                (await client.post("/v1/quotes", json={**BODY, "output": "BONK"})).content, wire.QuoteView
            )
            assert quote.route is None
            assert quote.error is not None
            assert (quote.error.code, quote.candidates, quote.mid_price) == ("no_pool", [], None)
            tiny = {"input": "USDC", "output": "SOL", "amount_units": str(2**64 - 1)}
            refused = wire.decode((await client.post("/v1/quotes", json=tiny)).content, wire.QuoteView)
            assert all(candidate.refusal or candidate.amount_out for candidate in refused.candidates)

    served(test)


def test_venues_that_do_not_answer_in_time_are_503() -> None:
    market = FixedMarket()
    market.fetched = asyncio.Event()

    async def test(world: World) -> None:
        async with world.client() as client:
            response = await client.post("/v1/quotes", json=BODY)
            assert (response.status_code, response.json()["code"]) == (503, "quote_timeout")
            assert "retry-after" in response.headers

    served(test, market=market, quote_timeout_s=0.05)


def test_tokens_are_listed() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            page = wire.decode((await client.get("/v1/tokens")).content, wire.TokenPage)
            by_mint = {token.mint: token for token in page.tokens}
            assert by_mint[USDC.mint].symbol == "USDC"
            assert (by_mint[NAMELESS.mint].symbol, by_mint[NAMELESS.mint].decimals) == ("", 3)

    served(test)


def test_pools_are_listed_with_what_can_not_be_priced() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            page = wire.decode((await client.get("/v1/pools")).content, wire.PoolPage)
            assert (page.mode, page.slot, len(page.pools)) == ("paper", 1_000, 3)
            assert [(one.venue, one.reason) for one in page.unpriced] == [("raydium_clmm", "paused")]
            prices = {pool.venue: pool.price for pool in page.pools if pool.tokens[0].mint == SOL.mint}
            assert prices["raydium_cpmm"] == "150"
            meteora = (await client.get("/v1/pools?venue=meteora")).json()
            assert [pool["dex"] for pool in meteora["pools"]] == ["meteora"]
            ray = (await client.get("/v1/pools?token=RAY")).json()
            assert len(ray["pools"]) == 1
            bad = await client.get("/v1/pools?token=NOPE")
            assert (bad.status_code, bad.json()["parameter"]) == (422, "token")

    served(test)


def test_pools_are_filtered_by_venue_or_dex_and_what_cannot_be_priced_too() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            for venue, pools, unpriced in (
                ("raydium", {"raydium_cpmm"}, {"raydium_clmm"}),
                ("raydium_clmm", set(), {"raydium_clmm"}),
                ("raydium_cpmm", {"raydium_cpmm"}, set()),
                ("meteora", {"meteora_damm_v2"}, set()),
            ):
                page = wire.decode((await client.get("/v1/pools", params={"venue": venue})).content, wire.PoolPage)
                assert {one.venue for one in page.pools} == pools, venue
                assert {one.venue for one in page.unpriced} == unpriced, venue
            for venue in ("orca", "Raydium", ""):
                response = await client.get("/v1/pools", params={"venue": venue})
                assert (response.status_code, response.json()["code"]) == (422, "venue_unknown")
                assert response.json()["parameter"] == "venue"

    served(test)
