"""A release by what Prometheus has scraped of our gateway, and by nothing else."""

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from softlaunch.policy.release import State
from softlaunch.simulator.cases import Case
from tests.support.endpoints import Reply, running_endpoint
from tests.support.prometheus import Prometheus, needs_prometheus
from tests.support.providers import running_provider
from tests.support.stage import APP, QUICK, installation, write_app

pytestmark = [needs_prometheus, pytest.mark.long, pytest.mark.timeout(400)]

_CASES = [Case(id=f"q{number}", question=f"What is {number}?", expected="yes") for number in range(40)]
_GOLDEN = [
    {"id": f"g{number}", "question": f"Agree to {number}.", "expected": "yes", "metric": "contains"}
    for number in range(200)
]


def _policy(url: str) -> dict[str, Any]:
    counted = f'softlaunch_requests_total{{app="{APP}"}}'
    failed = f'softlaunch_requests_total{{app="{APP}", outcome!="answered"}}'
    return {
        **QUICK,
        "shadow": None,
        "gates": [{"metric": "errors", "margin": "15 points"}],
        "sources": {
            "prometheus": {
                "url": url,
                "interval": 2,
                "stale_after": 20,
                "group": 1,
                "metrics": [{"metric": "errors", "total": counted, "bad": failed}],
            }
        },
    }


def _answer(model: str, prompt: str, before: int) -> Reply:
    """The model `bad` fails about every second time, and never in the eval."""
    fails = model == "bad" and "Agree" not in prompt and random.Random(f"{prompt} {before}").random() < 0.5
    return Reply("", status=500) if fails else Reply("yes", delay=0.01)


@pytest.mark.parametrize(
    ("model", "state"),
    [
        pytest.param("good", State.PROMOTED, id="fine"),
        pytest.param("bad", State.ROLLED_BACK, id="failing", marks=pytest.mark.soak),
    ],
)
def test_a_scraped_gateway_decides_a_release(tmp_path: Path, migrated_file: Path, model: str, state: State) -> None:
    """Copies are the arm `control` at 100 %, and requests of the arms are compared from the counters alone."""
    ledger = shutil.copy(migrated_file, tmp_path / "ledger.db")
    (tmp_path / "prometheus").mkdir()
    server = Prometheus(tmp_path / "prometheus")
    with running_endpoint() as endpoint, running_provider() as provider:
        endpoint.behaviour = _answer
        write_app(tmp_path / "app", endpoint.url, ["steady", "good", "bad"], _GOLDEN, _policy(server.url))
        with installation(tmp_path / "app", f"sqlite:///{ledger}", provider, _CASES, rate_rps=60) as made:
            server.targets = [made.gateway_url.removeprefix("http://")]
            server.start()
            try:
                view = made.release(model)
            finally:
                server.kill()
    assert view.release.state is state, view.release.reason
