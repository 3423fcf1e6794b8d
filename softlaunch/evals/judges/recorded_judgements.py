"""Judgements in the ledger: of an eval's answers, and of people's labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from softlaunch.evals.calls.answers import CallKey, EvalArm
from softlaunch.evals.judges.calibration import Calibration
from softlaunch.evals.judges.judgements import JudgementKey
from softlaunch.evals.judges.labels import Kind
from softlaunch.metrics import Score, Spent
from softlaunch.store.database import Database
from softlaunch.store.tables import CalibrationRow, JudgementRow


@dataclass(frozen=True, slots=True)
class KnownCalibration:
    """The newest calibration of a panel for one kind of label."""

    items: int
    agreement: float
    kappa: float | None
    kappa_lower: float | None
    kappa_upper: float | None
    calibrated_at: datetime


def add_judgements(database: Database, run_id: str, judgements: Sequence[tuple[JudgementKey, Score]]) -> None:
    """Write judgements in one transaction; one that is there already stays as it is."""
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    rows = [_row(run_id, key, score) for key, score in judgements]
    if rows:
        with database.begin() as session:
            session.connection().execute(insert(JudgementRow).on_conflict_do_nothing(), rows)


def read_judgements(session: Session, run_id: str) -> dict[JudgementKey, Score]:
    """Every judgement of a run."""
    rows = session.exec(select(JudgementRow).where(JudgementRow.run_id == run_id))
    return {
        JudgementKey(row.metric, CallKey(EvalArm(row.arm), row.case_id, row.repeat)): Score(
            row.value, row.reason, Spent(row.calls, row.cost_usd)
        )
        for row in rows
    }


def record_calibration(
    session: Session, panel_digest: str, labels_digest: str, found: Calibration, actor: str, now: datetime
) -> None:
    """Keep a calibration; from now on it is the one that counts for this panel and kind."""
    kappa = found.agreement.kappa
    session.add(
        CalibrationRow(
            panel_digest=panel_digest,
            kind=found.kind.value,
            labels_digest=labels_digest,
            items=found.agreement.items,
            unreadable=found.agreement.unreadable,
            agreement=found.agreement.agreement.value,
            kappa=kappa.value if kappa else None,
            kappa_lower=kappa.lower if kappa else None,
            kappa_upper=kappa.upper if kappa else None,
            calibrated_at=now,
            calibrated_by=actor,
        )
    )


def newest_calibration(session: Session, panel_digest: str, kind: Kind) -> KnownCalibration | None:
    """How a panel fared against people the last time; None where nobody has looked."""
    row = session.exec(
        select(CalibrationRow)
        .where(CalibrationRow.panel_digest == panel_digest, CalibrationRow.kind == kind.value)
        .order_by(col(CalibrationRow.id).desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    return KnownCalibration(row.items, row.agreement, row.kappa, row.kappa_lower, row.kappa_upper, row.calibrated_at)


def _row(run_id: str, key: JudgementKey, score: Score) -> dict[str, object]:
    return {
        "run_id": run_id,
        "metric": key.metric,
        "arm": key.answer.arm.value,
        "case_id": key.answer.case_id,
        "repeat": key.answer.repeat,
        "value": score.value,
        "reason": score.reason.replace("\0", "\ufffd"),  # PostgreSQL takes no NUL
        "calls": score.spent.calls,
        "cost_usd": score.spent.cost_usd,
    }
