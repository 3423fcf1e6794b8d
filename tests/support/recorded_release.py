"""A release of an app that calls its models itself, whose gates read what it records."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from softlaunch.catalog.records import record_variant
from softlaunch.core.clock import utc_now
from softlaunch.core.variant import Variant
from softlaunch.ledger.releases import Actor, Opening, open_release
from softlaunch.ledger.routes import serving_to_json
from softlaunch.policy.model import Policy
from softlaunch.policy.route import Serving
from softlaunch.store.database import Database
from softlaunch.store.tables import RouteRow
from tests.support.builders import APP, STABLE, record_app
from tests.support.paths import ROOT

LEASE_SECONDS = 3.0
_DRIVE = """
import sys, time
from softlaunch.store.migrate import open_database
from softlaunch.wiring import build_driver
driver = build_driver(open_database(sys.argv[1]), "test")
token = driver.acquire_lease(sys.argv[2])
while True:
    driver.advance(sys.argv[2], token)
    time.sleep(0.25)
"""


def recorded_policy(first_percent: float, requests: int, latency: str) -> Policy:
    """Two steps, each of so many requests at least, whose gates read what is recorded four seconds later."""
    brief = {
        "minimum_requests": requests,
        "minimum_time": 3,
        "deadline": 280,
        "at_deadline": "roll_back",
        "margin_factor": 1,
    }
    return Policy.model_validate(
        {
            "app": APP,
            "eval": {"golden_set": None},
            "shadow": None,
            "stages": [{"weight_percent": weight, **brief} for weight in (first_percent, 100)],
            "control_percent": 50,
            "gates": [{"metric": "errors", "margin": "15 points"}, {"metric": "latency", "margin": latency}],
            "gateway": {"lease": f"{LEASE_SECONDS:g} s"},
            "sources": {"otlp": {"hold": 1, "late": 3}},
        }
    )


def open_recorded(database: Database, policy: Policy, candidate: Variant) -> str:
    """Record the app, and open its first release; returns the release's id."""
    record_app(database, policy)
    with database.begin() as session:
        record_variant(session, candidate, utc_now())
        session.flush()
        session.get_one(RouteRow, APP).serving = serving_to_json(Serving.of("salt", policy))
        opening = Opening(APP, STABLE.digest, candidate.digest, policy, "folder/policy.yaml")
        return open_release(session, opening, Actor("anna", "command line"), utc_now())


@contextmanager
def driver_process(database: Database, release_id: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that drives a release, until it is killed; at the end of the block at the latest."""
    url = database.url.render_as_string(hide_password=False)
    with subprocess.Popen([sys.executable, "-c", _DRIVE, url, release_id], cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()
