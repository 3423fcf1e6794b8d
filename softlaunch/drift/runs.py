"""Drift checks and their baselines in the ledger: a run is opened once and concluded once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from softlaunch.core.errors import NotFoundError
from softlaunch.store.tables import DriftRunRow


class RunKind(StrEnum):
    """A baseline is what later checks compare with."""

    BASELINE = "baseline"
    CHECK = "check"


class RunState(StrEnum):
    """Where a run is in its life; `abandoned` is one whose golden set or variant changed under it."""

    RUNNING = "running"
    DONE = "done"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class DriftRun:
    """A run as the ledger holds it; `report` is empty until it is done."""

    id: str
    app: str
    kind: RunKind
    state: RunState
    baseline_id: str | None
    variant_digest: str
    suite_digest: str
    opened_at: datetime
    ended_at: datetime | None
    summary: str
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunSubject:
    """What a run asks: an app's variant, by its digest, on a golden set, by its digest."""

    app: str
    kind: RunKind
    variant_digest: str
    suite_digest: str


def open_run(
    session: Session, subject: RunSubject, opened_by: str, now: datetime, baseline_id: str | None = None
) -> DriftRun:
    """The app's unfinished run of this kind on the same variant and golden set, else a new one.

    An unfinished run on others is abandoned.
    """
    app, kind = subject.app, subject.kind
    variant, suite = subject.variant_digest, subject.suite_digest
    held = session.exec(select(DriftRunRow).where(DriftRunRow.running_app == app).with_for_update()).one_or_none()
    if held is not None:
        if (held.kind, held.variant_digest, held.suite_digest) == (kind, variant, suite):
            return to_run(held)
        held.running_app, held.state, held.ended_at = None, RunState.ABANDONED, now
        held.summary = "something else was begun before it was finished"
        session.flush()
    newest = session.exec(select(func.max(DriftRunRow.number)).where(DriftRunRow.app == app)).one() or 0
    row = DriftRunRow(
        id=f"{app}-drift-{newest + 1}",
        app=app,
        number=newest + 1,
        kind=kind,
        running_app=app,
        state=RunState.RUNNING,
        baseline_id=baseline_id,
        variant_digest=variant,
        suite_digest=suite,
        opened_at=now,
        opened_by=opened_by,
        report={},
    )
    session.add(row)
    session.flush()
    return to_run(row)


def conclude_run(session: Session, run_id: str, summary: str, report: Mapping[str, Any], now: datetime) -> bool:
    """Write what a run came to; returns False when somebody else has done so already."""
    done = session.execute(
        update(DriftRunRow)
        .where(col(DriftRunRow.id) == run_id, col(DriftRunRow.state) == RunState.RUNNING)
        .values(state=RunState.DONE, running_app=None, summary=summary, report=dict(report), ended_at=now)
        .returning(col(DriftRunRow.id))
    ).scalar_one_or_none()
    return done is not None


def find_baseline(session: Session, app: str) -> DriftRun | None:
    """The app's newest finished baseline."""
    return _newest(session, app, RunKind.BASELINE)


def latest_check(session: Session, app: str) -> DriftRun:
    """The app's newest finished check. Raises NotFoundError without one."""
    found = _newest(session, app, RunKind.CHECK)
    if found is None:
        raise NotFoundError(f"{app} has no finished drift check; run 'softlaunch drift check {app}'")
    return found


def read_run(session: Session, run_id: str) -> DriftRun:
    """A run by its id."""
    return to_run(session.get_one(DriftRunRow, run_id, populate_existing=True))


def _newest(session: Session, app: str, kind: RunKind) -> DriftRun | None:
    found = select(DriftRunRow).where(
        DriftRunRow.app == app, DriftRunRow.kind == kind, DriftRunRow.state == RunState.DONE
    )
    row = session.exec(found.order_by(col(DriftRunRow.number).desc()).limit(1)).one_or_none()
    return None if row is None else to_run(row)


def to_run(row: DriftRunRow) -> DriftRun:
    """The frozen value of a row."""
    return DriftRun(
        id=row.id,
        app=row.app,
        kind=RunKind(row.kind),
        state=RunState(row.state),
        baseline_id=row.baseline_id,
        variant_digest=row.variant_digest,
        suite_digest=row.suite_digest,
        opened_at=row.opened_at,
        ended_at=row.ended_at,
        summary=row.summary,
        report=dict(row.report),
    )
