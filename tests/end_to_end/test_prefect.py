"""The flow as Prefect runs it: killed, deployed, started from the command line."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from softlaunch.simulator.cases import Case
from tests.support.deployed import Server, environment_of, running_worker, softlaunch
from tests.support.paths import ROOT
from tests.support.providers import quick_profile, running_provider
from tests.support.servers import wait_until
from tests.support.stage import APP, QUICK, Installation, installation, write_app

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

LEASE_SECONDS = 3.0  # and a busy machine may take several more to notice
CASES = [Case(id=f"c{number}", question=f"What is {number} + 1?", expected=str(number + 1)) for number in range(200)]
RELEASE = """
from softlaunch.flows.release import release
from softlaunch.releases.opening import ReleaseRequest
from softlaunch.releases.changes import Changes
release(ReleaseRequest(app="bot", changes=Changes(model="second"), actor="test", origin="test"))
"""


@pytest.fixture
def started(tmp_path: Path, migrated_file: Path) -> Iterator[Any]:
    """Make an installation under a policy, with an equally good second model."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    golden = [{"id": case.id, "question": case.question, "expected": case.expected} for case in CASES]
    with ExitStack() as stack:
        provider = stack.enter_context(running_provider(CASES, [quick_profile("first"), quick_profile("second")]))

        def start(policy: dict[str, Any]) -> Installation:
            write_app(tmp_path / "app", provider.endpoint, ["first", "second"], golden, policy)
            return stack.enter_context(installation(tmp_path / "app", url, provider, CASES, rate_rps=60))

        yield start


def _arms(gateway_url: str, count: int) -> list[str]:
    """The arm that answers each of so many users, and proof that every one of them got an answer."""
    arms = []
    with httpx.Client(base_url=gateway_url, timeout=30) as client:
        for number in range(count):
            body = {"model": APP, "user": f"u{number}", "messages": [{"role": "user", "content": CASES[0].question}]}
            answer = client.post("/v1/chat/completions", json=body)
            assert answer.is_success, answer.text
            arms.append(answer.headers["x-softlaunch-arm"])
    return arms


@pytest.mark.long
def test_traffic_returns_to_stable_when_the_flow_is_killed(
    started: Any, prefect_environment: dict[str, str], tmp_path: Path
) -> None:
    """SIGKILL at 50 %: within the lease nobody meets the candidate any more, and no request fails because of it."""
    watched = {"weight_percent": 50, "minimum_time": "10 min", "minimum_requests": 20, "deadline": "20 min"}
    playing: Installation = started({**QUICK, "stages": [watched, QUICK["stages"][-1]]})
    environment = environment_of(prefect_environment, tmp_path)
    flow = subprocess.Popen([sys.executable, "-c", RELEASE], env=environment, cwd=ROOT)
    try:
        wait_until(lambda: "candidate" in _arms(playing.gateway_url, 20), "the candidate serves", 150)
    finally:
        flow.send_signal(signal.SIGKILL)
        flow.wait()
    wait_until(lambda: set(_arms(playing.gateway_url, 20)) == {"stable"}, "stable alone serves", LEASE_SECONDS + 8)
    assert set(_arms(playing.gateway_url, 60)) == {"stable"}
    assert playing.traffic.tally.failures == 0
    assert playing.view(f"{APP}-1").release.state == "canary"

    dead_prefect = {**environment, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    command = [sys.executable, "-m", "softlaunch.cli", "rollback", APP, "--reason", "the watcher died", "--json"]
    done = subprocess.run(command, env=dead_prefect, cwd=ROOT, capture_output=True, check=True)
    said = orjson.loads(done.stdout)
    assert said["state"] == "rolled_back"
    assert said["gateways_following"] == said["gateways"] == 1


@pytest.mark.long
def test_the_command_line_starts_the_deployment_and_follows_it(
    started: Any, prefect_environment: dict[str, str], tmp_path: Path
) -> None:
    """With a server, `release start` has a worker run the flow; the exit code and the artifacts tell how it went."""
    started(QUICK)
    environment = environment_of(prefect_environment, tmp_path)
    softlaunch(environment, "deploy")
    expected = {f"{APP}-1", *(f"{APP}-1-{position}" for position in range(5))}
    server = Server(environment)
    with running_worker(environment, tmp_path):
        said = softlaunch(environment, "release", "start", APP, "--model", "second", "--json")
        # the command ends with the release, the flow once it has told of it
        wait_until(lambda: expected <= server.artifacts(f"{APP}-1").keys(), "the flow has told of everything", 60)
        run = server.await_completed(f"{APP}: ")
    assert orjson.loads(said)["state"] == "promoted"
    assert server.artifacts(f"{APP}-1")[f"{APP}-1-3-gates"]["type"] == "table"
    assert (tmp_path / "reports" / f"{APP}-1.html").is_file()
    assert run["state"]["message"] == "promoted: every stage passed"
    assert run["name"].endswith("| promoted: every stage passed")
    assert "promoted" in run["tags"]
    assert run["state"]["name"] == "Completed"  # whoever waits for that event gets it
