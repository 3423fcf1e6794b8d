"""People's votes on the answers of evals: one vote a person and case, the newest one counts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session, col, select

from softlaunch.store.tables import EvalLabelRow


class Vote(StrEnum):
    """Which of the two answers is better."""

    STABLE = "stable"
    CANDIDATE = "candidate"
    TIE = "tie"


@dataclass(frozen=True, slots=True)
class EvalLabel:
    """A person's vote on one case of a run, with the texts as they were shown."""

    run_id: str
    app: str
    case_id: str
    vote: Vote
    question: str
    reference: str
    stable_answer: str
    candidate_answer: str
    labelled_by: str
    note: str = ""


def put_label(session: Session, label: EvalLabel, now: datetime) -> None:
    """Keep a vote in the place of the same person's earlier one on the same case."""
    remove_label(session, label.run_id, label.case_id, label.labelled_by)
    session.flush()
    session.add(EvalLabelRow.model_validate({**asdict(label), "vote": label.vote.value, "labelled_at": now}))


def remove_label(session: Session, run_id: str, case_id: str, labelled_by: str) -> None:
    """Take a person's vote back; without one nothing happens."""
    for row in session.exec(
        select(EvalLabelRow).where(
            EvalLabelRow.run_id == run_id,
            EvalLabelRow.case_id == case_id,
            EvalLabelRow.labelled_by == labelled_by,
        )
    ):
        session.delete(row)


def read_labels(session: Session, app: str, run_id: str | None = None) -> Sequence[EvalLabel]:
    """The votes on an app's evals, or on one run, in the order in which they were given."""
    wanted = select(EvalLabelRow).where(EvalLabelRow.app == app).order_by(col(EvalLabelRow.id))
    if run_id is not None:
        wanted = wanted.where(EvalLabelRow.run_id == run_id)
    return [
        EvalLabel(**{**{one.name: getattr(row, one.name) for one in fields(EvalLabel)}, "vote": Vote(row.vote)})
        for row in session.exec(wanted)
    ]
