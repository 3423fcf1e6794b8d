"""Settings of one installation, read from the environment (`SOFTLAUNCH_*`) once and frozen."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from softlaunch.core.errors import SoftlaunchError

HOME = ".softlaunch"
_PREFIX = "SOFTLAUNCH_"


class SettingsError(SoftlaunchError):
    """A variable of the environment that can't be used; the message names it, and never quotes it."""


def find_home() -> Path:
    """The home folder of whoever works here: `.softlaunch` in this folder, else in the next one above that has it.

    Folders of others are passed over, as somebody might leave one in /tmp. Where there is none it will be made here.
    """
    here = Path(HOME)
    if here.is_dir():
        return here
    found = (folder / HOME for folder in Path.cwd().parents)
    return next((home for home in found if _is_mine(home)), here)


def _is_mine(home: Path) -> bool:
    try:
        return home.is_dir() and home.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _is_secret(settings: type[BaseSettings], name: str) -> bool:
    field = settings.model_fields.get(name)
    return field is not None and SecretStr in get_args(field.annotation)


class Settings(BaseSettings):
    """Where things are and how they are reached; every field can be set as `SOFTLAUNCH_<FIELD>`.

    A variable that is blank is as if it weren't set, unless it is for a secret: keys that got lost would open what they
    guard, and a lost address begin another ledger. Raises SettingsError.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True, allow_inf_nan=False
    )

    if not TYPE_CHECKING:  # who reads the types sees the fields

        def __init__(self, **given: Any) -> None:
            try:
                super().__init__(**given)
            except ValidationError as error:
                found = [f"{_PREFIX}{one['loc'][0]}".upper() + f": {one['msg']}" for one in error.errors()]
                raise SettingsError("; ".join(found)) from None

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: Any) -> Any:
        return {
            name: value
            for name, value in given.items()
            if not isinstance(value, str) or value.strip() or _is_secret(cls, name)
        }

    home: Path = Field(
        default_factory=find_home,
        description="folder for the embedded database, reports and logs; when unset, .softlaunch in this folder or the "
        "nearest parent that has it",
    )
    database_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL of the ledger; when unset, SQLite in the home folder"
    )
    client_keys: SecretStr | None = Field(
        default=None, description="comma-separated API keys, one of which gateway clients must send; open when unset"
    )
    poll_seconds: float = Field(default=1.0, gt=0, le=2, description="pause between two steps of a live release")
    driver_seconds: float = Field(
        default=15.0, ge=5, le=600, description="how long a driver may be silent before another one takes over"
    )
    eval_shards: int = Field(default=1, ge=1, le=256, description="number of Dask tasks that share an eval")
    golden_set_folders: str = Field(
        default="",
        description="folders besides an app's own, separated by ':', that may hold golden sets",
    )
    dask_address: str | None = Field(
        default=None, description="address of the Dask scheduler; when unset, one is started on this machine"
    )
    metric_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="seconds that a metric from another package may take for one answer"
    )
    metric_memory_mb: float = Field(
        default=4096.0, ge=64, description="memory limit in MB for all metrics from other packages together"
    )
    reports_url: str | None = Field(default=None, description="URL under which the reports folder is served")
    runbooks_url: str | None = Field(default=None, description="URL under which the runbooks are served")
    webhook_url: SecretStr | None = Field(default=None, description="URL that is notified of every incident")
    webhook_secret: SecretStr | None = Field(default=None, description="key that signs requests to the webhook")
    webhook_routing_key: SecretStr | None = Field(
        default=None, description="routing key in the webhook's body, as PagerDuty requires"
    )
    archive: str = Field(
        default="", description="where cleanups archive: a folder, or s3://bucket/prefix?storage_class=GLACIER_IR"
    )
    model_registry: str = Field(
        default="",
        description="registry whose aliases are kept in step with what serves: mlflow+http://host:port or "
        "wandb://entity/project; none when unset",
    )
    mlflow_token: SecretStr | None = Field(default=None, description="bearer token for MLflow")
    ledger_usd_per_gb_month: float = Field(
        default=0.115, ge=0, description="monthly price of a gigabyte of the ledger, in USD; Amazon RDS gp3 lists 0.115"
    )
    gateway_host: str = Field(default="127.0.0.1", description="address that the gateway listens on")
    gateway_port: int = Field(default=8800, ge=0, le=65535, description="port of the gateway")
    gateway_processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="processes of `softlaunch gateway` that share its port, each with its own limits",
    )
    gateway_drain_seconds: float = Field(
        default=0,
        ge=0,
        le=600,
        description="how long a gateway accepts requests after SIGTERM, while /healthz answers 503 so that load "
        "balancers notice; requests in progress then have 25 seconds to finish",
    )
    gateway_connections: int = Field(
        default=8192,
        ge=16,
        description="maximum concurrent client connections; fewer if the process may open fewer files",
    )
    gateway_connections_per_address: int = Field(
        default=0,
        ge=0,
        description="maximum connections per address; never more than are left for others, the only limit with 0",
    )
    gateway_trusted_proxies: str = Field(
        default="", description="comma-separated addresses and networks whose connections carry many clients"
    )
    gateway_requests_mib: int = Field(
        default=256, ge=1, description="memory for request bodies, from their first byte until the answer"
    )
    gateway_answers_mib: int = Field(
        default=256,
        ge=1,
        description="memory for answers that clients haven't read yet; beyond it the slowest are dropped",
    )
    config_keys: SecretStr | None = Field(
        default=None,
        description="comma-separated API keys, the only ones that can read the configuration and record calls; when "
        "unset, clients' keys can. Anyone with a key can read prompts and name any unit",
    )
    config_server_host: str = Field(
        default="127.0.0.1", description="address that `softlaunch config-server` listens on"
    )
    config_server_port: int = Field(default=8830, ge=0, le=65535, description="port of `softlaunch config-server`")
    config_cache_seconds: float = Field(
        default=60,
        gt=0,
        le=3600,
        description="how long applications may cache a variant from a gateway or config server while no release is "
        "live; during a release never longer than its lease",
    )
    otel: bool = Field(
        default=False,
        description="whether gateways export OpenTelemetry spans and metrics, as set by the OTEL_* variables",
    )
    otlp_host: str = Field(default="127.0.0.1", description="address that `softlaunch otlp` listens on")
    otlp_port: int = Field(default=4318, ge=0, le=65535, description="port of `softlaunch otlp`")
    otlp_token: SecretStr | None = Field(
        default=None, description="bearer token that exporters to `softlaunch otlp` must send; open when unset"
    )
    otlp_max_body_mb: float = Field(
        default=8, gt=0, le=256, description="largest uncompressed export that `softlaunch otlp` accepts, in MiB"
    )
    otlp_spans_per_second: float = Field(
        default=5000,
        gt=0,
        description="spans and log records that `softlaunch otlp` accepts per second; above it exporters have to wait",
    )
    otlp_catch_up_seconds: float = Field(
        default=60,
        ge=0,
        le=600,
        description="how long `softlaunch otlp` and config servers wait after a restart for data that applications "
        "couldn't send",
    )
    envoy_host: str = Field(default="127.0.0.1", description="address that `softlaunch envoy control` listens on")
    envoy_port: int = Field(default=18800, ge=0, le=65535, description="port of `softlaunch envoy control`")
    envoy_health_port: int = Field(
        default=18802,
        ge=0,
        le=65535,
        description="port of `softlaunch envoy control` for /healthz and /metrics; 0 for none",
    )
    envoy_processor_port: int = Field(
        default=18801, ge=0, le=65535, description="port of `softlaunch envoy processor`, at the same address"
    )
    envoy_processor_health_port: int = Field(
        default=18803,
        ge=0,
        le=65535,
        description="port of `softlaunch envoy processor` for /healthz and /metrics; 0 for none",
    )
    console_host: str = Field(default="127.0.0.1", description="address that the console listens on")
    console_port: int = Field(default=8820, ge=0, le=65535, description="port of the console")
    console_url: str = Field(
        default="", description="URL at which people open the console, such as https://softlaunch.example.com"
    )
    console_user_header: str = Field(
        default="",
        description="header in which an identity proxy names the person, such as X-Forwarded-User; when unset, anyone "
        "who can reach the console acts as the user who runs it, so it listens on this machine only",
    )
    console_trusted_proxies: str = Field(
        default="127.0.0.1, ::1",
        description="comma-separated addresses and networks whose user header is trusted",
    )
    console_viewers: str = Field(
        default="*",
        description="comma-separated names of people who may see the console behind a proxy; * for everybody",
    )
    console_operators: str = Field(
        default="",
        description="comma-separated names of people who may act in the console behind a proxy, within each policy's "
        "rules; * for everybody; nobody when unset",
    )
    feedback_keys: SecretStr | None = Field(
        default=None,
        description="comma-separated API keys, the only ones that may rate; when unset, the key that asked may",
    )
    feedback_hours: float = Field(default=168.0, gt=0, description="how long after its start a request may be rated")
    refusals: str = Field(
        default="",
        description="package.module:function that detects refusals by an answer's opening words; built-in when unset",
    )
    cors_origins: str = Field(
        default="",
        description="comma-separated origins whose web pages may call the gateway, such as https://chat.example.com; "
        "* for any; none when unset",
    )
    arm_header: bool = Field(
        default=False, description="whether answers name their arm, stable or candidate, in the header x-softlaunch-arm"
    )
    max_body_mb: float = Field(
        default=10, gt=0, le=1024, description="largest request body that a gateway accepts, in MiB"
    )
    max_answer_mb: float = Field(default=64, gt=0, le=4096, description="largest answer from a provider, in MiB")
    max_event_mb: float = Field(default=32, gt=0, le=1024, description="largest event in a provider's stream, in MiB")

    @property
    def ledger_url(self) -> str:
        """The database URL, secrets included: pass it on, never print it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home.resolve() / 'ledger.db'}"

    @property
    def allowed_golden_set_folders(self) -> tuple[Path, ...]:
        """Folders besides an app's own that may hold its golden set."""
        return tuple(Path(folder) for folder in self.golden_set_folders.split(os.pathsep) if folder)

    @property
    def archive_address(self) -> str:
        """Where cleanups archive; a folder in the home folder when unset."""
        return self.archive or str(self.home.resolve() / "archive")

    @property
    def reports_dir(self) -> Path:
        """Where HTML reports are written."""
        return self.home / "reports"
