"""Releases started by several processes: one of them drives, the others are told who does."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from softlaunch.catalog.apps import apply
from softlaunch.cli.exits import Exit
from softlaunch.ledger.releases import list_releases
from softlaunch.store.database import Database
from tests.support.backends import on_postgresql
from tests.support.paths import ROOT
from tests.support.servers import wait_until
from tests.support.stage import APP, QUICK, write_app

pytestmark = pytest.mark.long

START = ("release", "start", APP, "--model", "second", "--without-prefect", "--json")
AT_ONCE = """
import pathlib, sys, time
from softlaunch.cli.main import main
import softlaunch.cli.starting, softlaunch.evals.regression, softlaunch.wiring
ready, go = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.argv = ["softlaunch", *sys.argv[3:]]
ready.touch()
while not go.exists():
    time.sleep(0.001)
main()
"""


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """A provider that takes connections and never answers, so that an eval lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


@pytest.fixture
def database(database_url: str, silent_endpoint: str, tmp_path: Path) -> Iterator[Database]:
    """A ledger with an app whose models never answer."""
    opened = Database(database_url)
    golden = [{"id": "c1", "question": "What is 1 + 1?", "expected": "2"}]
    policy = {**QUICK, "eval": {**QUICK["eval"], "timeout": "10 min"}}
    write_app(tmp_path / "app", silent_endpoint, ["first", "second", "third"], golden, policy)
    apply(tmp_path / "app", opened, "test")
    yield opened
    opened.close()


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of commands on that ledger."""
    return {
        "PATH": "/usr/bin:/bin",
        "SOFTLAUNCH_HOME": str(tmp_path),
        "SOFTLAUNCH_DATABASE_URL": database_url,
        "SOFTLAUNCH_DRIVER_SECONDS": "5",
    }


@contextmanager
def running(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this project that is killed in the end."""
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def command(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A command of ours, to its end."""
    whole = [sys.executable, "-m", "softlaunch.cli", *arguments]
    return subprocess.run(whole, env=environment, cwd=ROOT, capture_output=True, check=False, timeout=100)


def driver_of(database: Database) -> str:
    """Who drives the app's newest release; nobody while there is none."""
    with database.read() as session:
        found = list_releases(session, APP, 1)
    return found[0].driver_holder if found else ""


def test_of_two_that_start_at_the_same_instant_one_wins(
    database: Database, environment: dict[str, str], tmp_path: Path
) -> None:
    """The other one ends with exit code 7 and names the process that drives; there is one release."""
    go = tmp_path / "go"
    with ExitStack() as stack:
        ready = [tmp_path / "ready-1", tmp_path / "ready-2"]
        started = [stack.enter_context(running(environment, "-c", AT_ONCE, str(one), str(go), *START)) for one in ready]
        wait_until(lambda: all(one.exists() for one in ready), "both are about to start", 60)
        go.touch()
        wait_until(lambda: any(process.poll() is not None for process in started), "one gives up", 60)
        loser = next(process for process in started if process.poll() is not None)
        winner = next(process for process in started if process is not loser)
        assert loser.returncode == Exit.CONFLICT
        said = loser.stderr.read().decode() if loser.stderr else ""
        assert f"{APP}-1" in said
        wait_until(lambda: f"process {winner.pid}" in driver_of(database), "the other one drives", 60)
        assert winner.poll() is None
    with database.read() as session:
        assert len(list_releases(session, None, 10)) == 1


@on_postgresql
def test_starting_the_same_again_goes_on_once_nobody_drives(database: Database, environment: dict[str, str]) -> None:
    """While it is driven the holder is named; after its death another candidate is refused and the same one goes on."""
    with running(environment, "-m", "softlaunch.cli", *START) as first:
        wait_until(lambda: f"process {first.pid}" in driver_of(database), "it is driven", 60)
        refused = command(environment, *START)
        assert refused.returncode == Exit.CONFLICT
        assert f"driven by command line on {socket.gethostname()}, process {first.pid}" in _text(refused.stderr)
    time.sleep(5)  # its right runs out
    other = command(environment, "release", "start", APP, "--model", "third", "--without-prefect", "--json")
    assert other.returncode == Exit.CONFLICT
    assert "without a driver at this moment" in _text(other.stderr)
    with running(environment, "-m", "softlaunch.cli", *START) as second:
        wait_until(lambda: f"process {second.pid}" in driver_of(database), "it is driven on", 60)
    with database.read() as session:
        assert [release.id for release in list_releases(session, None, 10)] == [f"{APP}-1"]


@on_postgresql
def test_a_rollback_while_it_is_driven_ends_the_driver(database: Database, environment: dict[str, str]) -> None:
    """A person beats the driver, which says how the release ended; the trail names both, and from where."""
    with running(environment, "-m", "softlaunch.cli", *START) as driving:
        wait_until(lambda: f"process {driving.pid}" in driver_of(database), "it is driven", 60)
        done = command(environment, "rollback", APP, "--reason", "the price is wrong", "--json")
        assert orjson.loads(done.stdout)["state"] == "aborted"
        wait_until(lambda: driving.poll() is not None, "its driver ends", 60)
        assert driving.returncode == Exit.ABORTED
    trail: list[dict[str, Any]] = orjson.loads(command(environment, "history", APP, "--json").stdout)
    told = [(entry["event"], entry["by"]) for entry in trail if entry["release_id"]]
    here = f"command line on {socket.gethostname()}"
    assert [event for event, _ in told] == ["opened", "driven", "moved", "ended"]
    assert told[0][1].endswith(f"({here})")
    assert told[1][1] == f"{here}, process {driving.pid}"
    assert told[3][1].endswith(f"({here})")
    assert "the price is wrong" in trail[-1]["what"]


def _text(printed: bytes) -> str:
    return " ".join(printed.decode().split())
