"""The flows deployed to a Prefect server, a worker that runs them, and what a test asks the server."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from tests.support.paths import ROOT
from tests.support.servers import wait_until

PATIENCE = 240.0
"""How long what takes seconds may take on a machine that is busy with other things."""
Environment = dict[str, str]


@contextmanager
def running_prefect(home: Path, **settings: str) -> Iterator[Environment]:
    """A Prefect server on a free port, with these settings of its own; gives the environment of who uses it."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, env={**environment, **settings}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: server.poll() is not None or _healthy(port), "the Prefect server answers", PATIENCE)
        assert server.poll() is None, (home / "server.log").read_text()
        yield environment
    finally:
        with suppress(ProcessLookupError):  # it may have died by itself
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=2).status_code in {200, 401}
    except httpx.HTTPError:
        return False


def environment_of(prefect_environment: Mapping[str, str], folder: Path, ledger_url: str | None = None) -> Environment:
    """What processes are told that work on a ledger in a folder and on the session's Prefect server."""
    return {
        **prefect_environment,
        "SOFTLAUNCH_HOME": str(folder),
        "SOFTLAUNCH_DATABASE_URL": ledger_url or f"sqlite:///{folder / 'ledger.db'}",
        "SOFTLAUNCH_POLL_SECONDS": "0.2",
    }


def softlaunch(environment: Environment, *arguments: str, code: int = 0) -> str:
    """Run our command; returns what it printed. It must end with this exit code."""
    return _run(environment, "softlaunch.cli", *arguments, code=code)


def prefect(environment: Environment, *arguments: str) -> str:
    """Run Prefect's command; returns what it printed."""
    return _run(environment, "prefect", *arguments)


def _run(environment: Environment, module: str, *arguments: str, code: int = 0) -> str:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def running_worker(
    environment: Environment, folder: Path, python: str | Path = sys.executable, cwd: Path = ROOT
) -> Iterator[Path]:
    """A worker on the pool that looks for runs every second; gives its log. It is killed afterwards with its runs.

    python: of which environment it is.  cwd: where it is started.
    """
    log = folder / "worker.log"
    quick = {**environment, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    command = [str(python), "-m", "prefect", "worker", "start", "--pool", "softlaunch"]
    with log.open("wb") as output:
        worker = subprocess.Popen(
            command, env=quick, cwd=cwd, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        yield log
    finally:
        runs = _descendants(worker.pid)  # each in a session of its own, so that it outlives a worker
        worker.kill()
        worker.wait()
        for run in runs:
            with suppress(ProcessLookupError):
                os.kill(run, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = {int(child): int(parent) for child, parent in map(str.split, listed.stdout.splitlines())}
    found = [pid]
    for one in found:
        found.extend(child for child, parent in parents.items() if parent == one)
    return found[1:]


class Server:
    """A Prefect server's API."""

    def __init__(self, environment: Environment) -> None:
        self.api = environment["PREFECT_API_URL"]
        user, _, password = environment.get("PREFECT_API_AUTH_STRING", "").partition(":")
        self._client = httpx.Client(base_url=self.api, timeout=90, auth=(user, password) if user else None)

    @property
    def ui(self) -> str:
        """The address of its pages."""
        return self.api.removesuffix("/api")

    def get(self, path: str) -> Any:
        """What a path answers."""
        return self._answer("GET", path).json()

    def post(self, path: str, content: object) -> Any:
        """What a path answers to some content."""
        answer = self._answer("POST", path, content)
        return answer.json() if answer.content else None

    def delete(self, path: str) -> None:
        """Take something away."""
        self._answer("DELETE", path)

    def _answer(self, method: str, path: str, content: object = None) -> httpx.Response:
        """Whose database is busy says 503, and is asked again, as by Prefect's own client."""
        for _ in range(30):
            answer = self._client.request(method, path, json=content)
            if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                break
            time.sleep(1)
        return answer.raise_for_status()

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment by flow and name."""
        found: dict[str, Any] = self.get(f"/deployments/name/{name}")
        return found

    def runs_of(self, deployment: str) -> list[dict[str, Any]]:
        """Every run of a deployment, the first to start first."""
        wanted = {"deployments": {"id": {"any_": [self.deployment(deployment)["id"]]}}, "limit": 200}
        found: list[dict[str, Any]] = self.post("/flow_runs/filter", {**wanted, "sort": "EXPECTED_START_TIME_ASC"})
        return found

    def run_named(self, name: str) -> dict[str, Any] | None:
        """The newest run whose name has this in it: what a run is about stays in its name, whatever becomes of it."""
        wanted = {"flow_runs": {"name": {"like_": name}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1}
        return next(iter(self.post("/flow_runs/filter", wanted)), None)

    def artifacts(self, prefix: str) -> dict[str, dict[str, Any]]:
        """The artifacts whose key begins so, by key."""
        found = self.post("/artifacts/filter", {"limit": 200})
        return {one["key"]: one for one in found if (one["key"] or "").startswith(prefix)}

    def logs_of(self, run_id: str) -> list[str]:
        """What a run told, in order."""
        wanted = {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        return [line["message"] for line in self.post("/logs/filter", wanted)]

    def await_completed(self, name: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The newest run of a name, once it has completed."""

        def over() -> bool:
            run = self.run_named(name)
            return run is not None and run["state_type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

        wait_until(over, f"the run {name!r} is over", seconds)
        run = self.run_named(name)
        assert run is not None
        assert run["state_type"] == "COMPLETED", run["state"]
        return run
