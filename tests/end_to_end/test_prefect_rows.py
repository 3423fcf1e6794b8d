"""What a long stage leaves in Prefect's database: nothing that grows with the number of looks."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from softlaunch.simulator.cases import Case
from softlaunch.store.tables import RouteRow
from tests.support.deployed import Environment, running_prefect
from tests.support.paths import ROOT
from tests.support.providers import quick_profile, running_provider
from tests.support.servers import wait_until
from tests.support.stage import APP, QUICK, Installation, installation, write_app

pytestmark = [pytest.mark.prefect, pytest.mark.long, pytest.mark.timeout(400)]

CASES = [Case(id=f"c{number}", question=f"What is {number} + 1?", expected=str(number + 1)) for number in range(200)]
LOOKS = 150
A_FEW_HUNDRED = 300
RELEASE = """
from softlaunch.flows.release import release
from softlaunch.releases.opening import ReleaseRequest
from softlaunch.releases.changes import Changes
release(ReleaseRequest(app="bot", changes=Changes(model="second"), actor="test", origin="test"))
"""


@pytest.fixture
def playing(tmp_path: Path, migrated_file: Path) -> Iterator[Installation]:
    """An app whose first canary stage lasts longer than the test."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    golden = [{"id": case.id, "question": case.question, "expected": case.expected} for case in CASES]
    long = {"weight_percent": 50, "minimum_time": "20 min", "minimum_requests": 20, "deadline": "30 min"}
    with ExitStack() as stack:
        provider = stack.enter_context(running_provider(CASES, [quick_profile("first"), quick_profile("second")]))
        policy = {**QUICK, "stages": [long, QUICK["stages"][-1]]}
        write_app(tmp_path / "app", provider.endpoint, ["first", "second"], golden, policy)
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
        yield stack.enter_context(installation(tmp_path / "app", url, provider, CASES, rate_rps=40))


@pytest.fixture
def quiet_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """A Prefect server that nobody else uses: every row in it comes from this release or from the server itself."""
    with running_prefect(tmp_path_factory.mktemp("prefect")) as environment:
        yield environment


@pytest.mark.soak
def test_a_long_stage_leaves_few_rows(playing: Installation, quiet_server: Environment, tmp_path: Path) -> None:
    """A hundred and fifty looks add no run, no state and no line each; the whole release stays below a few hundred."""
    environment = {
        **quiet_server,
        "SOFTLAUNCH_HOME": str(tmp_path),
        "SOFTLAUNCH_DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
        "SOFTLAUNCH_POLL_SECONDS": "0.2",
    }
    home = Path(quiet_server["PREFECT_HOME"])
    empty = rows(home)
    flow = subprocess.Popen([sys.executable, "-c", RELEASE], env=environment, cwd=ROOT)
    try:
        wait_until(lambda: reached_canary(playing), "the canary is under way", 120)
        time.sleep(10)  # Prefect writes logs and events in batches
        before, began = rows(home), looks(playing)
        wait_until(lambda: looks(playing) >= began + LOOKS, "it was looked at often", 200)
        after = rows(home)
    finally:
        flow.send_signal(signal.SIGKILL)
        flow.wait()
    grown = {name: count - before[name] for name, count in after.items() if count != before[name]}
    assert sum(grown.values()) < LOOKS / 5, grown
    assert not {"task_run", "flow_run", "flow_run_state", "task_run_state"} & set(grown), grown
    left = sum(after.values()) - sum(empty.values())
    assert left < A_FEW_HUNDRED, {name: count - empty[name] for name, count in after.items() if count != empty[name]}


def reached_canary(playing: Installation) -> bool:
    """Whether the long stage has begun."""
    try:
        return playing.view(f"{APP}-1").release.state == "canary"
    except Exception:  # it isn't opened yet
        return False


def looks(playing: Installation) -> int:
    """How often the release has been looked at: each look that saw something beats."""
    with playing.database.read() as session:
        return session.get_one(RouteRow, APP).beat


def rows(home: Path) -> dict[str, int]:
    """How many rows each of Prefect's tables has."""
    with closing(sqlite3.connect(f"file:{home / 'prefect.db'}?mode=ro", uri=True, timeout=60)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}
