"""A release as its page shows it, besides the view that every report shares: gates over time, failures, people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col
from sqlmodel import select as select_rows

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.live_metrics import Metric
from softlaunch.core.request_outcome import ARM_FAILURES, UNUSABLE
from softlaunch.ledger.logged import Logged
from softlaunch.policy.release import Kind, Release
from softlaunch.releases.views import ReleaseView, deciding_verdicts
from softlaunch.store.tables import (
    IncidentRow,
    ReleaseRow,
    RequestRow,
    VariantRow,
    VoteRow,
)

PAGE = 50
_LOOKED_THROUGH = 5000
_FAILURES = 15
_COUNTED_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """A release in a list."""

    id: str
    app: str
    kind: str
    state: str
    outcome: str
    stable: str
    candidate: str
    opened_at: datetime
    opened_by: str
    ended_at: datetime | None
    reason: str


_OF_LINE: list[Any] = [
    *(ReleaseRow.id, ReleaseRow.app, ReleaseRow.kind, ReleaseRow.state, ReleaseRow.outcome),
    *(ReleaseRow.opened_at, ReleaseRow.opened_by, ReleaseRow.ended_at, ReleaseRow.reason),
]


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no answer, or none that serves anybody."""

    request_id: str
    started_at: float
    arm: str
    status: int
    outcome: str
    latency_ms: float
    attempts: int
    finish_reason: str | None
    model: str | None


_OF_FAILURE: list[Any] = [
    *(RequestRow.request_id, RequestRow.started_at, RequestRow.arm, RequestRow.status, RequestRow.outcome),
    *(RequestRow.latency_ms, RequestRow.attempts, RequestRow.finish_reason, RequestRow.resolved_model),
]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The app's releases before and after one."""

    before: str | None
    after: str | None


def list_page(
    session: Session, app: str | None, state: str | None, page: int, kind: Kind | None = None
) -> tuple[list[ReleaseLine], bool]:
    """One page of releases and A/B tests, or of one kind, newest first; and whether there are more."""
    stable, candidate = aliased(VariantRow), aliased(VariantRow)
    found = (
        select(*_OF_LINE[:5], col(stable.label), col(candidate.label), *_OF_LINE[5:])  # not the policy, which is large
        .join(stable, col(stable.digest) == col(ReleaseRow.stable_digest))
        .join(candidate, col(candidate.digest) == col(ReleaseRow.candidate_digest))
    )
    found = found if app is None else found.where(col(ReleaseRow.app) == app)
    if kind is not None:
        found = found.where(col(ReleaseRow.kind) == kind)
    if state == "live":
        found = found.where(col(ReleaseRow.live_app).is_not(None))
    elif state is not None:
        found = found.where(col(ReleaseRow.state) == state)
    order = (col(ReleaseRow.number).desc(),) if app else (col(ReleaseRow.opened_at).desc(), col(ReleaseRow.id).desc())
    rows = session.execute(found.order_by(*order).offset((page - 1) * PAGE).limit(PAGE + 1)).all()
    return [ReleaseLine(*row) for row in rows[:PAGE]], len(rows) > PAGE


def neighbours(session: Session, release: Release) -> Neighbours:
    """The releases of the same app and kind around one."""
    numbers = select(col(ReleaseRow.id)).where(col(ReleaseRow.app) == release.app, col(ReleaseRow.kind) == release.kind)
    before = numbers.where(col(ReleaseRow.number) < release.number).order_by(col(ReleaseRow.number).desc()).limit(1)
    after = numbers.where(col(ReleaseRow.number) > release.number).order_by(col(ReleaseRow.number)).limit(1)
    return Neighbours(session.execute(before).scalar(), session.execute(after).scalar())


def has_many_requests(session: Session, logged: Logged) -> bool:
    """Whether a release has so many requests that they can't be counted while somebody waits."""
    found = select(col(RequestRow.id)).where(logged.rows)
    return session.execute(found.offset(_COUNTED_AT_ONCE).limit(1)).first() is not None


def failures(session: Session, release: Release) -> list[Failure]:
    """The newest failures of the candidate among the app's newest 5,000 requests while the stage was in force.

    That is the stage in force, or the last one. Texts of requests are never read.
    """
    row = RequestRow
    ended = [] if release.ended_at is None else [col(row.started_at) < release.ended_at.timestamp()]
    newest = (  # of the app alone: a stage that began at midnight has no row of the day before, which would be sought
        select(*_OF_FAILURE, col(row.release_id), col(row.stage))
        .where(col(row.app) == release.app, col(row.started_at) >= Logged.of(release).since, *ended)
        .order_by(col(row.started_at).desc())
        .limit(_LOOKED_THROUGH)
        .subquery()
    )
    failed = (
        select(newest)
        .where(newest.c.release_id == release.id, newest.c.stage == release.position)
        .where(newest.c.outcome.in_(ARM_FAILURES | UNUSABLE), newest.c.arm.in_(["candidate", "shadow"]))
        .order_by(newest.c.started_at.desc())
        .limit(_FAILURES)
    )
    return [
        Failure(
            *(row.request_id, row.started_at, row.arm, row.status, row.outcome, row.latency_ms, row.attempts),
            *(row.finish_reason, row.resolved_model),
        )
        for row in session.execute(failed)
    ]


def votes(session: Session, release_id: str) -> Sequence[VoteRow]:
    """What people decided about a release, or tried to; the newest 50, oldest first."""
    found = select_rows(VoteRow).where(VoteRow.release_id == release_id).order_by(col(VoteRow.id).desc()).limit(50)
    return list(reversed(session.exec(found).all()))


def kinds_of(session: Session, view: ReleaseView) -> list[IncidentKind]:
    """The kinds of incidents of a release, and of the gates that stopped it before there could be any."""
    rows = select_rows(IncidentRow.kind).where(IncidentRow.release_id == view.release.id).distinct().limit(50)
    judged = [Metric.named(verdict.gate) for verdict in deciding_verdicts(view)]
    failed = [IncidentKind.of_metric(metric) for metric in judged if metric is not None]
    return list(dict.fromkeys([*(IncidentKind(kind) for kind in session.exec(rows)), *failed]))
