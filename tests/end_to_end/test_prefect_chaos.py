"""Flows and workers killed on a real Prefect server: the scheduled reconcile flow has their releases driven on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.arena import Arena, arena, environment_of, whenever
from tests.support.deployed import running_prefect
from tests.support.invariants import no_user_was_failed, served_one_candidate_while_watched, went_the_whole_way
from tests.support.paths import ROOT

pytestmark = [pytest.mark.soak, pytest.mark.chaos, pytest.mark.prefect, pytest.mark.timeout(900)]

APPS = ["app-1", "app-2", "app-3"]
RELEASE = """
from softlaunch.flows.release import release
from softlaunch.releases.opening import ReleaseRequest
from softlaunch.releases.changes import Changes
release(ReleaseRequest(app="app-1", changes=Changes(model="second"), actor="chaos", origin="test"))
"""
START = """
import sys
from prefect.deployments import run_deployment
for app in sys.argv[1:]:
    request = {"app": app, "changes": {"model": "second"}, "actor": "chaos", "origin": "test"}
    run_deployment("release/release", parameters={"request": request}, timeout=0)
"""


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # drivers are killed on both ledgers
def test_releases_go_on_when_flows_and_the_worker_are_killed(
    database_url: str, prefect_environment: dict[str, str], tmp_path: Path
) -> None:
    """Two flows die in the canary, then the worker with all that it runs; a new worker carries them to their end."""
    environment = {**prefect_environment, **prefect_only(environment_of(database_url, tmp_path))}
    deploy(environment)
    with arena(database_url, tmp_path, APPS, 12.0, reconcilers=0) as playing:
        with worker(environment, tmp_path / "worker-1.log") as first:
            subprocess.run([sys.executable, "-c", START, *APPS], env=environment, cwd=ROOT, check=True)
            for app, revision in zip(APPS[:2], (3, 4), strict=True):
                kill_flow(playing, app, revision)
            whenever(lambda: reached(playing, APPS[2], 3), "the third is in its canary", 240)
            kill_all(playing, first)
        with worker(environment, tmp_path / "worker-2.log"):
            whenever(playing.over, "every release is over", 400)
        for app in APPS:
            went_the_whole_way(playing, app)
            served_one_candidate_while_watched(playing, app)
    no_user_was_failed(playing)


def prefect_only(environment: dict[str, str]) -> dict[str, str]:
    """What our processes are told, without what this process has of Prefect."""
    ours = {name: value for name, value in environment.items() if name.startswith("SOFTLAUNCH_")}
    return {**ours, "SOFTLAUNCH_ROOT": str(ROOT)}


def deploy(environment: dict[str, str]) -> None:
    """Make the work pool and every deployment."""
    for arguments in (
        ("work-pool", "create", "softlaunch", "--type", "process", "--overwrite"),
        ("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml"),
    ):
        command = [sys.executable, "-m", "prefect", *arguments]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def worker(environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process group of its own, which is killed in the end with everything that it runs."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "softlaunch"]
    quick = {**environment, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with log.open("wb") as out:
        running = subprocess.Popen(command, env=quick, cwd=ROOT, stdout=out, stderr=out, start_new_session=True)
    try:
        yield running
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def reached(playing: Arena, app: str, revision: int) -> bool:
    """Whether an app's release has got so far."""
    row = playing.releases().get(app)
    return row is not None and row.revision >= revision


def kill_all(playing: Arena, worker: subprocess.Popen[bytes]) -> None:
    """Kill a worker and every flow that it runs, wherever Prefect put them: what a machine's restart does."""
    os.killpg(worker.pid, signal.SIGKILL)
    for app in APPS:
        kill_driver(playing, app)


def kill_flow(playing: Arena, app: str, revision: int) -> None:
    """Kill the process that drives an app's release once it has got so far."""
    whenever(lambda: reached(playing, app, revision), f"{app} is in its canary", 240)
    kill_driver(playing, app)


def kill_driver(playing: Arena, app: str) -> None:
    """Kill the process that drove an app's release last, if it still is one of this test's."""
    pid = int(playing.releases()[app].driver_holder.rsplit(" ", 1)[1])
    with suppress(OSError):
        if str(playing.folder).encode() in Path(f"/proc/{pid}/environ").read_bytes():
            os.kill(pid, signal.SIGKILL)
    playing.note_death(app, time.time())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # drivers are killed on both ledgers
def test_a_release_goes_on_when_the_prefect_server_is_gone_for_good(database_url: str, tmp_path: Path) -> None:
    """Killed in the canary: the flow ends when it can tell Prefect nothing more, and plain reconcile goes on."""
    (tmp_path / "prefect").mkdir()
    with arena(database_url, tmp_path, APPS[:1], 12.0, reconcilers=1) as playing:
        with running_prefect(tmp_path / "prefect") as prefect_environment:
            environment = {**prefect_environment, **prefect_only(environment_of(database_url, tmp_path))}
            flow = subprocess.Popen([sys.executable, "-c", RELEASE], env=environment, cwd=ROOT)
            whenever(lambda: reached(playing, APPS[0], 3), "the canary is under way", 240)
        try:
            whenever(playing.over, "the release is over", 400)
        finally:
            flow.kill()
            flow.wait()
        went_the_whole_way(playing, APPS[0])
    no_user_was_failed(playing)
