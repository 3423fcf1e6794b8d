"""A release that only a metric of the app's own can stop."""

import numpy as np
import pytest
from sqlmodel import select

from softlaunch.core.formatting import show_harm, show_value
from softlaunch.core.incident_kinds import IncidentKind, Severity, read_runbook
from softlaunch.gateway.feedback import parse_feedback
from softlaunch.ledger.request_log import ScoreRecord
from softlaunch.ledger.stages import read_verdicts
from softlaunch.policy.release import State
from softlaunch.store.database import Database
from softlaunch.store.tables import GatewayRow, IncidentRow, ScoreRow
from softlaunch.telemetry.request_log import RequestLogTelemetry
from tests.support.builders import APP, CANDIDATE, STABLE, Scene, make_policy, request_row

POLICY = make_policy(
    metrics=[
        {"name": "ticket_resolved", "kind": "share", "better": "up", "unit": "user", "window": "3 d"},
        {"name": "handling", "kind": "duration", "better": "down"},
    ],
    gates=[
        {"metric": "errors", "margin": "20 points"},
        {"metric": "ticket_resolved", "margin": "5 points", "role": "guard"},
        {"metric": "handling", "margin": "20 %", "role": "guard"},
    ],
)
HALF = 3
A_LOOK = 100


def released(database: Database, resolved: float, handling_seconds: float, looks: int = 40) -> Scene:
    """Drive a release by the request log, whose app reports what came of each answer."""
    scene = Scene.opened(database, POLICY)
    scene.drive_to(HALF)
    with scene.database.begin() as session:
        now = scene.clock.now.timestamp()
        session.add(GatewayRow(id="g", address="", revisions={}, started_at=now, heard_at=now, complete_until=now))
    scene.telemetry = RequestLogTelemetry(scene.database)  # type: ignore[assignment]  # the real one in place of the script
    driver, rng = scene.driver(), np.random.default_rng(4)
    token = driver.acquire_lease(scene.release_id)
    for look in range(looks):
        if scene.release().state is not State.CANARY:
            break
        began = scene.clock.now.timestamp()
        scene.clock.go(scene.step_seconds)
        for number in range(look * A_LOOK, (look + 1) * A_LOOK):
            arm = ("candidate", "stable")[number % 2]
            means = (resolved, handling_seconds) if arm == "candidate" else (0.9, 300.0)
            _serve(scene, number, arm, began, {"ticket_resolved": int(rng.random() < means[0]), "handling": means[1]})
        with scene.database.begin() as session:
            gateway = session.get_one(GatewayRow, "g")
            gateway.heard_at = gateway.complete_until = scene.clock.now.timestamp()
        driver.advance(scene.release_id, token)
    return scene


def _serve(scene: Scene, number: int, arm: str, began: float, values: dict[str, float]) -> None:
    request_id = f"{APP}-{number:x}"
    digest = CANDIDATE.digest if arm == "candidate" else STABLE.digest
    where = {"release_id": scene.release_id, "stage": HALF, "started_at": began + 0.1}
    records = parse_feedback({"request_id": request_id, "metrics": values}, began + 0.2, lambda _: POLICY.metrics)
    with scene.database.begin() as session:
        session.add(request_row(request_id=request_id, arm=arm, variant_digest=digest, unit=number, **where))
        for record in records:
            assert isinstance(record, ScoreRecord)
            session.add(ScoreRow(**record._asdict()))


@pytest.mark.parametrize(
    ("resolved", "handling", "gate", "words"),
    [
        pytest.param(0.6, 300.0, "ticket_resolved", "points on average", id="a share that falls"),
        pytest.param(0.9, 900.0, "handling", "%", id="a duration that grows"),
    ],
)
def test_a_candidate_is_rolled_back_by_a_metric_of_the_apps_own(
    database: Database, resolved: float, handling: float, gate: str, words: str
) -> None:
    """The reason is in the metric's unit, and the incident's page is that of all named metrics."""
    scene = released(database, resolved, handling)
    release = scene.release()
    assert release.state is State.ROLLED_BACK
    assert release.reason.startswith(f"{gate}: worse by ")
    assert words in release.reason
    assert "reported for 100.0 % of the candidate's users" in release.reason
    with database.read() as session:
        (incident,) = session.exec(select(IncidentRow)).all()
        verdicts = read_verdicts(session, scene.release_id, HALF)
    assert (incident.kind, incident.severity) == (IncidentKind.GATE_NAMED_METRIC, Severity.PAGE)
    assert read_runbook(IncidentKind.GATE_NAMED_METRIC).startswith("# Named metric gate failed\n")
    kept = verdicts[gate]
    shown = show_value(kept.gate, kept.stable_value), show_harm(kept.gate, 0.1)
    assert shown[1] == {"ticket_resolved": "+10.0 points", "handling": "+10 %"}[gate]
    assert shown[0].endswith({"ticket_resolved": " %", "handling": "5 min"}[gate])


def test_a_candidate_that_is_no_worse_goes_on(database: Database) -> None:
    """The guards let it pass."""
    scene = released(database, 0.9, 300.0, looks=15)
    assert scene.release().state is not State.ROLLED_BACK
