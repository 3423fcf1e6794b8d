"""Config servers, in a thread or as processes that can be killed."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from softlaunch.gateway.config_server import ConfigServerOptions, build_config_server
from softlaunch.gateway.limits import Limits
from softlaunch.store.migrate import open_database
from tests.gateway.test_command import environment
from tests.support.prometheus import free_port
from tests.support.servers import wait_until

QUICK = Limits(route_poll_seconds=0.05, heartbeat_seconds=0.1)


@contextmanager
def running_config_server(database_url: str, **options: Any) -> Iterator[str]:
    """A config server in a thread, on a migrated ledger; gives its address."""
    database = open_database(database_url)
    given = ConfigServerOptions(**{"port": 0, "log_level": "error", "limits": QUICK, **options})
    server, listener = build_config_server(database, given)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "the config server starts")
        wait_until(lambda: httpx.get(f"{url}/healthz").is_success, "it has read its routes")
        yield url
    finally:
        server.should_exit = True
        thread.join()
        database.close()


@dataclass
class ConfigServerProcess:
    """`softlaunch config-server` on a port of its own, which it keeps when it is killed and started again."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "softlaunch.cli", "config-server", "--port", str(self.port)]
        with (self.home / "config-server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**environment(self.home), **self.settings}, stdout=log, stderr=log
            )
        wait_until(self._answers, "the config server answers", 60)

    def kill(self) -> None:
        """End it without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def said(self) -> str:
        """What it printed."""
        return (self.home / "config-server.log").read_text()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz").is_success
        except httpx.TransportError:
            return False
