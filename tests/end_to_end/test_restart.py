"""A machine that restarts: everything dies at once, `softlaunch up` is run again, and the release goes on."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from softlaunch.catalog.apps import apply
from softlaunch.simulator.traffic import Traffic, TrafficPlan
from softlaunch.store.database import Database
from tests.support.arena import CASES, DRIVER_SECONDS, POLICY, Arena, Process, whenever
from tests.support.invariants import served_one_candidate_while_watched, went_the_whole_way
from tests.support.paths import ROOT
from tests.support.providers import quick_profile, running_provider
from tests.support.stacks import Up, kill_all, running_up
from tests.support.stage import APP, write_app

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.prefect,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found through /proc"),
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # drivers are killed on both ledgers
def test_a_release_goes_on_when_the_machine_restarts(database_url: str, tmp_path: Path) -> None:
    """Every process dies in the canary; the next `softlaunch up` finds the release in the ledger and ends it right."""
    home = tmp_path / "home"
    told = {"SOFTLAUNCH_DATABASE_URL": database_url, "SOFTLAUNCH_DRIVER_SECONDS": f"{DRIVER_SECONDS:g}"}
    golden = [{"id": case.id, "question": case.question, "expected": case.expected} for case in CASES[:20]]
    database = Database(database_url)
    with running_provider(CASES, [quick_profile("first"), quick_profile("second")]) as provider:
        write_app(tmp_path / "app", provider.endpoint, ["first", "second"], golden, {**POLICY, "app": APP})
        apply(tmp_path / "app", database, "test")
        with running_up(home, None, **told) as up:
            up.await_everything()
            playing = arena_of(up, database)
            with users(playing.traffics[APP]):
                start_release(up, told)
                whenever(lambda: reached(playing, 3), "the canary is under way", 240)
                kill_all(home)
                playing.note_death(APP, time.time())
                with running_up(home, (up.gateway_port, up.prefect_port), **told):
                    whenever(playing.over, "the release is over", 400)
        went_the_whole_way(playing, APP)
        served_one_candidate_while_watched(playing, APP)
    database.close()


def arena_of(up: Up, database: Database) -> Arena:
    """What the invariants are read from."""
    gateway = f"http://127.0.0.1:{up.gateway_port}"
    traffic = Traffic(TrafficPlan(gateway=gateway, app=APP, rate_rps=15.0, users=5000, seed=3), CASES)
    unused = Process((), {}, up.home / "unused.log")
    return Arena(database, [], up.home, "", gateway=unused, gateway_url=gateway, traffics={APP: traffic})


@contextmanager
def users(traffic: Traffic) -> Iterator[None]:
    """Let users come while the block works, whether there is a gateway or not."""
    thread = threading.Thread(target=lambda: asyncio.run(traffic.run()), name="users", daemon=True)
    thread.start()
    try:
        yield
    finally:
        traffic.stop()
        thread.join()


def start_release(up: Up, told: dict[str, str]) -> None:
    """Start a release through Prefect, in a process that dies with the machine."""
    prefect = {"PREFECT_API_URL": f"http://127.0.0.1:{up.prefect_port}/api"}
    command = [sys.executable, "-m", "softlaunch.cli", "release", "start", APP, "--model", "second", "--json"]
    environment = {**os.environ, **told, **prefect, "SOFTLAUNCH_HOME": str(up.home)}
    with (up.home / "start.log").open("wb") as out:
        subprocess.Popen(command, env=environment, cwd=ROOT, stdout=out, stderr=out)


def reached(playing: Arena, revision: int) -> bool:
    """Whether the release has got so far."""
    row = playing.releases().get(APP)
    return row is not None and row.revision >= revision
