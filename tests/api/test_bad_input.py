"""Every bad input is answered with its own status and code, a pointer to the culprit, and nothing of what was sent."""

from __future__ import annotations

import json

import httpx2
import pytest

from api.world import OTHER_WALLET, WALLET, World, served
from fillwright import wire

GOOD = {"input": "SOL", "output": "USDC", "amount": "1.5"}
U64_MAX = 2**64 - 1
WRAPPED = "So11111111111111111111111111111111111111112"


async def _post(
    client: httpx2.AsyncClient, content: bytes, path: str = "/v1/orders", **headers: str
) -> httpx2.Response:
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await client.post(path, content=content, headers=headers)


def _is_problem(response: httpx2.Response, status: int, code: str, pointer: str | None = None) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == wire.PROBLEM_TYPE
    assert response.headers["fillwright-mode"] == "paper"
    problem = wire.decode(response.content, wire.Problem)
    assert (problem.status, problem.code, problem.mode) == (status, code, "paper"), problem
    assert problem.title
    assert problem.detail
    if pointer is not None:
        assert problem.pointer == pointer


BODIES: list[tuple[str, object, str, str]] = [
    ("a number", {**GOOD, "amount": 1.5}, "amount_format", "/amount"),
    ("an integer", {**GOOD, "amount": 1}, "amount_format", "/amount"),
    ("a boolean", {**GOOD, "amount": True}, "amount_format", "/amount"),
    ("null", {**GOOD, "amount": None}, "amount_format", "/amount"),
    ("a list", {**GOOD, "amount": ["1"]}, "amount_format", "/amount"),
    *(
        (repr(text), {**GOOD, "amount": text}, "amount_format", "/amount")
        for text in (
            "", "NaN", "Infinity", "1e3", "1e400", "1.0000000001", " 1", "1 ", "1\n", "1_000", "+1", "-1", "01", "00",
            "1.", ".5", "1,5", "0x10", "١", "１", "1.٥", "1" * 65, "9" * 5000, "1.5.5", "1\u0000",
        )
    ),
    ("zero", {**GOOD, "amount": "0"}, "amount_not_positive", "/amount"),
    ("zero with decimals", {**GOOD, "amount": "0.000000000"}, "amount_not_positive", "/amount"),
    ("beyond u64", {**GOOD, "amount": "18446744073.709551616"}, "amount_overflow", "/amount"),
    ("units as decimals", {"input": "SOL", "output": "USDC", "amount_units": "1."}, "amount_format", "/amount_units"),
    ("units a number", {"input": "SOL", "output": "USDC", "amount_units": 15}, "amount_format", "/amount_units"),
    ("units zero", {"input": "SOL", "output": "USDC", "amount_units": "0"}, "amount_not_positive", "/amount_units"),
    (
        "units beyond u64",
        {"input": "SOL", "output": "USDC", "amount_units": str(U64_MAX + 1)},
        "amount_overflow",
        "/amount_units",
    ),
    ("both amounts", {**GOOD, "amount_units": "1"}, "amount_conflict", "/amount_units"),
    ("no amount", {"input": "SOL", "output": "USDC"}, "field_required", "/amount"),
    ("no input", {"output": "USDC", "amount": "1"}, "field_required", "/input"),
    ("no output", {"input": "SOL", "amount": "1"}, "field_required", "/output"),
    ("min_out a number", {**GOOD, "min_out": 1}, "amount_format", "/min_out"),
    ("min_out null", {**GOOD, "min_out": None}, "amount_format", "/min_out"),
    ("min_out zero", {**GOOD, "min_out": "0"}, "amount_not_positive", "/min_out"),
    ("min_out too fine", {**GOOD, "min_out": "1.0000001"}, "amount_format", "/min_out"),
    ("max_in of exact-in", {**GOOD, "max_in": "1"}, "limit_not_applicable", "/max_in"),
    ("min_out of exact-out", {**GOOD, "swap_mode": "exact_out", "min_out": "1"}, "limit_not_applicable", "/min_out"),
    ("bound and slippage", {**GOOD, "min_out": "1", "slippage_bps": 1}, "slippage_conflict", "/slippage_bps"),
    ("token no base58", {**GOOD, "input": WRAPPED[:-1] + "0"}, "token_invalid", "/input"),
    ("token too short", {**GOOD, "input": WRAPPED[:-2]}, "token_invalid", "/input"),
    ("token not canonical", {**GOOD, "input": "1" + WRAPPED}, "token_invalid", "/input"),
    ("token empty", {**GOOD, "input": ""}, "token_invalid", "/input"),
    ("token with a newline", {**GOOD, "input": "SOL\n"}, "token_invalid", "/input"),
    ("token in another script", {**GOOD, "input": "ſol"}, "token_invalid", "/input"),
    ("token of 64 KB", {**GOOD, "input": "1" * 60_000}, "token_invalid", "/input"),
    ("unknown symbol", {**GOOD, "output": "NOPE"}, "token_unknown", "/output"),
    ("no mint", {**GOOD, "output": OTHER_WALLET}, "token_not_mint", "/output"),
    ("same token", {**GOOD, "output": "SOL"}, "token_same", "/output"),
    ("SOL and wSOL", {**GOOD, "output": "wSOL"}, "token_same", "/output"),
    ("SOL and its mint", {**GOOD, "output": WRAPPED}, "token_same", "/output"),
    ("token a number", {**GOOD, "input": 7}, "field_type", "/input"),
    ("token null", {**GOOD, "input": None}, "field_type", "/input"),
    ("slippage negative", {**GOOD, "slippage_bps": -1}, "slippage_out_of_range", "/slippage_bps"),
    ("slippage over the cap", {**GOOD, "slippage_bps": 5_001}, "slippage_out_of_range", "/slippage_bps"),
    ("slippage huge", {**GOOD, "slippage_bps": 10**300}, "slippage_out_of_range", "/slippage_bps"),
    *(
        (f"slippage {value!r}", {**GOOD, "slippage_bps": value}, "slippage_format", "/slippage_bps")
        for value in (0.5, "50", True, None, [], {}, 50.25)
    ),
    ("unknown field", {**GOOD, "limit_price": "1"}, "unknown_field", "/limit_price"),
    ("field in another case", {**GOOD, "Amount": "1"}, "unknown_field", "/Amount"),
    ("odd field", {**GOOD, "a/b~c": 1}, "unknown_field", "/a~1b~0c"),
    ("engine's mode as a field", {**GOOD, "mode": "exact_in"}, "unknown_field", "/mode"),
    ("swap_mode unknown", {**GOOD, "swap_mode": "EXACT_IN"}, "field_value", "/swap_mode"),
    ("swap_mode a number", {**GOOD, "swap_mode": 1}, "field_type", "/swap_mode"),
    ("type unknown", {**GOOD, "type": "limit"}, "field_value", "/type"),
    ("hold a string", {**GOOD, "hold": "true"}, "field_type", "/hold"),
    ("hold a number", {**GOOD, "hold": 1}, "field_type", "/hold"),
    ("priority a boolean", {**GOOD, "priority": True}, "field_type", "/priority"),
    ("priority out of range", {**GOOD, "priority": 101}, "field_range", "/priority"),
    ("max_legs zero", {**GOOD, "max_legs": 0}, "field_range", "/max_legs"),
    ("max_hops a string", {**GOOD, "max_hops": "1"}, "field_type", "/max_hops"),
    ("venues a string", {**GOOD, "venues": "raydium"}, "field_type", "/venues"),
    ("venue unknown", {**GOOD, "venues": ["raydium", "orca"]}, "venue_unknown", "/venues/1"),
    ("venue a number", {**GOOD, "exclude_venues": [1]}, "field_type", "/exclude_venues/0"),
    ("too many venues", {**GOOD, "venues": ["raydium"] * 33}, "field_range", "/venues"),
    ("pool no address", {**GOOD, "pools": ["x"]}, "pool_invalid", "/pools/0"),
    ("wallet no address", {**GOOD, "wallet": WALLET + "1"}, "wallet_invalid", "/wallet"),
    ("wallet null", {**GOOD, "wallet": None}, "field_type", "/wallet"),
    ("client id empty", {**GOOD, "client_order_id": ""}, "client_order_id_invalid", "/client_order_id"),
    ("client id too long", {**GOOD, "client_order_id": "x" * 129}, "client_order_id_invalid", "/client_order_id"),
    ("client id with newline", {**GOOD, "client_order_id": "x\n"}, "client_order_id_invalid", "/client_order_id"),
    ("client id a number", {**GOOD, "client_order_id": 5}, "field_type", "/client_order_id"),
    *(
        (f"time {text!r}", {**GOOD, "not_before": text}, "time_invalid", "/not_before")
        for text in (
            "", "now", "2030-01-01", "2030-01-01T00:00:00", "2030-13-01T00:00:00Z", "2030-01-01T00:00:00Z\n",
            "1969-12-31T23:59:59Z", "2030-01-01T25:00:00Z", "٢٠٣٠-01-01T00:00:00Z",
            "9999-12-31T23:59:59-00:01",
        )
    ),
    ("time a number", {**GOOD, "not_before": 1_900_000_000_000}, "field_type", "/not_before"),
    ("no object", [GOOD], "field_type", ""),
    ("a string", "SOL", "field_type", ""),
    ("null body", None, "field_type", ""),
]  # fmt: skip

