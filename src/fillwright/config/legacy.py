"""The environment variables of five earlier engines, as a table: which setting each one is.

In: variables. Out: values of settings by name, with the variables they came from. A connection's URL beats its
parts, a part that is named beats its default; of several variables for one setting the first listed wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from fillwright.domain.errors import ConfigError


class Found(msgspec.Struct, frozen=True):
    """A setting's value, and the variables that it was made of."""

    value: str
    source: str


class Variable(msgspec.Struct, frozen=True):
    name: str
    fields: tuple[str, ...]
    meaning: str


VARIABLES: tuple[Variable, ...] = (
    Variable("NODE_ENV", ("environment",), "production, development or test"),
    Variable("PORT", ("port",), "port to listen on"),
    Variable("HOST", ("host",), "address to bind"),
    Variable("DATABASE_URL", ("database_url",), "PostgreSQL; beats DB_*, POSTGRES_* and PG_*"),
    Variable("REDIS_URL", ("redis_url",), "Redis; beats REDIS_HOST, REDIS_PORT and REDIS_PASSWORD"),
    Variable("SOLANA_RPC_URL", ("rpc_url",), "Solana node, outside paper mode"),
    Variable("PRIVATE_KEY", ("private_key",), "JSON byte array, base58 text or a path; outside paper mode"),
    Variable("RAYDIUM_LATENCY_MS", ("paper_raydium_quote_delay_ms",), "time that a Raydium quote takes"),
    Variable("METEORA_LATENCY_MS", ("paper_meteora_quote_delay_ms",), "time that a Meteora quote takes"),
    Variable(
        "MOCK_DEX_QUOTE_DELAY_MS",
        ("paper_raydium_quote_delay_ms", "paper_meteora_quote_delay_ms"),
        "time that any quote takes",
    ),
    Variable(
        "MOCK_DEX_EXECUTION_DELAY_MS",
        ("paper_execution_delay_min_ms", "paper_execution_delay_max_ms"),
        "time that landing takes",
    ),
    Variable(
        "EXECUTION_LATENCY_MS",
        ("paper_execution_delay_min_ms", "paper_execution_delay_max_ms"),
        "time that landing takes",
    ),
    Variable("MOCK_DEX_FAILURE_RATE", ("paper_failure_rate",), "share of transactions that fail at random"),
    Variable("MAX_CONCURRENT_ORDERS", ("concurrency",), "orders executed at the same time"),
    Variable("ORDERS_PER_MINUTE", ("orders_per_minute",), "orders begun per minute; 0 is no limit"),
    Variable("MAX_RETRIES", ("max_retries",), "further tries of a failed order"),
    Variable("COMPAT_DEFAULT_DIALECT", ("compat_default_dialect",), "dialect of requests that fit it"),
    Variable("COMPAT_INSECURE", ("compat_insecure",), "1 opens the dialects' API to everybody"),
)

DIALECT_DEFAULTS: dict[str, dict[str, str]] = {
    "002": {
        "orders_per_minute": "100",
        "paper_execution_delay_min_ms": "2500",
        "paper_execution_delay_max_ms": "3500",
        "paper_execution_price_low": "0.995",
        "paper_execution_price_high": "1.005",
    },
    "003": {
        "orders_per_minute": "100",
        "paper_execution_price_low": "0.95",
        "paper_execution_price_high": "1.05",
    },
    "004": {
        "concurrency": "5",
        "paper_execution_delay_min_ms": "2500",
        "paper_execution_delay_max_ms": "2500",
        "paper_execution_price_low": "0.99",
        "paper_execution_price_high": "1.01",
    },
}
"""What an engine had where no variable said otherwise; COMPAT_DEFAULT_DIALECT brings it back."""

UNUSED: dict[str, str] = {
    "JWT_SECRET": "no dialect signs anything with it",
    "API_BASE": "read by the demo client, not by the engine",
}
"""Variables that earlier engines had, and that change nothing here."""

_DATABASE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("host", ("DB_HOST", "POSTGRES_HOST", "PG_HOST"), "localhost"),
    ("port", ("DB_PORT", "POSTGRES_PORT", "PG_PORT"), "5432"),
    ("name", ("DB_NAME", "POSTGRES_DB", "PG_DB"), "order_execution"),
    ("user", ("DB_USER", "POSTGRES_USER", "PG_USER"), "postgres"),
    ("password", ("DB_PASSWORD", "POSTGRES_PASSWORD", "PG_PASSWORD"), "postgres"),
)
_DATABASE_003 = {"port": "5433", "password": "password"}
_REDIS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("host", ("REDIS_HOST",), "localhost"),
    ("port", ("REDIS_PORT",), "6379"),
)
_MODES = {"mock": "paper", "paper": "paper", "devnet": "devnet", "mainnet": "mainnet"}
NAMES = (
    *(variable.name for variable in VARIABLES),
    *(name for _, names, _ in (*_DATABASE, *_REDIS) for name in names),
    "REDIS_PASSWORD",
    "DEX_MODE",
    *UNUSED,
)
"""Every variable that is read."""


