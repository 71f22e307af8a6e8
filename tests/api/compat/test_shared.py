"""What all dialects share: recognition, merged answers, exact numbers, errors, access, origins, the page."""

from __future__ import annotations

import json

import pytest
from websockets.exceptions import InvalidStatus

from api.compat.engine import ORDERS, SOCKETS, Client, client
from fillwright.config.sources import load

JSON = {"content-type": "application/json"}
EVERYWHERE = "0.0.0.0"  # noqa: S104 - that is what the test is about


@pytest.mark.parametrize("dialect", sorted(ORDERS))
def test_the_dialect_is_recognised_by_the_fields_and_stored(team: Client, dialect: str) -> None:
    order_id = team.order(dialect)
    shapes = {
        "002": {"retryCount"},
        "003": {"message", "data"},
        "004": {"success", "data"},
    }
    answer = team.get(f"/api/orders/{order_id}").json()
    own = shapes.get(dialect, {"retryCount", "message", "success", "data"})
    assert own <= set(answer)
    if dialect in shapes:
        others = set().union(*(keys for name, keys in shapes.items() if name != dialect)) - own
        assert not others & set(answer)


def test_an_order_of_a_dialect_without_reading_is_shown_to_all_in_one_object(team: Client) -> None:
    answer = team.get(f"/api/orders/{team.ended('000')}").json()
    assert answer["status"] == "confirmed"
    assert answer["amountIn"] == answer["data"]["inputAmount"] == 1.5
    assert answer["data"]["quote"]["price"] > 0


def test_the_list_without_a_dialect_has_both_kinds_of_keys(team: Client) -> None:
    order_id = team.ended("002")
    row = next(row for row in team.get("/api/orders").json() if row["id"] == order_id)
    assert row["orderId"] == row["id"]
    assert (row["amountIn"], row["amount"]) == (1.5, "1.50000000")
    assert row["slippage"] == 0.02


def test_the_header_forces_a_dialect_and_must_name_one(team: Client) -> None:
    body = {"tokenIn": "SOL", "tokenOut": "USDC", "amountIn": 1, "type": "market"}
    answer = team.post("/api/orders/execute", body, **{"X-Compat-Dialect": "001"})
    assert answer.json()["status"] == "queued"
    refused = team.post("/api/orders/execute", body, **{"X-Compat-Dialect": "005"})
    assert refused.status_code == 400


def test_the_setting_decides_where_the_fields_fit(tmp_path_factory: pytest.TempPathFactory) -> None:
    with client(tmp_path_factory.mktemp("default"), compat_default_dialect="001") as team:
        body = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": 1}
        assert team.post("/api/orders/execute", body).json()["status"] == "queued"
        assert team.post("/api/orders/execute", ORDERS["004"]).json()["success"] is True
        assert team.post("/api/orders/execute", ORDERS["000"]).json()["status"] == "PENDING"


def test_nothing_recognisable_is_refused_for_everybody(team: Client) -> None:
    response = team.post("/api/orders/execute", {})
    assert response.status_code == 400
    assert response.json() == {"success": False, "error": "Missing required fields: tokenIn, tokenOut, amount"}


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0.1", "100000000"),
        ("0.30000000000000004", "300000000"),
        ("1e-9", "1"),
        ("1.5E0", "1500000000"),
        ("9007199.254740993", "9007199254740993"),
        ("1", "1000000000"),
    ],
)
def test_amounts_are_read_from_the_text_itself(team: Client, text: str, units: str) -> None:
    body = f'{{"tokenIn":"SOL","tokenOut":"USDC","amount":{text}}}'
    response = team.http.post("/api/orders", content=body, headers=JSON)
    assert response.status_code == 201, response.text
    order = team.get(f"/v1/orders/{response.json()['data']['id']}").json()
    assert order["amount_units"] == units


@pytest.mark.parametrize("text", ["1e-10", "1e-99999999", "1e300", "99999999999999", "true", '"1"', "[1]", "-0.0"])
def test_amounts_that_are_none_are_refused(team: Client, text: str) -> None:
    body = f'{{"tokenIn":"SOL","tokenOut":"USDC","amount":{text}}}'
    response = team.http.post("/api/orders/execute", content=body, headers=JSON)
    assert response.status_code == 400
    assert set(response.json()) == {"error"}


@pytest.mark.parametrize(
    ("text", "status"),
    [("{", 400), ("[]", 400), ('{"a":1,"a":2}', 400), ('{"amount":NaN}', 400), ("[" * 200, 400), ("x" * 70_000, 413)],
)
def test_a_body_that_is_no_object_is_refused(team: Client, text: str, status: int) -> None:
    response = team.http.post("/api/orders/execute", content=text, headers=JSON)
    assert response.status_code == status
    assert response.json()["success"] is False
    assert response.json()["error"]


def test_an_unknown_token_is_named_in_the_dialects_shape(team: Client) -> None:
    for dialect, field in (("000", "inputToken"), ("001", "tokenIn"), ("002", "tokenIn"), ("003", "tokenIn")):
        response = team.post("/api/orders/execute", {**ORDERS[dialect], field: "MYTOKEN"})
        assert response.status_code == 400
        assert set(response.json()) == {"error"}
        assert response.json()["error"].startswith(field)
        assert "MYTOKEN" not in response.text