BROKEN: list[tuple[str, bytes]] = [
    ("empty", b""),
    ("cut off", b'{"input": "SOL"'),
    ("trailing comma", b'{"input": "SOL",}'),
    ("two values", b"{} {}"),
    ("single quotes", b"{'input': 'SOL'}"),
    ("comment", b'{"input": "SOL" /* x */}'),
    ("NaN", b'{"amount": NaN}'),
    ("Infinity", b'{"amount": Infinity}'),
    ("minus Infinity", b'{"amount": -Infinity}'),
    ("leading zero", b'{"slippage_bps": 01}'),
    ("plus sign", b'{"slippage_bps": +1}'),
    ("duplicate key", b'{"input": "SOL", "input": "RAY", "output": "USDC", "amount": "1"}'),
    ("duplicate key spelled differently", b'{"input": "SOL", "\\u0069nput": "RAY"}'),
    ("nested duplicate key", b'{"venues": [{"a": 1, "a": 2}]}'),
    ("bad UTF-8", b'{"input": "\xff"}'),
    ("overlong UTF-8", b'{"input": "\xc0\xaf"}'),
    ("encoded surrogate", b'{"input": "\xed\xa0\x80"}'),
    ("cut UTF-8", b'{"input": "\xe2\x82'),
    ("lone high surrogate", b'{"input": "\\ud800"}'),
    ("lone low surrogate", b'{"input": "\\udc00x"}'),
    ("surrogate in a key", b'{"\\ud800": 1}'),
    ("surrogates the wrong way round", b'{"input": "\\udc00\\ud800"}'),
    ("byte order mark", b"\xef\xbb\xbf" + json.dumps(GOOD).encode()),
    ("UTF-16", json.dumps(GOOD).encode("utf-16")),
    ("control character", b'{"input": "S\x01OL"}'),
    ("bad escape", b'{"input": "\\x41"}'),
    ("NUL byte", b'{"input": "SOL"}\x00'),
    ("33 levels", b'{"venues": ' + b"[" * 32 + b"]" * 32 + b"}"),
    ("10,000 levels", b"[" * 10_000 + b"]" * 10_000),
    ("30,000 levels, open", b'{"a":' * 10_000),
]


