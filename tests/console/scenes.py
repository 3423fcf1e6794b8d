"""A ledger as people find it: a release that was rolled back, one that waits for a person, failures, ratings, drift."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlmodel import select

from softlaunch.console.access import Access
from softlaunch.console.state import Console
from softlaunch.policy.model import Policy
from softlaunch.releases.opening import ReleaseRequest, open_release
from softlaunch.store.database import Database
from softlaunch.store.tables import ApprovalRow, DriftRunRow, FeedbackRow
from tests.support.builders import APP, NOON, STABLE, Clock, Scene, ScriptedTelemetry, make_policy, open_in, request_row

ROLLED_BACK, WAITING = f"{APP}-1", f"{APP}-2"
HALF = 3


def asking_policy(**changes: Any) -> Policy:
    """A policy that lets people named in it decide, and that asks before 50 %."""
    brief = {"minimum_requests": 20, "minimum_time": 5, "deadline": 600, "margin_factor": 1}
    stages = [
        {"weight_percent": 10, **brief},
        {"weight_percent": 50, **brief, "approval": True},
        {"weight_percent": 100, **brief},
    ]
    people = {"approvers": [{"name": "anna"}, {"name": "bert"}], "approval": {"starter_may_approve": True}}
    return make_policy(stages=stages, **people, **changes)


def furnish(database: Database) -> Scene:
    """Fill an empty ledger; returns the scene of the release that waits, on a clock that stands still."""
    first = Scene.opened(database, make_policy(), telemetry=ScriptedTelemetry({HALF: {"latency": 4.9}}, count=60))
    first.drive_to_end()
    clock = first.clock
    clock.go(3600)
    with database.begin() as session:
        release_id = open_in(session, asking_policy())
    second = Scene(database, release_id, clock, ScriptedTelemetry(count=60))
    second.drive_to(2)
    second.drive_until(lambda _: _asked(database, release_id), second.driver(), 40)
    _log_requests(database, clock.now)
    return second


def _asked(database: Database, release_id: str) -> bool:
    with database.read() as session:
        return session.exec(select(ApprovalRow).where(ApprovalRow.release_id == release_id)).first() is not None


def _log_requests(database: Database, now: datetime) -> None:
    """A day of requests with ratings, and some failures of the candidate that waits."""
    rng = np.random.default_rng(3)
    with database.begin() as session:
        for number in range(240):
            failed = rng.random() < 0.03
            session.add(
                request_row(
                    request_id=f"{APP}-{number}",
                    release_id=None,
                    stage=0,
                    weight_percent=0.0,
                    unit=number,
                    started_at=now.timestamp() - 360 * number,
                    **({"status": 503, "outcome": "provider_failed"} if failed else {}),
                )
            )
            if number % 3 == 0:
                rated = {"request_id": f"{APP}-{number}", "app": APP, "kind": "thumbs"}
                at = now.timestamp() - 360 * number
                satisfaction = float(rng.random() < 0.8)
                session.add(FeedbackRow.model_validate({**rated, "satisfaction": satisfaction, "received_at": at}))
        for number in range(3):
            row = request_row(
                request_id=f"failed-{number}",
                release_id=WAITING,
                stage=2,
                arm="candidate",
                status=503,
                outcome="provider_failed",
                started_at=now.timestamp() - number,
            )
            session.add(row)
        session.add(
            DriftRunRow(
                id=f"{APP}-drift-1",
                app=APP,
                number=1,
                kind="check",
                state="done",
                variant_digest=STABLE.digest,
                suite_digest="0" * 64,
                opened_at=NOON,
                opened_by="anna",
                ended_at=NOON,
                summary="accuracy as it was",
                report={"drifted": False},
            )
        )


def make_console(database: Database, clock: Clock, folder: Path, **access: Any) -> Console:
    """A console of `anna` on this ledger; a release that it starts is opened and driven by nobody."""

    def start(request: ReleaseRequest) -> str:
        return open_release(database, request, clock())

    return Console(database, replace(Access("anna"), **access), start, folder, clock=clock)
