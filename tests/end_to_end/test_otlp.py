"""Releases of an app that no gateway serves: its spans come over OTLP, and they alone decide."""

import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from sqlmodel import select

from softlaunch.catalog.records import record_variant
from softlaunch.core.clock import utc_now
from softlaunch.core.variant import Variant
from softlaunch.ledger.releases import Actor, Opening, open_release, read_release
from softlaunch.ledger.routes import serving_to_json
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release, State
from softlaunch.policy.route import Serving
from softlaunch.store.database import Database
from softlaunch.store.tables import RequestRow, RouteRow
from softlaunch.wiring import build_driver
from tests.end_to_end.traced_app import InstrumentedApp, TracedApp, users_of
from tests.gateway.clients.agent_programs import PACKAGES
from tests.support.builders import APP, CANDIDATE, STABLE, make_variant, record_app
from tests.support.endpoints import Reply, running_endpoint
from tests.support.otlp import ReceiverProcess

pytestmark = [
    *(pytest.mark.long, pytest.mark.timeout(600)),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

_SECONDS = 540.0
_CATCHES_UP = {"SOFTLAUNCH_OTLP_CATCH_UP_SECONDS": "60"}


_GATES = (
    {"metric": "errors", "margin": "10 points"},
    {"metric": "latency", "margin": "40 %"},
    {"metric": "quality", "margin": "5 points"},
)
_ERRORS = ({"metric": "errors", "margin": "15 points"},)


def policy(gates: Sequence[Mapping[str, str]] = _GATES) -> Policy:
    """A release in three steps whose gates read what receivers log, twelve seconds behind the present."""
    brief = {"minimum_requests": 50, "minimum_time": 5, "deadline": 500, "at_deadline": "roll_back", "margin_factor": 1}
    return Policy.model_validate(
        {
            "app": APP,
            "eval": {"golden_set": None},
            "shadow": None,
            "stages": [{"weight_percent": weight, **brief} for weight in (20, 50, 100)],
            "control_percent": 50,
            "gates": gates,
            "gateway": {"lease": "5 s"},
            "sources": {"otlp": {"hold": 2, "late": 10}},
        }
    )


def opened(database: Database, known: Policy, candidate: Variant = CANDIDATE) -> str:
    """A new app whose spans are taken, with its first release."""
    record_app(database, known)
    with database.begin() as session:
        record_variant(session, candidate, utc_now())
        session.flush()
        session.get_one(RouteRow, APP).serving = serving_to_json(Serving.of("salt", known))
        opening = Opening(APP, STABLE.digest, candidate.digest, known, "folder/policy.yaml")
        return open_release(session, opening, Actor("anna", "command line"), utc_now())


def drive(
    database: Database, release_id: str, receiver: ReceiverProcess, *, kill: bool = True
) -> tuple[Release, list[str]]:
    """Drive a release to its end; the receiver is killed at its first look at users, and comes back later."""
    driver, said, began = build_driver(database, "test"), [], time.monotonic()
    token = driver.acquire_lease(release_id)
    while time.monotonic() - began < _SECONDS:
        step = driver.advance(release_id, token)
        said.append(step.message)
        if step.over:
            break
        if kill and step.requests.candidate:
            receiver.kill()
            kill = False
        if receiver.process is None and "no OTLP receiver" in step.message:
            receiver.start()
        time.sleep(0.25)
    with database.read() as session:
        return read_release(session, release_id), said


@pytest.mark.parametrize(
    ("harm", "state", "gate"),
    [
        pytest.param({}, State.PROMOTED, "", id="fine", marks=pytest.mark.soak),
        pytest.param({"errors": 0.3}, State.ROLLED_BACK, "errors", id="more failures"),
        pytest.param({"quality": 0.65}, State.ROLLED_BACK, "quality", id="worse answers", marks=pytest.mark.soak),
    ],
)
def test_spans_alone_decide_a_release(
    database: Database, tmp_path: Path, harm: dict[str, float], state: State, gate: str
) -> None:
    """The receiver dies in the first stage and comes back; the release holds meanwhile, and goes on to its end."""
    url = database.url.render_as_string(hide_password=False)
    receiver = ReceiverProcess(url, tmp_path / "otlp.log", _CATCHES_UP)
    release_id = opened(database, policy())
    receiver.start()
    try:
        with users_of(database, TracedApp(receiver.url, harm)):
            release, said = drive(database, release_id, receiver)
    finally:
        receiver.kill()
    assert release.state is state, (said[-1], receiver.log.read_text())
    assert any("no OTLP receiver" in message for message in said)
    assert gate in release.reason


def _missing_clients() -> str:
    return next((one.missing for one in PACKAGES if one.program == "openai_chat"), "")


@pytest.mark.skipif(bool(_missing_clients()), reason=_missing_clients() or "all there")
@pytest.mark.parametrize(
    ("instrumentation", "failing", "state"),
    [
        pytest.param("openinference", 0.0, State.PROMOTED, id="openinference, fine"),
        pytest.param("traceloop", 0.5, State.ROLLED_BACK, id="traceloop, failing", marks=pytest.mark.soak),
    ],
)
def test_an_instrumented_client_decides_a_release(
    database: Database, tmp_path: Path, instrumentation: str, failing: float, state: State
) -> None:
    """The `openai` package with an instrumentation that knows nothing of softlaunch, and five attributes."""
    candidate = make_variant("1.1.0", name="fresh", model="fresh")
    receiver = ReceiverProcess(database.url.render_as_string(hide_password=False), tmp_path / "otlp.log", _CATCHES_UP)
    release_id = opened(database, policy(_ERRORS), candidate)

    def behave(model: str, question: str, before: int) -> Reply:
        fails = model == "fresh" and random.Random(question).random() < failing
        return Reply("", status=500) if fails else Reply("yes", delay=0.02)

    receiver.start()
    try:
        with running_endpoint() as endpoint:
            endpoint.behaviour = behave
            app = InstrumentedApp(receiver.url, endpoint.url, instrumentation, tmp_path / "app.log")
            with users_of(database, app):
                release, said = drive(database, release_id, receiver, kill=False)
    finally:
        receiver.kill()
    assert release.state is state, (said[-1], receiver.log.read_text(), app.log.read_text()[-2000:])
    with database.read() as session:
        rows = session.exec(select(RequestRow)).all()
    assert {row.variant_digest for row in rows} == {STABLE.digest, candidate.digest}
    assert {row.input_tokens for row in rows if row.outcome == "answered"} == {10}