def test_every_bad_field_has_its_code_and_pointer() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            for name, body, code, pointer in BODIES:
                response = await _post(client, json.dumps(body).encode())
                try:
                    _is_problem(response, 422, code, pointer or None)
                except AssertionError as error:
                    raise AssertionError(f"{name}: {error}") from error
            assert (await client.get("/v1/orders")).json()["orders"] == []

    served(test)


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/quotes"])
def test_broken_json_is_refused_with_400(path: str) -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            for name, content in BROKEN:
                response = await _post(client, content, path)
                try:
                    _is_problem(response, 400, "json_invalid")
                except AssertionError as error:
                    raise AssertionError(f"{name}: {error}") from error

    served(test)


def test_surrogate_pairs_and_escapes_are_fine() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            escaped = b'{"\\u0069nput": "S\\u004fL", "output": "USDC", "amount": "1"}'
            assert (await _post(client, escaped)).status_code == 202
            emoji = b'{"input": "\\ud83d\\ude00", "output": "USDC", "amount": "1"}'
            _is_problem(await _post(client, emoji), 422, "token_invalid", "/input")

    served(test)


def test_bounds_of_amounts_and_slippage_are_inclusive() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            for body in (
                {"input": "SOL", "output": "USDC", "amount_units": str(U64_MAX)},
                {"input": "SOL", "output": "USDC", "amount": "18446744073.709551615"},
                {"input": "SOL", "output": "USDC", "amount": "0.000000001"},
                {**GOOD, "slippage_bps": 0},
                {**GOOD, "slippage_bps": 5_000},
                {**GOOD, "slippage_bps": 50.0},
            ):
                response = await _post(client, json.dumps(body).encode())
                assert response.status_code == 202, response.text

    served(test)