def test_a_pair_that_nobody_trades_ends_as_failed_with_the_reason(team: Client) -> None:
    order_id = team.order("003", tokenIn="BONK", tokenOut="BTC")
    last = team.watch("003", order_id)[-1]
    assert last["status"] == "failed"
    assert "pool" in last["data"]["error"]


def test_an_order_of_the_canonical_api_is_shown_too(team: Client) -> None:
    body = {"input": "USDC", "output": "SOL", "amount": "1", "swap_mode": "exact_out"}
    order_id = team.post("/v1/orders", body).json()["id"]
    team.watch("004", order_id)
    answer = team.get(f"/api/orders/{order_id}", **{"X-Compat-Dialect": "002"}).json()
    assert (answer["tokenIn"], answer["tokenOut"], answer["executedAmount"]) == ("USDC", "SOL", 1)
    assert answer["amountIn"] > 1


def test_another_methods_and_paths_are_refused_without_a_stack(team: Client) -> None:
    assert team.http.delete("/api/orders").status_code == 405
    assert team.get("/api/nothing").status_code == 404


def test_pages_of_other_origins_are_not_let_in_by_default(team: Client) -> None:
    response = team.get("/health", Origin="https://elsewhere.example")
    assert "access-control-allow-origin" not in response.headers
    with pytest.raises(InvalidStatus) as refused, team.socket("/api/orders/ws", Origin="https://elsewhere.example"):
        pass
    assert refused.value.response.status_code == 403


def test_origins_can_be_opened(tmp_path_factory: pytest.TempPathFactory) -> None:
    with client(tmp_path_factory.mktemp("cors"), cors_origins=("*",)) as team:
        headers = {
            "Origin": "https://elsewhere.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-compat-dialect",
        }
        assert team.http.options("/api/orders/execute", headers=headers).status_code == 200
        answer = team.get("/health", Origin="https://elsewhere.example")
        assert answer.headers["access-control-allow-origin"] == "*"
        with team.socket("/api/orders/ws", Origin="https://elsewhere.example"):
            pass


def test_development_opens_origins_and_nothing_else_does(tmp_path_factory: pytest.TempPathFactory) -> None:
    for environment, opened in (("development", True), ("test", False), ("", False)):
        loaded = load({}, environ={"NODE_ENV": environment}, dotenv=None).settings
        with client(tmp_path_factory.mktemp("env"), cors_origins=loaded.cors_origins) as team:
            answer = team.get("/health", Origin="https://elsewhere.example")
            assert ("access-control-allow-origin" in answer.headers) is opened


def test_a_page_of_another_origin_cannot_order_without_asking_first(team: Client) -> None:
    """A form or a script can send these without a preflight, as the browser's user, from any page."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        headers = {"content-type": kind, "origin": "https://elsewhere.example"}
        for path in ("/api/orders/execute", "/api/orders", "/api/orders/quote"):
            response = team.http.post(path, content=json.dumps(ORDERS["003"]), headers=headers)
            assert response.status_code == 415
            assert response.json()["error"]


def test_with_keys_configured_a_key_is_its_account(tmp_path_factory: pytest.TempPathFactory) -> None:
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    keys = json.dumps([{"account": "desk", "sha256": digest}])
    with client(tmp_path_factory.mktemp("keys"), api_keys=keys) as team:
        order_id = team.ended("003")
        assert team.get(f"/api/orders/{order_id}").status_code == 200
        key = {"X-API-Key": "secret"}
        assert team.get(f"/api/orders/{order_id}", **key).status_code == 404
        mine = team.post("/api/orders/execute", ORDERS["002"], **key).json()["orderId"]
        assert team.get(f"/api/orders/{mine}", **key).status_code == 200
        assert team.get(f"/api/orders/{mine}").status_code == 404
        assert team.get("/api/orders", **{"X-API-Key": "wrong"}).status_code == 401


def test_beyond_loopback_it_is_closed_unless_opened(tmp_path_factory: pytest.TempPathFactory) -> None:
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    keys = json.dumps([{"account": "desk", "sha256": digest}])
    with client(tmp_path_factory.mktemp("closed"), host=EVERYWHERE, api_keys=keys) as team:
        local = Client(team.url.replace(EVERYWHERE, "127.0.0.1"))
        refused = local.post("/api/orders/execute", ORDERS["004"])
        assert refused.status_code == 401
        assert refused.json()["success"] is False
        for path in SOCKETS.values():
            with pytest.raises(InvalidStatus), local.socket(path.format("x")):
                pass
        local.close()
    with client(tmp_path_factory.mktemp("open"), host=EVERYWHERE, compat_insecure=True) as team:
        local = Client(team.url.replace(EVERYWHERE, "127.0.0.1"))
        assert local.post("/api/orders/execute", ORDERS["004"]).status_code == 201
        local.close()


@pytest.mark.parametrize("path", ["/static/client.html", "/client.html", "/"])
def test_the_pages_load_nothing_from_elsewhere(team: Client, path: str) -> None:
    response = team.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    for outside in ('src="http', 'href="http', "@import", "url(http"):
        assert outside not in response.text


def test_metrics_of_prometheus_stay_where_they_are(team: Client) -> None:
    assert "text/plain" in team.get("/metrics").headers["content-type"]
    assert team.get("/api/metrics").headers["content-type"] == "application/json"
