"""Gateways are replaced one by one while requests come: with a drain none of them is lost, without one some are.

It is done as in a cluster. A fresh gateway is well before an old one is told to stop, and whoever shares out
connections learns only afterwards that the old one is to get no more. Half of the clients come through nginx, which
keeps connections to gateways, and none to clients, because it closes those when it reads its configuration; half come
straight, as behind a service of Kubernetes, and keep theirs.
"""

import http.client
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from softlaunch.policy.route import Serving
from softlaunch.store.migrate import open_database
from tests.gateway.worlds import record, variant
from tests.support.servers import FakeModels, wait_until
from tests.support.stacks import free_port

pytestmark = pytest.mark.long

_NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_LATE_SECONDS = 1.0
"""How much later than the gateway its load balancers learn that it stops."""
_DRAIN_SECONDS = 3.0
_CLIENTS = 8
_CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; keepalive_timeout 0; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream gateways {{ {servers} keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://gateways; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_next_upstream off;
    }}
  }}
}}
"""


@dataclass
class Cluster:
    """Gateways on one ledger, whoever shares out connections to them, and what became of the requests."""

    folder: Path
    drain_seconds: float
    gateways: dict[int, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    """By port."""
    endpoints: tuple[int, ...] = ()
    """Ports that get connections."""
    nginx: "subprocess.Popen[bytes] | None" = None
    nginx_port: int = field(default_factory=free_port)
    answered: "itertools.count[int]" = field(default_factory=itertools.count)
    lost: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def start(self, count: int) -> tuple[int, ...]:
        """So many gateways, which are well when this returns; gives their ports."""
        ports = tuple(self._start() for _ in range(count))
        wait_until(lambda: all(_health(port) == 200 for port in ports), "the gateways are well", 120)
        return ports

    def _start(self) -> int:
        port = free_port()
        command = [sys.executable, "-m", "softlaunch.cli", "gateway", "--port", str(port), "--log-level", "warning"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SOFTLAUNCH_")}
        environment = {**kept, "SOFTLAUNCH_HOME": str(self.folder)}
        self.gateways[port] = subprocess.Popen(
            [*command, "--drain-seconds", str(self.drain_seconds)], env=environment, stderr=subprocess.DEVNULL
        )
        return port

    def share(self, endpoints: tuple[int, ...]) -> None:
        """From now on these get connections."""
        self.endpoints = endpoints
        servers = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in endpoints)
        configuration = self.folder / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(folder=self.folder, servers=servers, port=self.nginx_port))
        if self.nginx is None:
            self.nginx = subprocess.Popen([str(_NGINX), "-p", str(self.folder), "-c", str(configuration)])
            wait_until(lambda: _health(self.nginx_port) == 200, "nginx passes requests on")
        else:
            self.nginx.send_signal(signal.SIGHUP)

    def replace(self, old: int, fresh: int) -> None:
        """A gateway in the place of another one."""
        self.share((*self.endpoints, fresh))
        time.sleep(_LATE_SECONDS)
        self.gateways[old].send_signal(signal.SIGTERM)
        time.sleep(_LATE_SECONDS)
        self.share(tuple(port for port in self.endpoints if port != old))
        assert self.gateways[old].wait(30) in {0, -signal.SIGTERM}

    def ask_on(self, pick: Callable[[], int], number: int) -> None:
        """Be a client: one request after the other on a kept connection, every fourth one a stream of 1.5 s."""
        connection: http.client.HTTPConnection | None = None
        for turn in itertools.count(number):
            if self.over.is_set():
                break
            connection = connection or http.client.HTTPConnection("127.0.0.1", pick(), timeout=20)
            try:
                leaves = _ask(connection, stream=turn % 4 == 0)
                next(self.answered)
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.lost.append(f"{connection.port}: {error!r}")
                leaves = True
            if leaves:
                connection.close()
                connection = None
            self.over.wait(0.02)
        if connection is not None:
            connection.close()


def _health(port: int) -> int:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5, verify=False).status_code
    return 0


def _ask(connection: http.client.HTTPConnection, *, stream: bool) -> bool:
    """Whether the answer, which must be whole, is the last one of its connection."""
    question = {"model": "support-bot", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    connection.request("POST", "/v1/chat/completions", json.dumps(question), {"content-type": "application/json"})
    answer = connection.getresponse()
    leaves = answer.will_close
    body = answer.read()
    assert answer.status == 200, f"{answer.status} {body[:200]!r}"
    assert not stream or body.endswith(b"data: [DONE]\n\n"), "the stream isn't whole"
    return leaves


@contextmanager
def _cluster(folder: Path, models: FakeModels, migrated_file: Path, drain_seconds: float) -> Iterator[Cluster]:
    """Two gateways with clients that ask without a pause until the block is left."""
    shutil.copy(migrated_file, folder / "ledger.db")
    with closing(open_database(f"sqlite:///{folder / 'ledger.db'}")) as database:
        record(database, variant("stable", models.endpoint), None, Serving(salt="pepper"))
    models.faults["stable"] = "pauses"  # streams take their time
    cluster = Cluster(folder, drain_seconds)
    turns = itertools.count()

    def straight() -> int:
        return cluster.endpoints[next(turns) % len(cluster.endpoints)]

    clients = [
        threading.Thread(target=cluster.ask_on, args=(pick, number), daemon=True)
        for number in range(_CLIENTS // 2)
        for pick in (straight, lambda: cluster.nginx_port)
    ]
    try:
        cluster.share(cluster.start(2))
        for client in clients:
            client.start()
        yield cluster
    finally:
        cluster.over.set()
        for client in clients:
            if client.ident is not None:
                client.join()
        for process in filter(None, (*cluster.gateways.values(), cluster.nginx)):
            process.terminate()  # gateways write their log, and nginx ends its workers
        for process in filter(None, (*cluster.gateways.values(), cluster.nginx)):
            process.wait(30)


@pytest.fixture(autouse=True)
def _needs_nginx() -> None:
    if _NGINX is None:
        pytest.skip("no nginx here; on Debian and Ubuntu: apt-get install nginx")


def test_a_rolling_restart_loses_no_request(models: FakeModels, migrated_file: Path, tmp_path: Path) -> None:
    """Both gateways are replaced under load; every request is answered, every stream is whole, and each is logged."""
    with _cluster(tmp_path, models, migrated_file, _DRAIN_SECONDS) as cluster:
        for old, fresh in zip(cluster.endpoints, cluster.start(2), strict=True):
            cluster.replace(old, fresh)
    assert cluster.lost == []
    answered = next(cluster.answered)
    assert answered > 100
    with closing(open_database(f"sqlite:///{tmp_path / 'ledger.db'}")) as database, database.read() as session:
        assert session.execute(text("select count(*) from requests")).scalar_one() == answered


def test_without_a_drain_requests_are_lost(models: FakeModels, migrated_file: Path, tmp_path: Path) -> None:
    """What the other test sees would be seen: a gateway that stops at once loses what is sent to it meanwhile."""
    with _cluster(tmp_path, models, migrated_file, 0.0) as cluster:
        cluster.replace(cluster.endpoints[0], *cluster.start(1))
    assert cluster.lost
