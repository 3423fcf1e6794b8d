"""Evals: runs in a list, one of them, and the verdicts that releases recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col
from sqlmodel import select as select_rows

from softlaunch.core.errors import NotFoundError
from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.ledger.stages import verdict_of
from softlaunch.policy.release import StageKind
from softlaunch.store.tables import DriftRunRow, EvalLabelRow, EvalRunRow, StageRow, VariantRow, VerdictRow

PAGE = 20
_MOST_LABELS = 10_000


@dataclass(frozen=True, slots=True)
class EvalLine:
    """A run with its variants; a variant's label is None where it isn't recorded any more."""

    id: str
    app: str
    release_id: str | None
    started_at: datetime
    stable_digest: str
    candidate_digest: str
    stable: str | None
    candidate: str | None

    @property
    def is_of_itself(self) -> bool:
        """Whether what serves was compared with itself (A/A)."""
        return self.stable_digest == self.candidate_digest


_STABLE, _CANDIDATE = aliased(VariantRow), aliased(VariantRow)
_OF_LINE: list[Any] = [
    *(EvalRunRow.id, EvalRunRow.app, EvalRunRow.release_id, EvalRunRow.started_at),
    *(EvalRunRow.stable_digest, EvalRunRow.candidate_digest, _STABLE.label, _CANDIDATE.label),
]


def list_evals(session: Session, app: str | None, page: int) -> tuple[list[EvalLine], bool]:
    """One page of evals, newest first, and whether there are more. Drift checks have pages of their own."""
    found = _lines().where(~select(col(DriftRunRow.id)).where(col(DriftRunRow.id) == col(EvalRunRow.id)).exists())
    found = found if app is None else found.where(col(EvalRunRow.app) == app)
    order = (col(EvalRunRow.started_at).desc(), col(EvalRunRow.id).desc())
    rows = session.execute(found.order_by(*order).offset((page - 1) * PAGE).limit(PAGE + 1)).all()
    return [EvalLine(*row) for row in rows[:PAGE]], len(rows) > PAGE


def read_eval(session: Session, run_id: str) -> EvalLine:
    """One run. Raises NotFoundError."""
    row = session.execute(_lines().where(col(EvalRunRow.id) == run_id)).first()
    if row is None:
        raise NotFoundError(f"no eval {run_id!r} is recorded; see the list of evals")
    return EvalLine(*row)


def recorded_verdicts(session: Session, release_ids: Sequence[str]) -> dict[str, list[Verdict]]:
    """The last verdict of each gate of the evals of these releases, by release."""
    kept = (
        select_rows(VerdictRow)
        .join(
            StageRow,
            (col(StageRow.release_id) == VerdictRow.release_id) & (col(StageRow.position) == VerdictRow.position),
        )
        .where(col(VerdictRow.release_id).in_(release_ids), StageRow.kind == StageKind.EVAL)
        .order_by(col(VerdictRow.id))
    )
    found: dict[str, dict[str, Verdict]] = {}
    for row in session.exec(kept):
        verdict = verdict_of(row.figures, row.gate, Outcome(row.outcome), row.reason, Role(row.role))
        found.setdefault(row.release_id, {})[row.gate] = verdict
    return {release_id: list(verdicts.values()) for release_id, verdicts in found.items()}


def voters(session: Session, run_id: str) -> dict[str, int]:
    """Who has voted on a run's answers, and on how many cases."""
    votes = select(col(EvalLabelRow.labelled_by)).where(col(EvalLabelRow.run_id) == run_id).limit(_MOST_LABELS)
    found: dict[str, int] = {}
    for name in session.execute(votes).scalars():
        found[name] = found.get(name, 0) + 1
    return found


def _lines() -> Any:
    return (
        select(*_OF_LINE)
        .outerjoin(_STABLE, col(_STABLE.digest) == col(EvalRunRow.stable_digest))
        .outerjoin(_CANDIDATE, col(_CANDIDATE.digest) == col(EvalRunRow.candidate_digest))
    )
