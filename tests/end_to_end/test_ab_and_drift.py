"""An A/B test and a drift check as Prefect runs them, with a real gateway, provider and users; and killed."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from softlaunch.ab.document import read_looks
from softlaunch.core.clock import utc_now
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.lease import unattended
from softlaunch.ledger.releases import read_release
from softlaunch.policy.release import State
from softlaunch.releases.controller import Controller
from softlaunch.simulator.cases import Case
from softlaunch.wiring import build_driver
from tests.support.deployed import Server
from tests.support.paths import ROOT
from tests.support.providers import quick_profile, running_provider
from tests.support.servers import wait_until
from tests.support.stage import APP, QUICK, Installation, installation, write_app

pytestmark = [pytest.mark.prefect, pytest.mark.long, pytest.mark.timeout(300)]

CASES = [Case(id=f"c{number}", question=f"What is {number} + 1?", expected=str(number + 1)) for number in range(60)]
TEST = """
from softlaunch.flows.ab_test import ab_test
from softlaunch.ab.opening import TrialRequest
from softlaunch.releases.changes import Changes
ab_test(TrialRequest(app="bot", changes=Changes(model="worse"), duration=20, actor="test", origin="test"))
"""
CHECK = """
from softlaunch.flows.prompt_drift import prompt_drift
print(prompt_drift("bot"))
print(prompt_drift("bot"))
"""


@pytest.fixture
def playing(tmp_path: Path, migrated_file: Path) -> Iterator[Installation]:
    """An app whose users rate, and a model that is wrong more often."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    golden = [{"id": case.id, "question": case.question, "expected": case.expected} for case in CASES]
    policy: dict[str, Any] = {
        **QUICK,
        "ab": {"minimum_time": "20 s", "maximum_time": "60 s"},
        "drift": {"repeats": 2},
        "gates": [{"metric": "errors", "margin": "10 points"}],
    }
    with ExitStack() as stack:
        profiles = [quick_profile("good"), quick_profile("worse", accuracy=0.2)]
        provider = stack.enter_context(running_provider(CASES, profiles))
        write_app(tmp_path / "app", provider.endpoint, ["good", "worse"], golden, policy)
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
        yield stack.enter_context(installation(tmp_path / "app", url, provider, CASES, rate_rps=60))


def environment(prefect_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Of a process that drives."""
    return {
        **prefect_environment,
        "SOFTLAUNCH_HOME": str(tmp_path),
        "SOFTLAUNCH_DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
        "SOFTLAUNCH_POLL_SECONDS": "0.2",
    }


def arms(playing: Installation) -> set[str]:
    """The arms that answer twenty users."""
    found = set()
    with httpx.Client(base_url=playing.gateway_url) as client:
        for number in range(20):
            body = {"model": APP, "user": f"u{number}", "messages": [{"role": "user", "content": CASES[0].question}]}
            found.add(client.post("/v1/chat/completions", json=body).headers["x-softlaunch-arm"])
    return found


def test_a_test_whose_flow_was_killed_is_gone_on_with_and_concluded(
    playing: Installation, prefect_environment: dict[str, str], tmp_path: Path
) -> None:
    """SIGKILL in the middle: users are on A within the lease; the next driver goes on, and A is found to be better."""
    wait_until(lambda: playing.traffic.tally.requests > 60, "users have come and rated", 60)
    flow = subprocess.Popen(
        [sys.executable, "-c", TEST], env=environment(prefect_environment, tmp_path), cwd=ROOT, stderr=subprocess.PIPE
    )
    try:
        wait_until(lambda: flow.poll() is not None or "candidate" in arms(playing), "B serves", 90)
    finally:
        flow.send_signal(signal.SIGKILL)
        flow.wait()
    wait_until(lambda: arms(playing) == {"stable"}, "A alone serves", 20)
    trial_id = f"{APP}-ab-1"
    driver = build_driver(playing.database, "test")

    def free() -> bool:
        with playing.database.read() as session:
            return any(right.release_id == trial_id for right in unattended(session, driver.ttl, utc_now()))

    wait_until(free, "nobody drives the test any more", 60)
    Controller(driver, 0.2).run(trial_id)
    with playing.database.read() as session:
        ended, looks = read_release(session, trial_id), read_looks(session, trial_id)
    assert (ended.state, ended.outcome) == (State.CONCLUDED, Outcome.FAIL), ended.reason
    assert ended.reason.startswith("A is better: satisfaction -")
    assert [look.number for look in looks] == list(range(len(looks)))


def test_the_first_drift_check_freezes_the_baseline_and_the_second_compares(
    playing: Installation, prefect_environment: dict[str, str], tmp_path: Path
) -> None:
    """Both are completed runs; the second leaves an artifact and a page."""
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        env=environment(prefect_environment, tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.strip().splitlines()[-2:]
    assert first == "the baseline was frozen; the next check compares with it"
    assert second.startswith("nothing has drifted against the baseline of")
    assert (tmp_path / "reports" / f"{APP}-drift-2.html").is_file()
    artifacts = Server(prefect_environment).post("/artifacts/filter", {"limit": 200})
    assert f"{APP}-drift-2" in {artifact["key"] for artifact in artifacts}
