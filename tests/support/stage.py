"""A whole installation on this machine: provider, gateway, users, and an app in the ledger."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from softlaunch.catalog.apps import apply
from softlaunch.core.clock import utc_now
from softlaunch.releases.changes import Changes
from softlaunch.releases.controller import Controller
from softlaunch.releases.opening import ReleaseRequest, open_release
from softlaunch.releases.views import ReleaseView, read_view
from softlaunch.simulator.cases import Case
from softlaunch.simulator.traffic import Traffic, TrafficPlan
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow
from softlaunch.wiring import build_driver
from tests.support.providers import RunningProvider
from tests.support.servers import running_gateway

APP = "bot"
QUICK: dict[str, Any] = {
    "app": APP,
    "eval": {
        "golden_set": "golden.jsonl",
        "repeats": 1,
        "maximum_repeats": 1,
        "concurrency": 32,
        "timeout": "10 s",
        "on_inconclusive": "reject",
    },
    "shadow": {
        "sample_percent": 50,
        "minimum_requests": 50,
        "minimum_time": 0,
        "deadline": "4 min",
        "at_deadline": "roll_back",
    },
    "stages": [
        {
            "weight_percent": 5,
            "minimum_time": 0,
            "minimum_requests": 20,
            "deadline": "4 min",
            "at_deadline": "roll_back",
        },
        {
            "weight_percent": 50,
            "minimum_time": 0,
            "minimum_requests": 50,
            "deadline": "4 min",
            "at_deadline": "roll_back",
        },
        {
            "weight_percent": 100,
            "minimum_time": 0,
            "minimum_requests": 20,
            "deadline": "4 min",
            "at_deadline": "roll_back",
        },
    ],
    "control_percent": 50,
    "gates": [{"metric": "errors", "margin": "10 points"}, {"metric": "latency", "margin": "40 %"}],
    "gateway": {"timeout": "10 s", "lease": "3 s"},
}
"""A policy for tests: the stages of a real one, in seconds; deadlines leave room for a busy machine."""
BRIEF: dict[str, Any] = {
    **QUICK,
    "shadow": None,
    "stages": [QUICK["stages"][-1]],
    "gates": [{"metric": "errors", "margin": "20 points"}],
}
"""One stage after the eval and one gate, for tests of how a release is started."""


@dataclass
class Installation:
    """What a test plays with."""

    database: Database
    gateway_url: str
    traffic: Traffic

    def release(self, model: str | None, *, allow_same: bool = False) -> ReleaseView:
        """Release another model in this process, to the end."""
        request = ReleaseRequest(
            app=APP, changes=Changes(model=model), allow_same=allow_same, actor="test", origin="test"
        )
        release_id = open_release(self.database, request, utc_now())
        Controller(build_driver(self.database, "test"), 0.2).run(release_id)
        return self.view(release_id)

    def view(self, release_id: str) -> ReleaseView:
        """How a release stands."""
        with self.database.read() as session:
            return read_view(session, session.get_one(ReleaseRow, release_id), utc_now())


def write_app(
    folder: Path, endpoint: str, models: Sequence[str], golden: Sequence[Mapping[str, Any]], policy: Mapping[str, Any]
) -> None:
    """The files of an app whose models are all at one endpoint; the first one is stable."""
    (folder / "prompts" / "plain").mkdir(parents=True)
    (folder / "prompts" / "plain" / "v1.0.0.txt").write_text("Answer briefly.", encoding="utf-8")
    (folder / "softlaunch.yaml").write_text(yaml.safe_dump(dict(policy)), encoding="utf-8")
    priced = {"input_usd_per_million": 2, "output_usd_per_million": 4}
    versions = [{"name": name, "provider": "test", "model": name, "endpoint": endpoint, **priced} for name in models]
    (folder / "models.yaml").write_text(yaml.safe_dump(versions), encoding="utf-8")
    variants = {"stable": "first", "variants": {"first": {"prompt": "plain@1.0.0", "model": models[0]}}}
    (folder / "variants.yaml").write_text(yaml.safe_dump(variants), encoding="utf-8")
    (folder / "golden.jsonl").write_bytes(b"\n".join(orjson.dumps(case) for case in golden))


@contextmanager
def installation(
    folder: Path, database_url: str, provider: RunningProvider, questions: Sequence[Case], rate_rps: float
) -> Iterator[Installation]:
    """Apply an app's folder, start a gateway, and let users come while the block works."""
    database = Database(database_url)
    apply(folder, database, "test")
    with running_gateway(database_url) as gateway_url:
        plan = TrafficPlan(gateway=gateway_url, app=APP, rate_rps=rate_rps, users=5000, seed=7)
        traffic = Traffic(plan, questions)
        users = threading.Thread(target=lambda: asyncio.run(traffic.run()), name="users", daemon=True)
        users.start()
        try:
            yield Installation(database, gateway_url, traffic)
        finally:
            traffic.stop()
            users.join()
            database.close()