def test_a_body_over_64_kib_is_413_by_header_and_by_count() -> None:
    async def chunks(size: int) -> object:
        padded = json.dumps(GOOD).encode().ljust(size)
        for start in range(0, size, 10_000):
            yield padded[start : start + 10_000]

    async def test(world: World) -> None:
        async with world.client() as client:
            _is_problem(await _post(client, b" " * 65_537), 413, "body_too_large")
            headers = {"Content-Type": "application/json"}
            for size in (65_537, 300_000):
                response = await client.post("/v1/orders", content=chunks(size), headers=headers)
                _is_problem(response, 413, "body_too_large")
            assert (await client.post("/v1/orders", content=chunks(65_536), headers=headers)).status_code == 202
            assert (await _post(client, json.dumps(GOOD).encode().ljust(65_536))).status_code == 202

    served(test)


def test_only_json_in_utf8_is_taken() -> None:
    async def test(world: World) -> None:
        content = json.dumps(GOOD).encode()
        async with world.client() as client:
            for kind in (
                "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", "",
                "application/json; charset=latin-1", "application/jsonx", "application/problem+json", "json",
            ):  # fmt: skip
                response = await client.post("/v1/orders", content=content, headers={"Content-Type": kind})
                _is_problem(response, 415, "content_type_unsupported")
            _is_problem(await client.post("/v1/quotes", content=content), 415, "content_type_unsupported")
            for kind in ("application/json", "Application/JSON", 'application/json; charset="UTF-8"'):
                response = await client.post("/v1/orders", content=content, headers={"Content-Type": kind})
                assert response.status_code == 202

    served(test)


def test_ids_that_are_no_uuid_are_422_and_unknown_ones_an_identical_404() -> None:
    keys = (
        {"account": "alice", "sha256": _digest("alice-key")},
        {"account": "bob", "sha256": _digest("bob-key")},
    )

    async def test(world: World) -> None:
        alice, bob = {"X-API-Key": "alice-key"}, {"X-API-Key": "bob-key"}
        async with world.client() as client:
            mine = (await client.post("/v1/orders", json=GOOD, headers=alice)).json()["id"]
            assert (await client.get(f"/v1/orders/{mine.upper()}", headers=alice)).status_code == 200
            missing = "01900000-0000-7000-8000-000000000000"
            reads = [("GET", ""), ("GET", "/events"), ("GET", "/events/stream")]
            for method, suffix in (*reads, ("POST", "/cancel"), ("POST", "/release")):
                for bad in ("1", "x" * 36, missing + "%0A", missing[:-1], missing + "0", missing.replace("-", "_")):
                    response = await client.request(method, f"/v1/orders/{bad}{suffix}", headers=bob)
                    _is_problem(response, 422, "id_invalid")
                    assert response.json()["parameter"] == "order_id"
                theirs = await client.request(method, f"/v1/orders/{mine}{suffix}", headers=bob)
                none = await client.request(method, f"/v1/orders/{missing}{suffix}", headers=bob)
                _is_problem(theirs, 404, "not_found")
                assert theirs.content == none.content
                assert _shape(theirs) == _shape(none)
            assert (await client.get("/v1/orders", headers=bob)).json()["orders"] == []

    served(test, api_keys=json.dumps(keys))


def test_bad_query_parameters_are_422() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            for query, code, parameter in (
                ("limit=0", "field_range", "limit"),
                ("limit=201", "field_range", "limit"),
                ("limit=x", "field_type", "limit"),
                ("limit=1.5", "field_type", "limit"),
                ("status=done", "field_range", "status"),
                ("wallet=x", "wallet_invalid", "wallet"),
                ("pair=SOL", "pair_invalid", "pair"),
                ("pair=SOL/NOPE", "token_unknown", "output"),
                ("pair=SOL/USDC&input=SOL", "filter_conflict", "pair"),
                ("input=%00", "token_invalid", "input"),
                ("cursor=zzz", "cursor_invalid", "cursor"),
            ):
                response = await client.get(f"/v1/orders?{query}")
                _is_problem(response, 422, code)
                assert response.json()["parameter"] == parameter, query

    served(test)


