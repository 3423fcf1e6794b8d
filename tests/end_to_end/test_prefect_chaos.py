"""Flows and workers killed on a real Prefect server: the scheduled reconcile flow has their releases driven on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chaos.arena import ROOT, Arena, arena, environment_of, whenever
from chaos.invariants import no_user_was_failed, served_one_candidate_while_watched, went_the_whole_way

pytestmark = [pytest.mark.chaos, pytest.mark.prefect, pytest.mark.timeout(900)]

APPS = ["app-1", "app-2", "app-3"]
START = """
import sys
from prefect.deployments import run_deployment
for app in sys.argv[1:]:
    request = {"app": app, "changes": {"model": "second"}, "actor": "chaos", "origin": "test"}
    run_deployment("release/release", parameters={"request": request}, timeout=0)
"""


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
            os.killpg(first.pid, signal.SIGKILL)
            for app in APPS:
                playing.note_death(app, time.time())
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
    with log.open("wb") as out:
        running = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=out, stderr=out, start_new_session=True)
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


def kill_flow(playing: Arena, app: str, revision: int) -> None:
    """Kill the process that drives an app's release once it has got so far."""
    whenever(lambda: reached(playing, app, revision), f"{app} is in its canary", 240)
    holder = playing.releases()[app].driver_holder
    os.kill(int(holder.rsplit(" ", 1)[1]), signal.SIGKILL)
    playing.note_death(app, time.time())
