"""The flows deployed to a Prefect server, a worker that runs them, and what a test asks the server."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from servers import wait_until

ROOT = Path(__file__).parents[2]
Environment = dict[str, str]


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
    return _run(environment, "deployments.cli", *arguments, code=code)


def prefect(environment: Environment, *arguments: str) -> str:
    """Run Prefect's command; returns what it printed."""
    return _run(environment, "prefect", *arguments)


def _run(environment: Environment, module: str, *arguments: str, code: int = 0) -> str:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def running_worker(environment: Environment, folder: Path) -> Iterator[Path]:
    """A worker on the pool that looks for runs every second; gives its log. It is killed afterwards with its runs."""
    log = folder / "worker.log"
    quick = {**environment, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "softlaunch"]
    with log.open("wb") as output:
        worker = subprocess.Popen(
            command, env=quick, cwd=ROOT, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        yield log
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


class Server:
    """A Prefect server's API."""

    def __init__(self, environment: Environment) -> None:
        self.api = environment["PREFECT_API_URL"]
        self._client = httpx.Client(base_url=self.api, timeout=30)

    @property
    def ui(self) -> str:
        """The address of its pages."""
        return self.api.removesuffix("/api")

    def get(self, path: str) -> Any:
        """What a path answers."""
        return self._client.get(path).raise_for_status().json()

    def post(self, path: str, content: object) -> Any:
        """What a path answers to some content."""
        answer = self._client.post(path, json=content).raise_for_status()
        return answer.json() if answer.content else None

    def delete(self, path: str) -> None:
        """Take something away."""
        self._client.delete(path).raise_for_status()

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
        """The newest run of a name."""
        wanted = {"flow_runs": {"name": {"any_": [name]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1}
        return next(iter(self.post("/flow_runs/filter", wanted)), None)

    def artifacts(self, prefix: str) -> dict[str, dict[str, Any]]:
        """The artifacts whose key begins so, by key."""
        found = self.post("/artifacts/filter", {"limit": 200})
        return {one["key"]: one for one in found if (one["key"] or "").startswith(prefix)}

    def logs_of(self, run_id: str) -> list[str]:
        """What a run told, in order."""
        wanted = {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        return [line["message"] for line in self.post("/logs/filter", wanted)]

    def await_completed(self, name: str, seconds: float = 90) -> dict[str, Any]:
        """The newest run of a name, once it has completed."""

        def over() -> bool:
            run = self.run_named(name)
            return run is not None and run["state_type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

        wait_until(over, f"the run {name!r} is over", seconds)
        run = self.run_named(name)
        assert run is not None
        assert run["state_type"] == "COMPLETED", run["state"]
        return run
