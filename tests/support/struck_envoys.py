"""Two Envoys and two control planes on one ledger, all of them processes that can be killed, and users who ask."""

import http.client
import random
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from softlaunch.inbound.envoy.bootstrap import Places, bootstrap
from softlaunch.inbound.envoy.route_files import write_routes
from softlaunch.ledger.routes import read_route
from softlaunch.store.database import Database
from tests.support.arena import environment_of
from tests.support.blows import Met
from tests.support.envoy import Deployment, Process, deployed, envoy_path, listens
from tests.support.servers import wait_until
from tests.support.stacks import free_port

USERS = 300
_ASK = "/v1/chat/completions"


@dataclass
class Visitors:
    """Users who ask one Envoy, one after the other."""

    port: int
    seed: int
    pause: float
    met: list[Met] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Until they are told to stop."""
        rng, connection = random.Random(self.seed), http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.stopped.wait(rng.uniform(0, 2 * self.pause)):
            user, began = f"user-{self.seed}-{rng.randrange(USERS)}", time.time()
            body = orjson.dumps({"model": "app-1", "messages": [{"role": "user", "content": "What is 1 + 1?"}]})
            try:
                connection.request("POST", _ASK, body, {"x-user-id": user, "content-type": "application/json"})
                answer = connection.getresponse()
                arm, status = answer.read().decode(), answer.status
            except (OSError, http.client.HTTPException):
                connection.close()
                arm, status = "", 0
            self.met.append(Met(began, user, arm if status == 200 else "", status, time.time() - began))


@dataclass
class Envoys:
    """What can be struck, and who asks."""

    stable: Deployment
    candidate: Deployment
    controls: list[Process]
    envoys: list[Process]
    visitors: list[Visitors]
    ports: list[int]

    def strike_control(self, rng: random.Random) -> None:
        """Kill a control plane while the other one is there, and start it again."""
        struck = rng.randrange(len(self.controls))
        wait_until(self._are_there, "both control planes listen", 60)
        self.controls[struck].kill()
        self.controls[struck].start()

    def _are_there(self) -> bool:
        """Whether both control planes listen; one that couldn't start because of a blow is started again."""
        for control in self.controls:
            control.revive()
        return all(listens(port) for port in self.ports)

    @property
    def met(self) -> list[Met]:
        """Everything that was asked, in order."""
        return sorted(one for visitors in self.visitors for one in visitors.met)

    def await_candidate(self, since: float) -> None:
        """Until users of each Envoy have met the candidate after a moment."""
        for visitors in self.visitors:
            wait_until(
                lambda visitors=visitors: any(
                    one.arm == "candidate" and one.began > since for one in visitors.met[-80:]
                ),
                "users meet the candidate",
                60,
            )


@contextmanager
def envoys(
    database: Database,
    folder: Path,
    app: str,
    deployments: tuple[Deployment, Deployment],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Envoys]:
    """They run, and users ask, while the block works."""
    url = database.url.render_as_string(hide_password=False)
    ports, routes = [free_port() for _ in range(2)], folder / "routes"
    route = read_route(database, app)
    assert route is not None
    assert route.serving.router is not None
    write_routes(routes, route)
    listening = [free_port() for _ in range(2)]
    running = {**environment_of(url, folder), **(environment or {})}
    controls = [_control(port, routes, folder / f"control-{port}.log", running) for port in ports]
    running_envoys, visitors = [], []
    for number, port in enumerate(listening):
        controlled = [("127.0.0.1", one) for one in ports]
        places = Places(("127.0.0.1", port), ("127.0.0.1", free_port()), controlled, routes, node=f"envoy-{number}")
        file = folder / f"envoy-{number}.json"
        file.write_bytes(orjson.dumps(bootstrap(app, route.serving, route.serving.router, places)))
        command = [envoy_path() or "envoy", "-c", str(file), "--concurrency", "1", "--disable-hot-restart"]
        running_envoys.append(Process([*command, "-l", "warning"], folder / f"envoy-{number}.log"))
        visitors.append(Visitors(port, number, 0.05))
    with ExitStack() as stack:
        stack.enter_context(deployed(*deployments))
        for process in (*controls, *running_envoys):
            stack.callback(process.kill)
            process.start()
        for port in (*ports, *listening):
            wait_until(lambda port=port: listens(port), "all of them listen", 60)
        threads = [threading.Thread(target=one.ask, daemon=True) for one in visitors]
        for thread in threads:
            thread.start()
        try:
            yield Envoys(*deployments, controls, running_envoys, visitors, ports)
        finally:
            for one in visitors:
                one.stopped.set()
            for thread in threads:
                thread.join()


def _control(port: int, routes: Path, log: Path, environment: dict[str, str]) -> Process:
    command = [sys.executable, "-m", "softlaunch.cli", "envoy", "control", "--port", str(port), "--health-port", "0"]
    return Process([*command, "--routes", str(routes), "--log-level", "warning"], log, environment)
