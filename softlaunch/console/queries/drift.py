"""Drift: the newest check of every app, and what one app's checks found over the months."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from softlaunch.catalog.records import check_app
from softlaunch.console.queries.overview import Drift, newest_checks
from softlaunch.core.errors import NotFoundError
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.ledger.incidents import Recorded, list_incidents
from softlaunch.policy.drift import DriftPolicy
from softlaunch.policy.model import Policy
from softlaunch.store.tables import AppRow, DriftRunRow

PAGE = 50
_CHECKS = 60
_INCIDENTS = 20
_KINDS = (IncidentKind.PROMPT_DRIFT, IncidentKind.FLOATING_MODEL_CHANGED, IncidentKind.GOLDEN_SET_STALE)


@dataclass(frozen=True, slots=True)
class AppDrift:
    """What is known of an app's drift: its newest runs, newest first, and incidents that are about it."""

    policy: DriftPolicy
    runs: Sequence[DriftRunRow]
    incidents: Sequence[Recorded]

    @property
    def checks(self) -> list[DriftRunRow]:
        """The finished checks, oldest first."""
        return [run for run in reversed(self.runs) if run.kind == "check" and run.state == "done"]


def list_drift(session: Session, named: str, page: int) -> tuple[list[tuple[str, Drift | None]], bool]:
    """One page of apps whose names begin so, by name, each with its newest finished check; and whether more follow."""
    names = select(AppRow.name).where(col(AppRow.name).startswith(named, autoescape=True)).order_by(AppRow.name)
    found = session.exec(names.offset((page - 1) * PAGE).limit(PAGE + 1)).all()
    checks = newest_checks(session, found[:PAGE])
    return [(name, checks.get(name)) for name in found[:PAGE]], len(found) > PAGE


def read_drift(session: Session, app: str) -> AppDrift:
    """An app's newest 60 runs and 20 incidents. Raises NotFoundError."""
    policy = Policy.model_validate(check_app(session, app).policy)
    runs = select(DriftRunRow).where(DriftRunRow.app == app).order_by(col(DriftRunRow.number).desc()).limit(_CHECKS)
    incidents = list_incidents(session, app, _INCIDENTS, resolved=True, kinds=_KINDS)
    return AppDrift(policy.drift, session.exec(runs).all(), incidents)


def read_check(session: Session, check_id: str) -> DriftRunRow:
    """A finished check. Raises NotFoundError."""
    row = session.get(DriftRunRow, check_id)
    if row is None or row.kind != "check" or row.state != "done":
        raise NotFoundError(f"no finished drift check {check_id!r} is recorded; see the app's page of drift")
    return row
