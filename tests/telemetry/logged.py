"""A request log written by hand, and what is read of it."""

from typing import Any

import numpy as np
from sqlmodel import SQLModel

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Events, Observations
from softlaunch.gates.telemetry import Reading, Scope
from softlaunch.policy.release import plan
from softlaunch.store.database import Database
from softlaunch.store.tables import FeedbackRow, GatewayRow, ScoreRow
from softlaunch.telemetry.request_log import RequestLogTelemetry
from tests.support.builders import APP, NOON, make_policy, record_app, request_row

T = NOON.timestamp()
SHADOW, FIRST, HALF, ALL = plan(make_policy())[1:]
SCOPE = Scope(APP, f"{APP}-1", HALF)


def log(database: Database, *rows: SQLModel, complete_until: float = T + 5, heard_at: float = T + 5) -> None:
    """An app, its log's rows, and a gateway that says how far the log is complete."""
    record_app(database)
    with database.begin() as session:
        session.add_all(rows)
        session.add(gateway("gateway-1", complete_until, heard_at))


def gateway(name: str, complete_until: float, heard_at: float) -> GatewayRow:
    """A gateway's sign of life."""
    times: dict[str, Any] = {"started_at": T - 60, "heard_at": heard_at, "complete_until": complete_until}
    return GatewayRow(id=name, address="127.0.0.1:1", revisions={}, **times)


def request(number: int, arm: str = "stable", **columns: Any) -> SQLModel:
    """A request at 50 % of a unit of its own, one second in."""
    named = {"request_id": f"{APP}-{number}", "arm": arm, "unit": number, "started_at": T + 1}
    return request_row(**{**named, **columns})


def rating(number: int, satisfaction: float, received_at: float, kind: str = "thumbs") -> FeedbackRow:
    """A user's rating of a request."""
    return FeedbackRow(
        request_id=f"{APP}-{number}", app=APP, satisfaction=satisfaction, kind=kind, received_at=received_at
    )


def score(number: int, metric: str, value: float, received_at: float = T + 1, source: str = "judge") -> ScoreRow:
    """A score of request `number`'s answer."""
    return ScoreRow(
        request_id=f"{APP}-{number}", app=APP, metric=metric, value=value, source=source, received_at=received_at
    )


def go_on(database: Database, until: float) -> None:
    """The gateway has written its log up to a later moment."""
    with database.begin() as session:
        row = session.get_one(GatewayRow, "gateway-1")
        row.complete_until = row.heard_at = until


def read(database: Database, stage: Any = HALF, after: float = T, now: float = T + 5) -> Reading:
    """What the log says of a stage of the first release."""
    return RequestLogTelemetry(database).read(Scope(APP, f"{APP}-1", stage), after, now)


def values(arm: Any, metric: Metric) -> list[float]:
    """The values of one metric, sorted."""
    seen: Observations | None = arm.get(metric)
    return [] if seen is None else sorted(seen.values.tolist())


def told(events: Events | None, metric: Metric) -> list[tuple[float, int, str, float]]:
    """Time, unit, arm and value of everything in which a metric was measured."""
    assert events is not None
    arms = np.where(events.candidate, "candidate", "stable").tolist()
    seen = zip(events.at.tolist(), events.units.tolist(), arms, events.values[metric].tolist(), strict=True)
    return [one for one in seen if not np.isnan(one[-1])]
