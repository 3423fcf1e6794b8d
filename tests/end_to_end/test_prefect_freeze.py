"""A release in a freeze under the real flow: Prefect shows it, it is watched on, and it goes on when it may."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from softlaunch.core.clock import utc_now
from softlaunch.ledger.releases import read_release
from softlaunch.policy.release import Release
from softlaunch.simulator.cases import Case
from softlaunch.simulator.faults import Fault, FaultKind
from softlaunch.store.tables import ReleaseRow
from tests.support.deployed import PATIENCE, Environment, Server, environment_of, softlaunch
from tests.support.paths import ROOT
from tests.support.providers import RunningProvider, quick_profile, running_provider
from tests.support.servers import wait_until
from tests.support.stage import APP, BRIEF, QUICK, Installation, installation, write_app

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(300)]

CASES = [Case(id=f"c{number}", question=f"What is {number} + 1?", expected=str(number + 1)) for number in range(200)]
RELEASE = """
from softlaunch.flows.release import release
from softlaunch.releases.opening import ReleaseRequest
from softlaunch.releases.changes import Changes
release(ReleaseRequest(app="bot", changes=Changes(model="second"), actor="test", origin="test"))
"""
FOREVER = {"from": "2020-01-01", "until": "2999-01-01", "time_zone": "UTC", "reason": "quarter's end"}
SAID = "frozen until Tue 2999-01-01 00:00 UTC (quarter's end)"


class Frozen:
    """An installation, its provider, and the flow that is being run."""

    def __init__(self, playing: Installation, provider: RunningProvider, environment: Environment) -> None:
        self.playing, self.provider, self.environment = playing, provider, environment
        self.server = Server(environment)

    def release(self) -> Release | None:
        """The release, once it is opened."""
        with self.playing.database.read() as session:
            found = session.exec(select(ReleaseRow.id)).first()
            return None if found is None else read_release(session, found)

    def run(self) -> dict[str, Any]:
        """The run as Prefect's list shows it."""
        return self.server.run_named(f"{APP}: ") or {"name": "", "tags": []}

    def bar(self) -> str:
        """What the newest progress bar says."""
        bars = [one for key, one in self.server.artifacts(f"{APP}-1").items() if key.endswith("progress")]
        return " ".join(str(one["description"]) for one in bars)


@contextmanager
def _flow(environment: Environment) -> Iterator[subprocess.Popen[bytes]]:
    flow = subprocess.Popen([sys.executable, "-c", RELEASE], env=environment, cwd=ROOT)
    try:
        yield flow
    finally:
        flow.kill()
        flow.wait()


@pytest.fixture
def start(tmp_path: Path, migrated_file: Path, prefect_environment: dict[str, str]) -> Iterator[Any]:
    """Make an installation under a policy, and run the flow that releases an equally good second model."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    golden = [{"id": case.id, "question": case.question, "expected": case.expected} for case in CASES]
    with ExitStack() as stack:
        provider = stack.enter_context(running_provider(CASES, [quick_profile("first"), quick_profile("second")]))

        def one(policy: dict[str, Any]) -> Frozen:
            write_app(tmp_path / "app", provider.endpoint, ["first", "second"], golden, policy)
            playing = stack.enter_context(installation(tmp_path / "app", url, provider, CASES, rate_rps=40))
            environment = environment_of(prefect_environment, tmp_path)
            stack.enter_context(_flow(environment))
            return Frozen(playing, provider, environment)

        yield one


@pytest.mark.soak
def test_a_run_shows_that_its_release_is_frozen_and_goes_on_when_the_freeze_is_lifted(start: Any) -> None:
    """Evaluated and held: name, tag and progress say until when; lifted with a reason, it is promoted, and says so."""
    frozen: Frozen = start({**BRIEF, "freeze": [FOREVER]})
    wait_until(lambda: SAID in frozen.run()["name"], "the run's name tells of the freeze", PATIENCE)
    assert "frozen" in frozen.run()["tags"]
    wait_until(lambda: f"held: {SAID}" in frozen.bar(), "the progress tells what is held", PATIENCE)
    release = frozen.release()
    assert release is not None
    assert (release.state, frozen.run()["state_type"]) == ("evaluating", "RUNNING")
    softlaunch(frozen.environment, "release", "unfreeze", APP, "--reason", "wrong prices")
    run = frozen.server.await_completed(f"{APP}: ")
    assert run["state"]["message"] == "promoted: every stage passed"
    assert "frozen" not in run["name"]
    assert "frozen" not in run["tags"]


def test_harm_is_rolled_back_inside_a_freeze(start: Any) -> None:
    """The freeze begins while users meet the candidate: the stage is watched on, and its run ends with the outcome."""
    watched = {**QUICK["stages"][1], "minimum_time": "10 min", "deadline": "20 min"}
    frozen: Frozen = start({**BRIEF, "stages": [watched, BRIEF["stages"][-1]]})
    wait_until(lambda: (found := frozen.release()) and found.state == "canary", "users meet the candidate", PATIENCE)
    until = utc_now() + timedelta(hours=1)
    window = {**FOREVER, "from": f"{utc_now():%Y-%m-%d %H:%M}", "until": f"{until:%Y-%m-%d %H:%M}"}
    with frozen.playing.database.begin() as session:
        row = session.exec(select(ReleaseRow)).one()
        row.policy = {**row.policy, "freeze": [window]}
    wait_until(lambda: "| frozen until " in frozen.run()["name"], "the run's name tells of the freeze", PATIENCE)
    frozen.provider.provider.order("second", Fault(kind=FaultKind.ERRORS, rate=0.5))
    run = frozen.server.await_completed(f"{APP}: ")
    assert run["state"]["message"].startswith("rolled back at canary 50 %: ")
    assert run["tags"] == ["rolled-back"]
    assert run["name"].endswith(run["state"]["message"])
    assert utc_now() < until
