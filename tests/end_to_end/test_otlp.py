"""Releases of an app that no gateway serves: its spans come over OTLP, and they alone decide."""

import time
from pathlib import Path

import pytest

from softlaunch.core.clock import utc_now
from softlaunch.ledger.releases import Actor, Opening, open_release, read_release
from softlaunch.ledger.routes import serving_to_json
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release, State
from softlaunch.policy.route import Serving
from softlaunch.store.database import Database
from softlaunch.store.tables import RouteRow
from softlaunch.wiring import build_driver
from tests.end_to_end.traced_app import TracedApp, users_of
from tests.support.builders import APP, CANDIDATE, STABLE, record_app
from tests.support.otlp import ReceiverProcess

pytestmark = [
    *(pytest.mark.long, pytest.mark.timeout(600)),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

_SECONDS = 300.0
_CATCHES_UP = {"SOFTLAUNCH_OTLP_CATCH_UP_SECONDS": "20"}


def policy() -> Policy:
    """A release in three steps whose gates read what receivers log, five seconds behind the present."""
    brief = {"minimum_requests": 50, "minimum_time": 5, "deadline": 280, "at_deadline": "roll_back", "margin_factor": 1}
    return Policy.model_validate(
        {
            "app": APP,
            "eval": {"golden_set": None},
            "shadow": None,
            "stages": [{"weight_percent": weight, **brief} for weight in (20, 50, 100)],
            "control_percent": 50,
            "gates": [
                {"metric": "errors", "margin": "10 points"},
                {"metric": "latency", "margin": "40 %"},
                {"metric": "quality", "margin": "5 points"},
            ],
            "gateway": {"lease": "5 s"},
            "sources": {"otlp": {"hold": 2, "late": 3}},
        }
    )


def opened(database: Database) -> str:
    """A new app whose spans are taken, with its first release."""
    record_app(database, policy())
    with database.begin() as session:
        session.get_one(RouteRow, APP).serving = serving_to_json(Serving.of("salt", policy()))
        opening = Opening(APP, STABLE.digest, CANDIDATE.digest, policy(), "folder/policy.yaml")
        return open_release(session, opening, Actor("anna", "command line"), utc_now())


def drive(database: Database, release_id: str, receiver: ReceiverProcess) -> tuple[Release, list[str]]:
    """Drive a release to its end; the receiver is killed at its first look at users, and comes back later."""
    driver, said, began = build_driver(database, "test"), [], time.monotonic()
    token = driver.acquire_lease(release_id)
    looks_without = 0
    while time.monotonic() - began < _SECONDS:
        step = driver.advance(release_id, token)
        said.append(step.message)
        if step.over:
            break
        if not looks_without and step.requests.candidate:
            receiver.kill()
        looks_without += receiver.process is None
        if receiver.process is None and "no OTLP receiver" in step.message:
            receiver.start()
        time.sleep(0.25)
    with database.read() as session:
        return read_release(session, release_id), said


@pytest.mark.parametrize(
    ("harm", "state", "gate"),
    [
        pytest.param({}, State.PROMOTED, "", id="fine"),
        pytest.param({"errors": 0.3}, State.ROLLED_BACK, "errors", id="more failures"),
        pytest.param({"quality": 0.65}, State.ROLLED_BACK, "quality", id="worse answers"),
    ],
)
def test_spans_alone_decide_a_release(
    database: Database, tmp_path: Path, harm: dict[str, float], state: State, gate: str
) -> None:
    """The receiver dies in the first stage and comes back; the release holds meanwhile, and goes on to its end."""
    url = database.url.render_as_string(hide_password=False)
    receiver = ReceiverProcess(url, tmp_path / "otlp.log", _CATCHES_UP)
    release_id = opened(database)
    receiver.start()
    try:
        with users_of(database, TracedApp(receiver.url, harm)):
            release, said = drive(database, release_id, receiver)
    finally:
        receiver.kill()
    assert release.state is state, (said[-1], receiver.log.read_text())
    assert any("no OTLP receiver" in message for message in said)
    assert gate in release.reason