class Reading(msgspec.Struct):
    """What the variables say. `missing`: servers' variables that have no value; `warnings`: for people."""

    found: dict[str, Found] = {}
    missing: list[str] = []
    warnings: list[str] = []


def read(variables: Mapping[str, str]) -> Reading:
    """The settings behind `variables`; empty ones count as absent. Raises ConfigError."""
    given = {name: variables[name].strip() for name in NAMES if variables.get(name, "").strip()}
    reading = Reading()
    for variable in VARIABLES:
        if variable.name in given:
            for field in variable.fields:
                reading.found.setdefault(field, Found(given[variable.name], variable.name))
    if "environment" in reading.found:
        spelling = reading.found["environment"]
        reading.found["environment"] = Found(_environment(spelling.value), spelling.source)
    if "DEX_MODE" in given:
        reading.found["mode"] = Found(_mode(given["DEX_MODE"]), "DEX_MODE")
    dialect = _dialect(variables)
    _database(given, reading, _DATABASE_003 if dialect.value == "003" else {})
    _redis(given, reading)
    for field, value in DIALECT_DEFAULTS.get(dialect.value, {}).items():
        reading.found.setdefault(field, Found(value, dialect.source))
    reading.warnings += [f"{name} is set but not used: {why}" for name, why in UNUSED.items() if name in given]
    return reading


def _environment(text: str) -> str:
    """A name that is none of ours means nothing special."""
    return text.lower() if text.lower() in ("development", "production", "test") else ""


def _mode(text: str) -> str:
    mode = _MODES.get(text.lower())
    if mode is None:
        raise ConfigError(f"DEX_MODE is one of {', '.join(_MODES)}")
    return mode


def _dialect(variables: Mapping[str, str]) -> Found:
    """The dialect that is named, by our variable or theirs: its engine's defaults hold."""
    for name in ("FILLWRIGHT_COMPAT_DEFAULT_DIALECT", "COMPAT_DEFAULT_DIALECT"):
        if variables.get(name, "").strip():
            return Found(variables[name].strip(), name)
    return Found("", "")


def _database(given: Mapping[str, str], reading: Reading, defaults: Mapping[str, str]) -> None:
    if "database_url" in reading.found:
        return
    parts, used = _parts(_DATABASE, given, defaults, reading, "the embedded store is used")
    if used:
        user, password = quote(parts["user"], safe=""), quote(parts["password"], safe="")
        url = f"postgresql://{user}:{password}@{parts['host']}:{parts['port']}/{quote(parts['name'], safe='')}"
        reading.found["database_url"] = Found(url, ", ".join(used))


def _redis(given: Mapping[str, str], reading: Reading) -> None:
    if "redis_url" in reading.found:
        return
    parts, used = _parts(_REDIS, given, {}, reading, "the bus inside the process is used")
    password = given.get("REDIS_PASSWORD")
    if password is not None:
        used.append("REDIS_PASSWORD")
    if used:
        login = f":{quote(password, safe='')}@" if password is not None else ""
        reading.found["redis_url"] = Found(f"redis://{login}{parts['host']}:{parts['port']}", ", ".join(used))


def _parts(
    table: tuple[tuple[str, tuple[str, ...], str], ...],
    given: Mapping[str, str],
    defaults: Mapping[str, str],
    reading: Reading,
    otherwise: str,
) -> tuple[dict[str, str], list[str]]:
    """A connection's parts, defaults filled in, and the variables that named any of them."""
    parts: dict[str, str] = {}
    used: list[str] = []
    absent: list[str] = []
    for part, names, default in table:
        name = next((name for name in names if name in given), None)
        if name is None:
            absent.append(names[0])
            parts[part] = defaults.get(part, default)
        else:
            used.append(name)
            parts[part] = given[name]
    reading.missing += absent
    if not used:
        reading.warnings.append(f"{', '.join(absent)} not set: {otherwise}")
    elif absent:
        reading.warnings.append(f"{', '.join(absent)} not set: the defaults are used")
    return parts, used
