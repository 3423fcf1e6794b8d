"""A story of the metric `groundedness`, told in an installation whose table of live metrics has it; run as a program.

Its arguments are a migrated ledger and a folder to write to. It prints what became of everything as one JSON document.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sqlmodel import select

from softlaunch.core.formatting import show_value
from softlaunch.core.incident_kinds import IncidentKind, read_runbook
from softlaunch.gateway.feedback import parse_feedback
from softlaunch.ledger.request_log import ScoreRecord
from softlaunch.policy.release import State
from softlaunch.policy.schema import policy_schema
from softlaunch.store.database import Database
from softlaunch.store.tables import GatewayRow, IncidentRow, ScoreRow
from softlaunch.telemetry.request_log import RequestLogTelemetry
from tests.support.builders import APP, CANDIDATE, STABLE, Scene, make_policy, request_row

NAME = "groundedness"
GATES = [
    {"metric": "errors", "margin": "20 points"},
    {"metric": NAME, "margin": "5 points", "role": "guard"},
]
_HALF = 3
_A_LOOK = 100


def tell(ledger: Path, folder: Path) -> dict[str, Any]:
    """Release a candidate whose answers are grounded in nothing, and record the same for a replay."""
    database = Database(f"sqlite:///{ledger}")
    scene = Scene.opened(database, make_policy(gates=GATES))
    scene.drive_to(_HALF)
    driver, rng = _watching_the_log(scene), np.random.default_rng(4)
    token, number = driver.acquire_lease(scene.release_id), 0
    while scene.release().state is State.CANARY and number < 40 * _A_LOOK:
        began = scene.clock.now.timestamp()
        scene.clock.go(scene.step_seconds)
        _serve(scene, range(number, number + _A_LOOK), began, rng)
        number += _A_LOOK
        driver.advance(scene.release_id, token)
    _record(folder, rng)
    release, kind = scene.release(), IncidentKind.of_gate(NAME)
    with database.read() as session:
        incidents = [(row.kind, row.severity, row.summary) for row in session.exec(select(IncidentRow))]
    return {
        "state": release.state,
        "reason": release.reason,
        "incidents": incidents,
        "runbook": read_runbook(kind).splitlines()[0],
        "shown": show_value(NAME, 0.3),
        "schema": policy_schema()["$defs"]["Metric"]["enum"],
    }


def _watching_the_log(scene: Scene) -> Any:
    """The scene's driver, from now on with eyes for the request log."""
    with scene.database.begin() as session:
        now = scene.clock.now.timestamp()
        session.add(
            GatewayRow(id="gateway-1", address="", revisions={}, started_at=now, heard_at=now, complete_until=now)
        )
    scene.telemetry = RequestLogTelemetry(scene.database)  # type: ignore[assignment]  # the real one in place of the script
    return scene.driver()


def _serve(scene: Scene, numbers: range, began: float, rng: np.random.Generator) -> None:
    """Requests of new users on both arms, each of which a judge scores through the gateway's feedback."""
    now = scene.clock.now.timestamp()
    with scene.database.begin() as session:
        for number in numbers:
            arm, digest = (("candidate", CANDIDATE.digest), ("stable", STABLE.digest))[number % 2]
            request_id = f"{APP}-{number:x}"
            where = {"release_id": scene.release_id, "stage": _HALF, "started_at": began + 0.1}
            session.add(request_row(request_id=request_id, arm=arm, variant_digest=digest, unit=number, **where))
            body = {"request_id": request_id, "scores": {NAME: _grounded(arm, rng)}}
            for record in parse_feedback(body, began + 0.2):
                assert isinstance(record, ScoreRecord)
                session.add(
                    ScoreRow(
                        request_id=record.request_id,
                        app=record.app,
                        metric=record.metric,
                        value=record.value,
                        source=record.source,
                        received_at=record.received_at,
                    )
                )
        gateway = session.get_one(GatewayRow, "gateway-1")
        gateway.heard_at = gateway.complete_until = now


def _grounded(arm: str, rng: np.random.Generator) -> float:
    return float(rng.uniform(0.1, 0.5) if arm == "candidate" else rng.uniform(0.8, 1.0))


def _record(folder: Path, rng: np.random.Generator) -> None:
    """A file of recorded requests with a column of the metric, and a policy that judges by it."""
    arms = rng.choice(["candidate", "stable"], 2000)
    table = {
        "ts": 1_772_366_400 + np.arange(len(arms)) / 10,
        "arm": arms,
        "ok": 1,
        NAME: [_grounded(arm, rng) for arm in arms],
    }
    pd.DataFrame(table).to_csv(folder / "samples.csv", index=False)
    policy = {"app": "bot", "golden_set": "golden.jsonl", "gates": GATES}
    (folder / "policy.yaml").write_text(json.dumps(policy), encoding="utf-8")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(tell(Path(sys.argv[1]), Path(sys.argv[2]))))
