"""Settings: read once from the environment (and a `.env` file), frozen afterwards.

Every setting is `FILLWRIGHT_` and its name in upper case, such as FILLWRIGHT_PORT. `sources` adds the variables
of earlier engines beneath those, and says where each setting came from.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from pydantic import Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fillwright.domain.errors import ConfigError

_LONGEST_S = 31_536_000.0
"""A year: no timer is set for longer."""
_LONGEST_MS = 86_400_000


class Mode(StrEnum):
    """Where orders are executed. `paper` needs no key and moves no money."""

    PAPER = "paper"
    DEVNET = "devnet"
    MAINNET = "mainnet"


class Scope(StrEnum):
    READ = "read"
    TRADE = "trade"
    ADMIN = "admin"


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key. `sha256` is the hex digest of the key: the key itself is never stored.

    `orders_per_minute` 0: unlimited.
    """

    account: Annotated[str, msgspec.Meta(min_length=1)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{64}\Z")]
    scopes: tuple[Scope, ...] = (Scope.READ, Scope.TRADE)
    orders_per_minute: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


class Settings(BaseSettings):
    """Fields end in their unit. `paper_*` shape the simulated chain and market only.

    `live_config`: the file with endpoints, pools, fees and guards of a real chain. `signer_socket`: where the signer
    listens. `marker_sweep_s`: how often markers' rent is given back on a real chain; 0: never.
    `paper_rpc_url`, `paper_pools`, `paper_pairs`: paper fills on the pools of a real chain.

    `metrics_port`: where a worker process shows its metrics, on `host`; 0: nowhere.
    `paper_*_price_low` and `_high`: within which multiples of the reference price a venue's pools stand, and of
    the quote an execution pays: before it lands, somebody else trades the pool to a multiple drawn between them.
    `environment`: in production, missing servers refuse the start; in development, origins are not checked.
    `compat_insecure`: the client dialects' API, which knows no keys, is open to whoever reaches the server.
    """

    model_config = SettingsConfigDict(env_prefix="FILLWRIGHT_", env_file=".env", extra="ignore", frozen=True)

    mode: Mode = Mode.PAPER
    environment: Literal["", "development", "production", "test"] = ""
    data_dir: Path = Path("fillwright-data")
    snapshot: Path | None = None
    live_config: Path | None = None
    signer_socket: Path = Path("fillwright-signer/signer.sock")
    marker_sweep_s: float = Field(default=600.0, ge=0, le=_LONGEST_S)
    database_url: SecretStr | None = None
    database_pool_max: int = Field(default=10, ge=2, le=1_000)
    redis_url: SecretStr | None = None
    metrics_port: int = Field(default=0, ge=0, le=65535)
    rpc_url: SecretStr | None = None
    private_key: SecretStr | None = None

    host: str = "127.0.0.1"
    port: int = Field(default=3000, ge=0, le=65535)
    api_keys: Annotated[tuple[ApiKey, ...], NoDecode] = ()
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    compat_default_dialect: Literal["", "000", "001", "002", "003", "004"] = ""
    compat_insecure: bool = False
    max_body_bytes: int = Field(default=65_536, ge=1, le=2**30)
    max_streams: int = Field(default=10_000, ge=1, le=1_000_000)
    stream_heartbeat_s: float = Field(default=15.0, gt=0, le=_LONGEST_S)
    stream_buffer_events: int = Field(default=4_000, ge=1, le=10_000_000)

    default_slippage_bps: int = Field(default=50, ge=0, le=10_000)
    max_slippage_bps: int = Field(default=5_000, ge=0, le=10_000)
    quote_timeout_s: float = Field(default=10.0, gt=0, le=_LONGEST_S)
    execution_timeout_s: float = Field(default=30.0, gt=0, le=_LONGEST_S)

    accept_per_minute: int = Field(default=0, ge=0, le=1_000_000)
    concurrency: int = Field(default=10, ge=1, le=10_000)
    orders_per_minute: int = Field(default=0, ge=0, le=1_000_000)
    priority_step_s: float = Field(default=5.0, ge=0, le=86_400)
    wallet_order: bool = False
    max_retries: int = Field(default=3, ge=0, le=100)
    backoff_s: float = Field(default=1.0, ge=0, le=_LONGEST_S)
    rebroadcast_s: float = Field(default=1.0, gt=0, le=_LONGEST_S)
    heartbeat_s: float = Field(default=0.4, gt=0, le=_LONGEST_S)
    lease_ttl_s: float = Field(default=1.4, gt=0, le=_LONGEST_S)
    sweep_s: float = Field(default=1.0, gt=0, le=_LONGEST_S)
    shutdown_timeout_s: float = Field(default=10.0, ge=0, le=_LONGEST_S)
    use_marker: bool = True

    paper_address: str = ""
    paper_rpc_url: SecretStr | None = None
    paper_pools: Annotated[tuple[str, ...], NoDecode] = ()
    paper_pairs: Annotated[tuple[str, ...], NoDecode] = ()
    paper_seed: int = Field(default=1, ge=-(2**63), lt=2**63)
    paper_market: bool = True
    paper_slot_ms: int = Field(default=400, ge=1, le=_LONGEST_MS)
    paper_finality_slots: int = Field(default=0, ge=0, le=1_000_000)
    paper_raydium_quote_delay_ms: int = Field(default=200, ge=0, le=_LONGEST_MS)
    paper_meteora_quote_delay_ms: int = Field(default=200, ge=0, le=_LONGEST_MS)
    paper_execution_delay_min_ms: int = Field(default=2_000, ge=0, le=_LONGEST_MS)
    paper_execution_delay_max_ms: int = Field(default=3_000, ge=0, le=_LONGEST_MS)
    paper_failure_rate: float = Field(default=0.05, ge=0, le=1)
    paper_drop_rate: float = Field(default=0.0, ge=0, le=1)
    paper_raydium_fee_bps: int = Field(default=30, ge=0, lt=10_000)
    paper_meteora_fee_bps: int = Field(default=20, ge=0, lt=10_000)
    paper_raydium_liquidity: int = Field(default=100_000, gt=0, le=1_000_000_000)
    paper_meteora_liquidity: int = Field(default=120_000, gt=0, le=1_000_000_000)
    paper_raydium_price_low: float = Field(default=0.98, gt=0, le=1_000)
    paper_raydium_price_high: float = Field(default=1.02, gt=0, le=1_000)
    paper_meteora_price_low: float = Field(default=0.97, gt=0, le=1_000)
    paper_meteora_price_high: float = Field(default=1.02, gt=0, le=1_000)
    paper_execution_price_low: float = Field(default=1.0, gt=0, le=10)
    paper_execution_price_high: float = Field(default=1.0, gt=0, le=10)
    paper_arbitrage_probability: float = Field(default=0.3, ge=0, le=1)
    paper_volatility: float = Field(default=1.0, ge=0, le=100)
    paper_correlation: float = Field(default=0.5, ge=0, le=1)
    paper_concentrated: bool = False
    paper_initial_balance: int = Field(default=1_000_000_000, ge=0, lt=2**64)
    paper_fee_lamports: int = Field(default=5_000, ge=0, lt=2**63)

    @field_validator("api_keys", mode="before")
    @classmethod
    def _decode_keys(cls, value: object) -> object:
        """A JSON array. What it holds is never told."""
        if not isinstance(value, str):
            return value
        try:
            return msgspec.json.decode(value, type=tuple[ApiKey, ...]) if value.strip() else ()
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise PydanticCustomError("api_keys", "not a JSON array of keys: {why}", {"why": str(error)}) from None

    @field_validator("cors_origins", "paper_pools", "paper_pairs", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Separated by commas."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("database_url", "redis_url", "rpc_url", "paper_rpc_url", "snapshot", "live_config", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        """An address or a file that is empty is none."""
        return None if isinstance(value, str) and not value.strip() else value

    @property
    def store_path(self) -> Path:
        return self.data_dir / "fillwright.db"

    @property
    def ledger_path(self) -> Path:
        """The paper chain's own ledger: it outlives the engine and its store."""
        return self.data_dir / "paper-chain.db"

    @property
    def paper_link(self) -> str:
        """Where the paper chain of many processes listens: `unix:/path` or `host:port`."""
        return self.paper_address or f"unix:{self.data_dir / 'paper-chain.sock'}"

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def check(settings: Settings) -> Settings:
    """`settings`, if they may serve. Raises ConfigError."""
    if not settings.api_keys and not settings.is_loopback and not settings.compat_insecure:
        raise ConfigError(
            f"binding to {settings.host} needs FILLWRIGHT_API_KEYS; without keys bind to 127.0.0.1, or set "
            "COMPAT_INSECURE=1 to open the client dialects' API to everybody"
        )
    if not settings.api_keys and settings.mode is not Mode.PAPER:
        raise ConfigError(f"mode {settings.mode} needs FILLWRIGHT_API_KEYS")
    _check_chain(settings)
    if settings.default_slippage_bps > settings.max_slippage_bps:
        raise ConfigError("FILLWRIGHT_DEFAULT_SLIPPAGE_BPS exceeds FILLWRIGHT_MAX_SLIPPAGE_BPS")
    if settings.lease_ttl_s <= settings.heartbeat_s:
        raise ConfigError(
            "FILLWRIGHT_LEASE_TTL_S must exceed FILLWRIGHT_HEARTBEAT_S: a lease would end before its renewal"
        )
    if settings.paper_execution_delay_min_ms > settings.paper_execution_delay_max_ms:
        raise ConfigError("FILLWRIGHT_PAPER_EXECUTION_DELAY_MIN_MS exceeds …_MAX_MS")
    for name in ("RAYDIUM", "METEORA", "EXECUTION"):
        low, high = (getattr(settings, f"paper_{name.lower()}_price_{end}") for end in ("low", "high"))
        if low > high:
            raise ConfigError(f"FILLWRIGHT_PAPER_{name}_PRICE_LOW exceeds …_HIGH")
    return settings


def _check_chain(settings: Settings) -> None:
    """Raises ConfigError where the mode and what is to be traded contradict each other."""
    if settings.mode is not Mode.PAPER:
        if settings.live_config is None:
            raise ConfigError(f"mode {settings.mode} needs FILLWRIGHT_LIVE_CONFIG (--live): endpoints and pools")
        paper = {"snapshot": settings.snapshot, "paper_rpc_url": settings.paper_rpc_url}
        for name, value in paper.items():
            if value is not None:
                raise ConfigError(f"FILLWRIGHT_{name.upper()} is for paper mode, not for {settings.mode}")
        if settings.mode is Mode.MAINNET and settings.private_key is not None:
            raise ConfigError("PRIVATE_KEY is refused on mainnet: import the key into the signer and unset it")
    elif settings.paper_rpc_url is not None and settings.snapshot is not None:
        raise ConfigError("paper trades on account dumps or on live pools: FILLWRIGHT_SNAPSHOT or …_PAPER_RPC_URL")
    elif settings.live_config is not None and settings.snapshot is not None:
        raise ConfigError("paper trades on account dumps or on live pools: FILLWRIGHT_SNAPSHOT or …_LIVE_CONFIG")
    elif (settings.paper_pools or settings.paper_pairs) and settings.paper_rpc_url is None:
        raise ConfigError("FILLWRIGHT_PAPER_POOLS and …_PAPER_PAIRS need FILLWRIGHT_PAPER_RPC_URL (--rpc)")
