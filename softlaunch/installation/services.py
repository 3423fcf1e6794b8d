"""The services of one installation on one machine, and how each of them is started."""

import importlib.util
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from softlaunch.core.settings import Settings
from softlaunch.installation.stack import Service, StackError, ours, prefects

_RETENTION = {
    # The reconcile flow runs each minute: without this its runs would fill Prefect's database for good.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(14 * 86400),
    # A release of a week would leave thousands of heartbeats; the automation that waits for them needs ten minutes.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES": '{"prefect.flow-run.heartbeat": 3600}',
}


@dataclass(frozen=True, slots=True)
class Installation:
    """Where everything is: the home folder, and the addresses of the gateway, of Prefect and of the console."""

    home: Path
    gateway_host: str
    gateway_port: int
    prefect_port: int
    console_host: str = "127.0.0.1"
    console_port: int = 8820

    @classmethod
    def of(
        cls, settings: Settings, gateway_port: int | None, prefect_port: int, console_port: int | None = None
    ) -> "Installation":
        """By the settings, where nothing else is said."""
        return cls(
            settings.home.resolve(),
            settings.gateway_host,
            settings.gateway_port if gateway_port is None else gateway_port,
            prefect_port,
            settings.console_host,
            settings.console_port if console_port is None else console_port,
        )

    @property
    def logs(self) -> Path:
        """The folder of every service's log."""
        return self.home / "logs"

    @property
    def prefect_url(self) -> str:
        """Prefect's UI; its API is below `/api`."""
        return f"http://127.0.0.1:{self.prefect_port}"

    @property
    def gateway_url(self) -> str:
        """The gateway, for clients on this machine."""
        return url_of(self.gateway_host, self.gateway_port)

    @property
    def console_url(self) -> str:
        """The console, for browsers on this machine."""
        return url_of(self.console_host, self.console_port)

    @property
    def environment(self) -> dict[str, str]:
        """What every service is told besides what this process was told."""
        return {
            "SOFTLAUNCH_HOME": str(self.home),
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_API_URL": f"{self.prefect_url}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PYTHONUNBUFFERED": "1",
            **_RETENTION,
            **self._guard,
        }

    @property
    def _guard(self) -> dict[str, str]:
        """Without this any page that somebody on this machine opens in a browser could start and stop releases."""
        return {
            "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": os.environ.get(
                "PREFECT_SERVER_CORS_ALLOWED_ORIGINS", self.prefect_url
            ),
        }

    @property
    def gateway(self) -> Service:
        """Serves the apps' traffic; requests under way are finished when it stops."""
        where = ("--host", self.gateway_host, "--port", str(self.gateway_port))
        command = ours("gateway", *where, "--log-level", "warning")
        return Service("gateway", command, f"{self.gateway_url}/healthz", stop_patience=30)

    @property
    def prefect(self) -> Service:
        """A Prefect server with its UI."""
        command = prefects("server", "start", "--host", "127.0.0.1", "--port", str(self.prefect_port))
        return Service("prefect", command, f"{self.prefect_url}/api/health", patience=120, stop_patience=15)

    @property
    def console(self) -> Service:
        """Shows everything in a browser; releases don't need it."""
        command = ours("ui", "--host", self.console_host, "--port", str(self.console_port))
        return Service("console", command, f"{self.console_url}/healthz")

    @property
    def worker(self) -> Service:
        """Runs the flows."""
        return Service("worker", prefects("worker", "start", "--pool", "softlaunch"), stop_patience=15)

    @property
    def reconcile(self) -> Service:
        """Goes on with what Prefect's reconcile flow, which runs each minute, leaves lying for two."""
        return Service("reconcile", ours("reconcile", "--watch", "--patience", "120"), stop_patience=15)

    @property
    def evaluator(self) -> Service:
        """Has judges judge live answers; what they are being asked is waited for when it stops."""
        return Service("evaluator", ours("evaluator"), stop_patience=30)

    def check(self, more: Sequence[tuple[str, str, int, str]] = ()) -> None:
        """Raise StackError when a port is taken or Prefect is missing.

        `more` are ports besides: of what, at which address, the number, and what sets another one.
        """
        if importlib.util.find_spec("prefect") is None:
            raise StackError("Prefect isn't installed in this environment; install softlaunch with its requirements")
        for name, host, port, option in (
            ("gateway", self.gateway_host, self.gateway_port, "--gateway-port"),
            ("Prefect server", "127.0.0.1", self.prefect_port, "--prefect-port"),
            ("console", self.console_host, self.console_port, "--console-port"),
            *more,
        ):
            if not _free(host, port):
                raise StackError(
                    f"port {port} for the {name} is taken; stop what listens there, or choose another with {option}"
                )


def url_of(host: str, port: int) -> str:
    """Where a service is, for clients on this machine."""
    local = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104  (a comparison)
    return f"http://[{local}]:{port}" if ":" in local else f"http://{local}:{port}"


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