def test_nothing_that_was_sent_is_echoed() -> None:
    secret = "sk-live-8f3a"

    async def test(world: World) -> None:
        async with world.client() as client:
            for body in (
                {**GOOD, "amount": secret},
                {**GOOD, "input": secret},
                {**GOOD, "wallet": secret},
                {**GOOD, "venues": [secret]},
                {**GOOD, "swap_mode": secret},
                {**GOOD, "not_before": secret},
                {**GOOD, "client_order_id": secret + " "},
            ):
                response = await _post(client, json.dumps(body).encode(), Authorization=f"Bearer {secret}")
                assert response.status_code == 422
                assert secret not in response.text
            broken = await _post(client, f'{{"input": {secret}}}'.encode())
            assert secret not in broken.text
            assert secret not in (await client.get(f"/v1/orders?limit={secret}")).text
            assert secret not in (await client.get(f"/v1/orders/{secret}")).text
            assert secret not in (await client.get(f"/{secret}")).text

    served(test)


def test_a_store_that_is_away_is_503_with_retry_after_and_loses_nothing() -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            order_id = (await client.post("/v1/orders", json=GOOD)).json()["id"]
            world.store.down = True
            for method, path in (
                ("POST", "/v1/orders"),
                ("GET", "/v1/orders"),
                ("GET", f"/v1/orders/{order_id}"),
                ("GET", f"/v1/orders/{order_id}/events"),
                ("GET", f"/v1/orders/{order_id}/events/stream"),
                ("POST", f"/v1/orders/{order_id}/cancel"),
                ("GET", "/v1/stats"),
            ):
                body = {"json": GOOD} if path == "/v1/orders" and method == "POST" else {}
                response = await client.request(method, path, **body)
                _is_problem(response, 503, "store_unavailable")
                assert int(response.headers["retry-after"]) >= 1
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["checks"]["store"]) == (503, "store_unavailable")
            assert (await client.get("/health/live")).status_code == 200
            world.store.down = False
            assert (await client.get("/health/ready")).status_code == 200
            assert (await client.get(f"/v1/orders/{order_id}")).status_code == 200

    served(test)


def test_a_store_that_takes_no_orders_makes_the_engine_unready() -> None:
    """Also where it can still be read, as on a full disk."""

    async def test(world: World) -> None:
        async with world.client() as client:
            for call, path, body in (
                ("insert", "/v1/orders", GOOD),
                ("insert_many", "/v1/orders/batch", {"orders": [GOOD]}),
            ):
                world.store.down_for, world.store.code = {call}, "store_full"
                await client.post(path, json=body)
                ready = await client.get("/health/ready")
                assert (ready.status_code, ready.json()["checks"]["store"]) == (503, "store_full")
                world.store.down_for = set()
                assert (await client.post(path, json=body)).is_success
                assert (await client.get("/health/ready")).status_code == 200

    served(test)


def test_an_engine_that_shuts_down_accepts_nothing() -> None:
    async def test(world: World) -> None:
        world.intake.stop_accepting()
        async with world.client() as client:
            response = await client.post("/v1/orders", json=GOOD)
            _is_problem(response, 503, "shutting_down")
            assert "retry-after" in response.headers
            assert (await client.get("/health/ready")).json()["checks"]["intake"] == "shutting down"

    served(test)


def _digest(key: str) -> str:
    from hashlib import sha256

    return sha256(key.encode()).hexdigest()


def _shape(response: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name != "date"}


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 4301, "1." + "3" * 4301])
def test_a_number_beyond_all_bounds_is_the_fault_of_its_field(number: str) -> None:
    async def test(world: World) -> None:
        async with world.client() as client:
            amount = f'{{"input": "SOL", "output": "USDC", "amount": {number}}}'
            _is_problem(await _post(client, amount.encode()), 422, "amount_format", "/amount")
            slippage = f'{{"input": "SOL", "output": "USDC", "amount": "1", "slippage_bps": {number}}}'
            _is_problem(await _post(client, slippage.encode()), 422, "slippage_format", "/slippage_bps")

    served(test)
