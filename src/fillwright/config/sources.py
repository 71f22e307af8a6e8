"""Settings from everywhere they can come from, and where each one came from.

In: command-line overrides, the environment, a `.env` file. Out: checked settings with their sources. Precedence:
command line, FILLWRIGHT_ variables, the earlier engines' variables (`legacy`), defaults; the environment beats
the file for a variable that is in both.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from fillwright.config import Mode, Settings, check, legacy
from fillwright.config.keys import keypair_bytes
from fillwright.domain.errors import ConfigError

PREFIX = "FILLWRIGHT_"
OTHERS = frozenset(PREFIX + name for name in ("URL", "API_KEY", "SIGNER_PASSPHRASE", "SIGNER_PASSPHRASE_FILE"))
"""What commands read that are no engine."""
_ALIKE = 0.9
MASK = "****"
MASKED_FIELDS = frozenset({"private_key", "api_keys"})
PATH_IS_SECRET = frozenset({"rpc_url", "paper_rpc_url"})
"""Providers put their keys into the path."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class Setting(msgspec.Struct, frozen=True):
    """One setting as it is in effect. `value` is text with secrets masked; `source` says where it came from."""

    name: str
    variable: str
    value: str
    source: str


class Loaded(msgspec.Struct, frozen=True):
    """Settings that may serve, each field's source, and what the operator should know."""

    settings: Settings
    sources: dict[str, str]
    warnings: tuple[str, ...]


def load(
    overrides: Mapping[str, Any], *, environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")
) -> Loaded:
    """The effective settings. Raises ConfigError, which names the variable and never its value."""
    variables, origins = _variables(os.environ if environ is None else environ, dotenv)
    reading = legacy.read(variables)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for field in Settings.model_fields:
        own = PREFIX + field.upper()
        if field in overrides:
            values[field], sources[field] = overrides[field], "command line"
        elif own in variables:
            values[field], sources[field] = variables[own], origins[own] + own
        elif field in reading.found:
            found = reading.found[field]
            values[field] = found.value
            sources[field] = ", ".join(origins[name] + name for name in found.source.split(", "))
        else:
            sources[field] = "default"
    if values.get("environment") == "development" and "cors_origins" not in values:
        values["cors_origins"], sources["cors_origins"] = ("*",), "development"
    settings = _checked(values, sources)
    told = _refuse_or_warn(settings, sources, reading)
    return Loaded(settings, sources, (*told, *_unknown(variables)))


def database_url(*, environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")) -> str | None:
    """The store's address as `load` finds it, whatever else is set or missing. Raises ConfigError."""
    variables, _ = _variables(os.environ if environ is None else environ, dotenv)
    own = variables.get(PREFIX + "DATABASE_URL", "").strip()
    found = legacy.read(variables).found.get("database_url")
    return own or (found.value if found is not None else None)


def effective(loaded: Loaded) -> list[Setting]:
    """Every setting, in the order of its declaration."""
    return [
        Setting(field, PREFIX + field.upper(), shown(field, getattr(loaded.settings, field)), loaded.sources[field])
        for field in Settings.model_fields
    ]


def shown(field: str, value: object) -> str:
    """A setting's value for people's eyes: no key, no password, no token in a URL."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", ()):
        return ""
    if field == "api_keys" and isinstance(value, tuple):
        return ", ".join(f"{key.account}: {MASK}" for key in value)
    if field in MASKED_FIELDS:
        return MASK
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, str) and _ADDRESS.match(value):
        return _masked_url(value, path=field not in PATH_IS_SECRET)
    return str(value)


def _variables(environ: Mapping[str, str], dotenv: Path | None) -> tuple[dict[str, str], dict[str, str]]:
    """Every variable by its upper-case name, and a prefix for each that says where it stood."""
    in_file = {} if dotenv is None or not dotenv.is_file() else _read(dotenv)
    variables: dict[str, str] = {}
    origins: dict[str, str] = {}
    for name, value in in_file.items():
        if value is not None:
            variables[name.upper()], origins[name.upper()] = value, f"{dotenv}: "
    for name, value in environ.items():
        variables[name.upper()], origins[name.upper()] = value, ""
    return variables, origins


def _read(dotenv: Path) -> Mapping[str, str | None]:
    try:
        return dotenv_values(dotenv)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{dotenv} can't be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None


def _checked(values: dict[str, Any], sources: Mapping[str, str]) -> Settings:
    try:
        return check(Settings(_env_file=None, **values))  # type: ignore[call-arg]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        source = sources.get(str(first["loc"][0]) if first["loc"] else "", "")
        where = f" ({source})" if source not in ("", "default") else ""
        raise ConfigError(f"setting {name}{where}: {first['msg']}") from None


def _refuse_or_warn(settings: Settings, sources: Mapping[str, str], reading: legacy.Reading) -> list[str]:
    """What a person should be told. Raises ConfigError where production lacks what it needs."""
    servers = {"database_url": "DB_", "redis_url": "REDIS_"}
    own = {prefix for field, prefix in servers.items() if sources[field].endswith(PREFIX + field.upper())}
    missing = [name for name in reading.missing if not name.startswith(tuple(own))]
    if settings.environment == "production" and missing:
        raise ConfigError(f"NODE_ENV is production, and these are not set: {', '.join(missing)}")
    if settings.private_key is not None:
        if settings.mode is Mode.PAPER:
            return [*_told(settings, reading, own), "PRIVATE_KEY is set but not used in paper mode"]
        keypair_bytes(settings.private_key.get_secret_value())
        warning = "PRIVATE_KEY is set, but the engine holds no key: give it to `fillwright signer run` alone"
        return [*_told(settings, reading, own), warning]
    return _told(settings, reading, own)


def _unknown(variables: Mapping[str, str]) -> list[str]:
    """Variables that are named like settings and are none, each with the setting that may be meant."""
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    told = []
    for name in sorted(set(variables).difference(known, OTHERS)):
        if name.startswith(PREFIX):
            meant = "".join(f"; {one} is one" for one in difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE))
            told.append(f"{name} is no setting and is not used{meant}")
    return told


def _told(settings: Settings, reading: legacy.Reading, own: set[str]) -> list[str]:
    """The warnings that matter: without a word about an environment, servers that nobody named are no news."""
    expects_servers = settings.environment == "development"
    told = []
    for warning in reading.warnings:
        if warning.startswith(tuple(own)):
            continue
        if expects_servers or "the defaults are used" in warning or "not used" in warning:
            told.append(warning)
    return told


def _masked_url(url: str, *, path: bool) -> str:
    """Everything but the password, what follows the path and, unless asked for, the path."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user = parts.username or ""
    login = f"{user}:{MASK}@" if parts.password is not None else f"{user}@" if user else ""
    shown_path = parts.path if path or parts.path in ("", "/") else f"/{MASK}"
    return urlunsplit((parts.scheme, login + host, shown_path, MASK if parts.query else "", ""))
