"""Where settings come from: precedence, the earlier engines' variables, refusals, masking."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from solders.keypair import Keypair
from typer.testing import CliRunner

from fillwright.cli.main import app
from fillwright.config import Mode, Settings
from fillwright.config.keys import keypair_bytes
from fillwright.config.legacy import NAMES, VARIABLES
from fillwright.config.sources import Loaded, effective, load
from fillwright.domain.errors import ConfigError

EVERYWHERE = "0.0.0.0"  # noqa: S104 - that is what the test is about
SERVERS = {
    "DB_HOST": "db",
    "DB_PORT": "6000",
    "DB_NAME": "orders",
    "DB_USER": "me",
    "DB_PASSWORD": "p@ss/word",
    "REDIS_HOST": "cache",
    "REDIS_PORT": "6380",
}


def _load(**variables: str) -> Loaded:
    return load({}, environ=variables, dotenv=None)


def _secret(value: object) -> str:
    return str(value.get_secret_value())  # type: ignore[attr-defined]


def test_without_variables_everything_is_a_default_and_nothing_is_said() -> None:
    loaded = _load()
    assert set(loaded.sources.values()) == {"default"}
    assert loaded.warnings == ()
    assert loaded.settings == Settings(_env_file=None)  # type: ignore[call-arg]


def test_the_command_line_beats_our_variable_beats_theirs_beats_the_default() -> None:
    variables = {"PORT": "3001", "FILLWRIGHT_PORT": "3002"}
    assert load({"port": 3003}, environ=variables, dotenv=None).settings.port == 3003
    assert load({"port": 3003}, environ=variables, dotenv=None).sources["port"] == "command line"
    assert _load(**variables).settings.port == 3002
    assert _load(PORT="3001").settings.port == 3001
    assert _load(PORT="3001").sources["port"] == "PORT"
    assert _load(PORT="  ").settings.port == 3000


def test_a_dialect_that_is_named_brings_its_engines_defaults_under_everything_else() -> None:
    loaded = _load(COMPAT_DEFAULT_DIALECT="002", MOCK_DEX_EXECUTION_DELAY_MS="1200", FILLWRIGHT_CONCURRENCY="7")
    settings = loaded.settings
    assert settings.orders_per_minute == 100
    assert (settings.paper_execution_price_low, settings.paper_execution_price_high) == (0.995, 1.005)
    assert (settings.paper_execution_delay_min_ms, settings.paper_execution_delay_max_ms) == (1_200, 1_200)
    assert loaded.sources["orders_per_minute"] == "COMPAT_DEFAULT_DIALECT"
    ours = _load(FILLWRIGHT_COMPAT_DEFAULT_DIALECT="003", COMPAT_DEFAULT_DIALECT="004")
    assert (ours.settings.orders_per_minute, ours.settings.concurrency) == (100, 10)
    assert ours.sources["orders_per_minute"] == "FILLWRIGHT_COMPAT_DEFAULT_DIALECT"
    assert _load(COMPAT_DEFAULT_DIALECT="004").settings.concurrency == 5
    assert _load(COMPAT_DEFAULT_DIALECT="003").settings.paper_execution_price_high == 1.05
    assert _load(COMPAT_DEFAULT_DIALECT="001").settings == _load(FILLWRIGHT_COMPAT_DEFAULT_DIALECT="001").settings


def test_price_bands_that_are_upside_down_are_refused() -> None:
    with pytest.raises(ConfigError, match="METEORA_PRICE_LOW"):
        _load(FILLWRIGHT_PAPER_METEORA_PRICE_LOW="1.5")


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text('PORT=4000\nMAX_RETRIES="7"\n# a comment\nFILLWRIGHT_CONCURRENCY=3\n')
    loaded = load({}, environ={"PORT": "4001"}, dotenv=file)
    assert (loaded.settings.port, loaded.settings.max_retries, loaded.settings.concurrency) == (4001, 7, 3)
    assert loaded.sources["max_retries"] == f"{file}: MAX_RETRIES"


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("HOST", "127.0.0.2", "host", "127.0.0.2"),
        ("RAYDIUM_LATENCY_MS", "11", "paper_raydium_quote_delay_ms", 11),
        ("METEORA_LATENCY_MS", "12", "paper_meteora_quote_delay_ms", 12),
        ("MOCK_DEX_QUOTE_DELAY_MS", "13", "paper_raydium_quote_delay_ms", 13),
        ("MOCK_DEX_QUOTE_DELAY_MS", "13", "paper_meteora_quote_delay_ms", 13),
        ("MOCK_DEX_EXECUTION_DELAY_MS", "2500", "paper_execution_delay_min_ms", 2_500),
        ("EXECUTION_LATENCY_MS", "2500", "paper_execution_delay_max_ms", 2_500),
        ("MOCK_DEX_FAILURE_RATE", "0.25", "paper_failure_rate", 0.25),
        ("MAX_CONCURRENT_ORDERS", "4", "concurrency", 4),
        ("ORDERS_PER_MINUTE", "90", "orders_per_minute", 90),
        ("MAX_RETRIES", "1", "max_retries", 1),
        ("COMPAT_DEFAULT_DIALECT", "003", "compat_default_dialect", "003"),
        ("COMPAT_INSECURE", "1", "compat_insecure", True),
        ("DEX_MODE", "mock", "mode", Mode.PAPER),
        ("NODE_ENV", "test", "environment", "test"),
        ("NODE_ENV", "staging", "environment", ""),
    ],
)
def test_each_variable_of_the_earlier_engines_is_a_setting(variable: str, text: str, field: str, value: object) -> None:
    loaded = _load(**{variable: text})
    assert getattr(loaded.settings, field) == value
    assert loaded.sources[field] == variable


def test_every_field_in_the_table_exists() -> None:
    assert {field for variable in VARIABLES for field in variable.fields} <= set(Settings.model_fields)


def test_a_venues_own_latency_beats_that_of_all() -> None:
    settings = _load(RAYDIUM_LATENCY_MS="1", MOCK_DEX_QUOTE_DELAY_MS="2").settings
    assert (settings.paper_raydium_quote_delay_ms, settings.paper_meteora_quote_delay_ms) == (1, 2)


def test_a_url_beats_its_parts() -> None:
    loaded = _load(**SERVERS, DATABASE_URL="postgresql://u:p@h/d", REDIS_URL="redis://h")
    assert _secret(loaded.settings.database_url) == "postgresql://u:p@h/d"
    assert _secret(loaded.settings.redis_url) == "redis://h"
    assert loaded.sources["database_url"] == "DATABASE_URL"


@pytest.mark.parametrize("family", ["DB_", "POSTGRES_", "PG_"])
def test_the_parts_of_a_database_make_its_url(family: str) -> None:
    name = "NAME" if family == "DB_" else "DB"
    parts = {"HOST": "db", "PORT": "6000", name: "orders", "USER": "me", "PASSWORD": "p@ss/word"}
    loaded = _load(**{family + part: value for part, value in parts.items()})
    assert _secret(loaded.settings.database_url) == "postgresql://me:p%40ss%2Fword@db:6000/orders"


@pytest.mark.parametrize(
    ("dialect", "url"),
    [
        ("004", "postgresql://postgres:postgres@db:5432/order_execution"),
        ("003", "postgresql://postgres:password@db:5433/order_execution"),
    ],
)
def test_parts_that_are_missing_have_the_dialects_defaults_with_a_warning(dialect: str, url: str) -> None:
    loaded = _load(DB_HOST="db", COMPAT_DEFAULT_DIALECT=dialect)
    assert _secret(loaded.settings.database_url) == url
    assert any("DB_PORT" in warning and "defaults" in warning for warning in loaded.warnings)


def test_redis_may_have_a_password() -> None:
    settings = _load(REDIS_HOST="cache", REDIS_PASSWORD="s:cret").settings
    assert _secret(settings.redis_url) == "redis://:s%3Acret@cache:6379"


def test_an_address_or_a_file_that_is_empty_is_none() -> None:
    names = ("DATABASE_URL", "REDIS_URL", "RPC_URL", "PAPER_RPC_URL", "SNAPSHOT", "LIVE_CONFIG")
    settings = _load(**{f"FILLWRIGHT_{name}": " " if name == "REDIS_URL" else "" for name in names}).settings
    assert [getattr(settings, name.lower()) for name in names] == [None] * len(names)


def test_a_process_needs_a_connection_to_write_and_one_to_read() -> None:
    with pytest.raises(ConfigError, match="database_pool_max"):
        _load(FILLWRIGHT_DATABASE_POOL_MAX="1")


def test_production_refuses_to_start_without_its_servers() -> None:
    with pytest.raises(ConfigError) as refused:
        _load(NODE_ENV="production")
    for name in ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "REDIS_HOST", "REDIS_PORT"):
        assert name in refused.value.message


@pytest.mark.parametrize("missing", sorted(SERVERS))
def test_production_names_the_one_that_is_missing(missing: str) -> None:
    variables = {name: value for name, value in SERVERS.items() if name != missing}
    with pytest.raises(ConfigError, match=missing):
        _load(NODE_ENV="production", **variables)


def test_production_starts_with_all_parts_or_with_urls() -> None:
    assert _load(NODE_ENV="production", **SERVERS).settings.environment == "production"
    _load(NODE_ENV="production", DATABASE_URL="postgresql://h/d", REDIS_URL="redis://h")
    _load(NODE_ENV="production", FILLWRIGHT_DATABASE_URL="postgresql://h/d", FILLWRIGHT_REDIS_URL="redis://h")


def test_development_warns_and_opens_origins() -> None:
    loaded = _load(NODE_ENV="development")
    assert any("DB_HOST" in warning for warning in loaded.warnings)
    assert any("REDIS_HOST" in warning for warning in loaded.warnings)
    assert loaded.settings.cors_origins == ("*",)
    assert _load(NODE_ENV="development", FILLWRIGHT_CORS_ORIGINS="https://a.example").settings.cors_origins == (
        "https://a.example",
    )
    assert _load().settings.cors_origins == ()


def test_a_wrong_value_is_refused_by_the_name_of_its_variable() -> None:
    with pytest.raises(ConfigError, match="MAX_RETRIES") as refused:
        _load(MAX_RETRIES="many-secret")
    assert "many-secret" not in refused.value.message
    with pytest.raises(ConfigError, match="DEX_MODE"):
        _load(DEX_MODE="live")


def test_other_than_loopback_needs_keys_or_to_be_opened() -> None:
    with pytest.raises(ConfigError, match="COMPAT_INSECURE"):
        _load(HOST=EVERYWHERE)
    assert _load(HOST=EVERYWHERE, COMPAT_INSECURE="1").settings.compat_insecure


KEYS = json.dumps([{"account": "desk", "sha256": "ab" * 32}])
LIVE = {"FILLWRIGHT_API_KEYS": KEYS, "FILLWRIGHT_LIVE_CONFIG": "live.toml"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"FILLWRIGHT_MODE": "devnet", "FILLWRIGHT_LIVE_CONFIG": "live.toml"}, "API_KEYS"),
        ({"FILLWRIGHT_MODE": "mainnet", "FILLWRIGHT_API_KEYS": KEYS}, "LIVE_CONFIG"),
        ({"FILLWRIGHT_MODE": "mainnet", **LIVE, "PRIVATE_KEY": "[7, 7, 7]"}, "PRIVATE_KEY"),
        ({"FILLWRIGHT_MODE": "devnet", **LIVE, "FILLWRIGHT_SNAPSHOT": "pools"}, "SNAPSHOT"),
        ({"FILLWRIGHT_MODE": "devnet", **LIVE, "FILLWRIGHT_PAPER_RPC_URL": "http://n"}, "PAPER_RPC_URL"),
        ({"FILLWRIGHT_SNAPSHOT": "pools", "FILLWRIGHT_PAPER_RPC_URL": "http://n"}, "SNAPSHOT"),
        ({"FILLWRIGHT_SNAPSHOT": "pools", **LIVE}, "LIVE_CONFIG"),
        ({"FILLWRIGHT_PAPER_POOLS": "x"}, "PAPER_RPC_URL"),
    ],
)
def test_what_contradicts_the_mode_refuses_the_start(wrong: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as refused:
        _load(**wrong)
    assert "7, 7" not in refused.value.message


def test_a_live_mode_and_paper_on_live_pools_are_read() -> None:
    assert _load(FILLWRIGHT_MODE="mainnet", **LIVE).settings.mode == "mainnet"
    paper = _load(FILLWRIGHT_PAPER_RPC_URL="https://n.example/the-key", FILLWRIGHT_PAPER_POOLS="x, y")
    assert paper.settings.paper_pools == ("x", "y")
    shown = {one.name: one.value for one in effective(paper)}
    assert shown["paper_rpc_url"] == "https://n.example/****"


def test_no_secret_is_shown() -> None:
    digest = "ab" * 32
    secrets = {
        "DATABASE_URL": "postgresql://me:hunter2@db:5432/orders?sslpassword=hunter2",
        "REDIS_URL": "redis://:hunter2@cache",
        "SOLANA_RPC_URL": "https://rpc.example/v1?api-key=hunter2",
        "PRIVATE_KEY": json.dumps([7] * 64),
        "FILLWRIGHT_API_KEYS": json.dumps([{"account": "desk", "sha256": digest}]),
    }
    shown = {one.name: one.value for one in effective(_load(**secrets))}
    text = json.dumps(shown)
    assert "hunter2" not in text
    assert digest not in text
    assert "7, 7" not in text
    assert shown["database_url"] == "postgresql://me:****@db:5432/orders?****"
    assert shown["private_key"] == "****"
    assert shown["api_keys"] == "desk: ****"


def test_what_is_not_used_is_said() -> None:
    warnings = _load(JWT_SECRET="x", PRIVATE_KEY="[1]").warnings
    assert any("JWT_SECRET" in warning for warning in warnings)
    assert any("PRIVATE_KEY" in warning for warning in warnings)


def test_a_key_is_read_in_each_of_its_spellings(tmp_path: Path) -> None:
    key = bytes(range(64))
    array = json.dumps(list(key))
    (tmp_path / "id.json").write_text(array + "\n")
    assert keypair_bytes(array) == keypair_bytes(str(tmp_path / "id.json")) == key
    real = Keypair()
    assert keypair_bytes(str(real)) == bytes(real)
    for wrong in ("", "[1,2]", "[256]", "nonsense0", "1" * 10, str(tmp_path / "none")):
        with pytest.raises(ConfigError):
            keypair_bytes(wrong)


@pytest.fixture
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_clean")
def test_the_command_shows_each_setting_and_where_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "3456")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@db/orders")
    result = CliRunner().invoke(app, ["config", "--json"])
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    rows = {row["name"]: row for row in map(json.loads, result.stdout.splitlines()) if row}
    assert set(rows) == set(Settings.model_fields)
    assert rows["port"] == {"name": "port", "variable": "FILLWRIGHT_PORT", "value": "3456", "source": "PORT"}
    changed = CliRunner().invoke(app, ["config", "--json", "--changed"])
    assert [json.loads(line)["name"] for line in changed.stdout.splitlines()] == ["database_url", "port"]


def test_a_variable_that_is_no_setting_is_told_with_the_one_that_may_be_meant() -> None:
    told = _load(FILLWRIGHT_CONCURENCY="5", FILLWRIGHT_FEE="1", FILLWRIGHT_URL="x", FILLWRIGHT_API_KEY="k").warnings
    assert told == (
        "FILLWRIGHT_CONCURENCY is no setting and is not used; FILLWRIGHT_CONCURRENCY is one",
        "FILLWRIGHT_FEE is no setting and is not used",
    )


NUMBERS = [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)]


@pytest.mark.parametrize("field", NUMBERS)
def test_every_number_has_bounds(field: str) -> None:
    for value in ("inf", "-inf", "nan", "1e308", "9" * 30, "-1" + "0" * 30, "x"):
        with pytest.raises(ConfigError, match=rf"^setting {field} \(FILLWRIGHT_{field.upper()}\): "):
            _load(**{f"FILLWRIGHT_{field.upper()}": value})


@pytest.mark.parametrize(
    "name",
    ["MAX_BODY_BYTES", "MAX_STREAMS", "STREAM_HEARTBEAT_S", "STREAM_BUFFER_EVENTS", "QUOTE_TIMEOUT_S",
     "EXECUTION_TIMEOUT_S", "CONCURRENCY", "SWEEP_S"],
)  # fmt: skip
def test_what_nothing_could_run_on_is_refused(name: str) -> None:
    for value in ("0", "-1"):
        with pytest.raises(ConfigError, match=name):
            _load(**{f"FILLWRIGHT_{name}": value})


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="LEASE_TTL_S"):
        _load(FILLWRIGHT_LEASE_TTL_S="0.4", FILLWRIGHT_HEARTBEAT_S="0.4")
    with pytest.raises(ConfigError, match="DEFAULT_SLIPPAGE_BPS"):
        _load(FILLWRIGHT_MAX_SLIPPAGE_BPS="49")
    assert _load(FILLWRIGHT_MAX_SLIPPAGE_BPS="49", FILLWRIGHT_DEFAULT_SLIPPAGE_BPS="49").settings


def test_keys_that_could_never_be_presented_are_refused_without_being_shown() -> None:
    digest = "ab" * 32
    for text in (
        "secret", '{"account": "a"}', '[{"account": "a"}]', '[{"account": "a", "sha256": "secret"}]',
        f'[{{"account": "", "sha256": "{digest}"}}]', f'[{{"account": "a", "sha256": "{digest}0"}}]',
        f'[{{"account": "a", "sha256": "{digest}", "orders_per_minute": -1}}]',
        f'[{{"account": "a", "sha256": "{digest}", "scopes": ["root"]}}]',
    ):  # fmt: skip
        with pytest.raises(
            ConfigError, match=r"^setting api_keys \(FILLWRIGHT_API_KEYS\): not a JSON array"
        ) as refused:
            _load(FILLWRIGHT_API_KEYS=text)
        assert "secret" not in str(refused.value)
    assert _load(FILLWRIGHT_API_KEYS=f'[{{"account": "a", "sha256": "{digest.upper()}"}}]').settings.api_keys


def test_a_file_of_settings_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"\.env can't be read: it is not UTF-8"):
        load({}, environ={}, dotenv=path)
