"""Two config servers behind a balancer, and applications that ask them: one by softlaunch's client, one by OFREP."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.support.arena import Process, end, environment_of
from tests.support.balancer import balanced
from tests.support.blows import Met
from tests.support.paths import ROOT
from tests.support.servers import wait_until
from tests.support.stacks import free_port

_USERS = 300
_PAUSE_SECONDS = 0.05
_SEND_EVERY = 10
_ATTEMPTS = 3


@dataclass
class ClientProcess:
    """An application with softlaunch's client, which can be killed and started again."""

    url: str
    app: str
    folder: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "tests.support.asking_client", self.url, self.app, str(self.folder), "1"]
        with (self.folder / "log").open("ab") as log:
            self.running = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.running is not None
        self.running.kill()
        self.running.wait()

    def finish(self) -> None:
        """Let it send what it has, and end."""
        assert self.running is not None
        self.running.send_signal(signal.SIGTERM)
        self.running.wait(60)

    @property
    def met(self) -> list[Met]:
        """Whom its users met; a line that was cut by a kill is left out."""
        lines = [line.split() for line in _whole_lines(self.folder / "met")]
        return [Met(float(began), user, arm) for began, user, arm in lines]

    @property
    def flushed(self) -> list[str]:
        """The calls that its client had sent for good, as it said."""
        return _whole_lines(self.folder / "flushed")


def _whole_lines(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1] if path.exists() else []


class Kept(NamedTuple):
    """What was told for a user, until when it may be used (monotonic), and when it was asked for (epoch seconds)."""

    metadata: Mapping[str, Any]
    until: float
    told: float


@dataclass
class OfrepApp:
    """An application that asks by HTTP for each user, keeps to what it is told, and sends records until they count."""

    url: str
    app: str
    met: list[Met] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    refused: list[Any] = field(default_factory=list)
    unanswered: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    _kept: dict[str, Kept] = field(default_factory=dict)
    _unsent: deque[dict[str, Any]] = field(default_factory=deque)

    def run(self) -> None:
        """Until it is told to stop; then until all is sent."""
        rng, calls = random.Random(2), 0
        with httpx.Client(base_url=self.url, timeout=5) as http:
            while not self.stopped.wait(rng.uniform(0, 2 * _PAUSE_SECONDS)):
                self._call(http, f"ofrep-{rng.randrange(_USERS)}", calls)
                calls += 1
                if calls % _SEND_EVERY == 0:
                    self._send(http)
            deadline = time.monotonic() + 30
            while self._unsent and time.monotonic() < deadline:
                self._send(http)

    def _call(self, http: httpx.Client, user: str, number: int) -> None:
        began, kept = time.time(), self._told(http, user)
        if kept is None:
            self.unanswered += 1
            return
        told = kept.metadata
        self.met.append(Met(began, user, told["arm"], 200, time.time() - began, kept.told))
        named = {"release_id": told.get("releaseId"), "stage": told.get("stage", 0), "revision": told["revision"]}
        record = {"id": f"{told['requestId']}-{number}", "app": self.app, "unit": user, "arm": told["arm"], **named}
        ended = {"started_at": began, "latency_ms": 5.0, "outcome": "answered", "status": 200}
        self._unsent.append({**record, "variant": told["digest"], "weight_percent": told["weightPercent"], **ended})

    def _told(self, http: httpx.Client, user: str) -> Kept | None:
        kept = self._kept.get(user)
        if kept is not None and time.monotonic() < kept.until:
            return kept
        for _ in range(_ATTEMPTS):
            asked_at, told = time.monotonic(), time.time()
            try:
                asked = {"context": {"targetingKey": user}}
                answer = http.post(f"/ofrep/v1/evaluate/flags/{self.app}", json=asked)
                metadata: Mapping[str, Any] = answer.raise_for_status().json()["metadata"]
            except httpx.HTTPError:
                time.sleep(0.02)
                continue
            self._kept[user] = Kept(metadata, asked_at + float(metadata["cacheSeconds"]), told)
            return self._kept[user]
        return None

    def _send(self, http: httpx.Client) -> None:
        batch = list(self._unsent)
        try:
            answer = http.post("/softlaunch/v1/records", json={"records": batch})
            said = answer.raise_for_status().json()
        except httpx.HTTPError:
            return
        self.refused += said["refused"]
        refused = {one["id"] for one in said["refused"]}
        self.confirmed += [record["id"] for record in batch if record["id"] not in refused]
        for _ in batch:
            self._unsent.popleft()


@dataclass
class Servers:
    """What can be struck, and who asks."""

    ports: list[int]
    servers: list[Process]
    client: ClientProcess
    ofrep: OfrepApp

    @property
    def met(self) -> list[Met]:
        """Everything that was asked, in order."""
        return sorted([*self.client.met, *self.ofrep.met])

    def strike_server(self, rng: random.Random) -> None:
        """Kill a server while the other one answers, and start it again."""
        struck = rng.randrange(len(self.servers))
        wait_until(self._are_there, "both servers answer", 60)
        self.servers[struck].kill()
        self.servers[struck].start()

    def _are_there(self) -> bool:
        """Whether both servers answer; one that couldn't start because of a blow is started again."""
        for server in self.servers:
            server.revive()
        return all(answers(port) for port in self.ports)

    def await_candidate(self, since: float) -> None:
        """Until users of each application have met the candidate after a moment."""
        for name, read in (("client", lambda: self.client.met), ("OFREP", lambda: self.ofrep.met)):
            wait_until(
                lambda read=read: any(one.arm == "candidate" and one.began > since for one in read()[-80:]),
                f"users of {name} meet the candidate",
                60,
            )


def answers(port: int) -> bool:
    """Whether a server is there, and has read the routes."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def servers(database_url: str, folder: Path, app: str) -> Iterator[Servers]:
    """They run, and users ask, while the block works; then all that was recorded is sent."""
    ports, port = [free_port() for _ in range(2)], free_port()
    environment = {**environment_of(database_url, folder), "SOFTLAUNCH_OTLP_CATCH_UP_SECONDS": "20"}
    running = [
        Process(
            ("config-server", "--port", str(one), "--log-level", "warning"), environment, folder / f"server-{one}.log"
        )
        for one in ports
    ]
    kept = folder / "client"
    kept.mkdir()
    url = f"http://127.0.0.1:{port}"
    client, ofrep = ClientProcess(url, app, kept), OfrepApp(url, app)
    with ExitStack() as stack:
        for process in running:
            process.start()
            stack.callback(end, process)
        for one in ports:
            wait_until(lambda one=one: answers(one), "both servers answer", 60)
        stack.enter_context(balanced(port, ports))
        asking = threading.Thread(target=ofrep.run, daemon=True)
        asking.start()
        client.start()
        try:
            yield Servers(ports, running, client, ofrep)
        finally:
            ofrep.stopped.set()
            client.finish()
            asking.join()
