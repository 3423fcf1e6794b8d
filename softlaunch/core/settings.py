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
        description="folder for the embedded database, reports and logs; when unset .softlaunch in this folder or the "
        "next one above that has it",
    )
    database_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL of the ledger; SQLite in the home folder when unset"
    )
    client_keys: SecretStr | None = Field(
        default=None, description="comma-separated API keys that clients of the gateway must present; open when unset"
    )
    poll_seconds: float = Field(default=1.0, gt=0, le=2, description="pause between two steps of a live release")
    driver_seconds: float = Field(
        default=15.0, ge=5, le=600, description="how long a driver may be silent before another one may take over"
    )
    eval_shards: int = Field(default=1, ge=1, le=256, description="how many tasks of a Dask cluster share an eval")
    golden_set_folders: str = Field(
        default="",
        description="folders besides an app's own, separated by ':', from which policies may take golden sets",
    )
    dask_address: str | None = Field(
        default=None, description="scheduler of that cluster; one is started on this machine when unset"
    )
    metric_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="what a metric of another package may take for one answer"
    )
    metric_memory_mb: float = Field(
        default=4096.0, ge=64, description="memory that the metrics of other packages share"
    )
    reports_url: str | None = Field(default=None, description="address under which the reports folder is served")
    runbooks_url: str | None = Field(default=None, description="address under which the runbooks are served")
    webhook_url: SecretStr | None = Field(default=None, description="address that is notified of every incident")
    webhook_secret: SecretStr | None = Field(default=None, description="key that signs what the webhook is sent")
    webhook_routing_key: SecretStr | None = Field(
        default=None, description="routing key put into the webhook's body, as PagerDuty wants it"
    )
    archive: str = Field(
        default="", description="where cleanups archive: a folder, or s3://bucket/prefix?storage_class=GLACIER_IR"
    )
    model_registry: str = Field(
        default="",
        description="registry whose aliases follow what serves: mlflow+http://host:port or wandb://entity/project; "
        "none when unset",
    )
    mlflow_token: SecretStr | None = Field(default=None, description="bearer token for MLflow")
    ledger_usd_per_gb_month: float = Field(
        default=0.115, ge=0, description="what a gigabyte of the ledger costs a month; Amazon RDS gp3 lists 0.115"
    )
    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8800, ge=0, le=65535)
    gateway_processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="processes of `softlaunch gateway` that share its port, each a gateway with limits of its own",
    )
    gateway_drain_seconds: float = Field(
        default=0,
        ge=0,
        le=600,
        description="how long a gateway takes requests after SIGTERM, while /healthz answers 503 and load balancers "
        "learn of it; then those under way are finished, in 25 seconds",
    )
    gateway_connections: int = Field(
        default=8192, ge=16, description="connections of clients at once; fewer where the process may open fewer files"
    )
    gateway_connections_per_address: int = Field(
        default=0, ge=0, description="connections of one address; never more than are left for the others, which 0 says"
    )
    gateway_trusted_proxies: str = Field(
        default="", description="addresses and networks, separated by commas, whose connections are many clients'"
    )
    gateway_requests_mib: int = Field(
        default=256, ge=1, description="memory for the bodies of requests, from their first byte until the answer"
    )
    gateway_answers_mib: int = Field(
        default=256, ge=1, description="memory for answers that clients haven't taken; the slowest are dropped beyond"
    )
    config_keys: SecretStr | None = Field(
        default=None,
        description="comma-separated API keys that alone read the configuration and record calls; when unset, those of "
        "clients do. Who has one reads prompts, and names any unit",
    )
    config_server_host: str = "127.0.0.1"
    config_server_port: int = Field(default=8830, ge=0, le=65535)
    config_cache_seconds: float = Field(
        default=60,
        gt=0,
        le=3600,
        description="how long applications may keep a variant that a gateway or a config server told them, where no "
        "release is live; during one never longer than its lease",
    )
    otel: bool = Field(
        default=False,
        description="whether gateways export spans and metrics by OpenTelemetry, to where the OTEL_* variables say",
    )
    otlp_host: str = "127.0.0.1"
    otlp_port: int = Field(default=4318, ge=0, le=65535)
    otlp_token: SecretStr | None = Field(
        default=None, description="bearer token that exporters to `softlaunch otlp` must present; open when unset"
    )
    otlp_max_body_mb: float = Field(
        default=8, gt=0, le=256, description="largest export that `softlaunch otlp` takes, unpacked, MiB"
    )
    otlp_spans_per_second: float = Field(
        default=5000, gt=0, description="spans and log records that `softlaunch otlp` takes; exporters wait beyond"
    )
    otlp_catch_up_seconds: float = Field(
        default=60,
        ge=0,
        le=600,
        description="how long `softlaunch otlp` and config servers wait, once they are started again, for what "
        "applications couldn't send",
    )
    envoy_host: str = Field(default="127.0.0.1", description="address that `softlaunch envoy control` listens to")
    envoy_port: int = Field(default=18800, ge=0, le=65535, description="its port")
    envoy_health_port: int = Field(
        default=18802, ge=0, le=65535, description="port of its /healthz and /metrics; 0 for none"
    )
    envoy_processor_port: int = Field(
        default=18801, ge=0, le=65535, description="port of `softlaunch envoy processor`, at the same address"
    )
    envoy_processor_health_port: int = Field(
        default=18803, ge=0, le=65535, description="port of its /healthz and /metrics; 0 for none"
    )
    console_host: str = Field(default="127.0.0.1", description="address that the console listens to")
    console_port: int = Field(default=8820, ge=0, le=65535, description="port of the console")
    console_url: str = Field(
        default="", description="address by which people open the console, such as https://softlaunch.example.com"
    )
    console_user_header: str = Field(
        default="",
        description="header in which an identity proxy names the person, such as X-Forwarded-User; when unset, whoever "
        "reaches the console acts as the user who runs it, so it listens to this machine alone",
    )
    console_trusted_proxies: str = Field(
        default="127.0.0.1, ::1",
        description="addresses and networks, separated by commas, from which that header is believed",
    )
    console_viewers: str = Field(
        default="*", description="names, separated by commas, that may see the console behind a proxy; * is everybody"
    )
    console_operators: str = Field(
        default="",
        description="names, separated by commas, that may act in the console behind a proxy, as far as policies let "
        "them; * is everybody, and nobody may when unset",
    )
    feedback_keys: SecretStr | None = Field(
        default=None,
        description="comma-separated API keys that alone may rate, any request; when unset, the key that asked may",
    )
    feedback_hours: float = Field(default=168.0, gt=0, description="how long after its start a request may be rated")
    refusals: str = Field(
        default="",
        description="package.module:function that tells refusals by an answer's opening words; our own when unset",
    )
    cors_origins: str = Field(
        default="",
        description="comma-separated origins whose web pages may call the gateway, such as https://chat.example.com; "
        "* is any, and none may when unset",
    )
    arm_header: bool = Field(
        default=False, description="whether answers name their arm, stable or candidate, in the header x-softlaunch-arm"
    )
    max_body_mb: float = Field(default=10, gt=0, le=1024, description="largest request body that a gateway takes, MiB")
    max_answer_mb: float = Field(default=64, gt=0, le=4096, description="largest answer of a provider, MiB")
    max_event_mb: float = Field(default=32, gt=0, le=1024, description="largest event of a provider's stream, MiB")

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
