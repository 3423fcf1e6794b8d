"""Answers of a live release that are drawn at random for people to label, and what these say of them.

Both arms' answers are drawn from the same time, as many of each, and each answer of an arm with the same probability:
labels of them are a sample of what users got, which those of answers that somebody picked are not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select
from sqlmodel import Session, col

from softlaunch.core.errors import SoftlaunchError
from softlaunch.ledger.logged import Logged
from softlaunch.ledger.releases import find_live
from softlaunch.policy.route import Arm
from softlaunch.store.tables import RequestRow, ReviewDrawRow, ScoreRow, TextRow

REVIEWED = "review"
"""The source of people's labels of answers that were drawn at random."""
_ARMS = (Arm.CANDIDATE, Arm.STABLE)


class DrawError(SoftlaunchError):
    """Nothing can be drawn; the message says why."""


@dataclass(frozen=True, slots=True)
class Draw:
    """How many answers are to be labelled, half from each arm, as values of which metric; when, and who asks."""

    metric: str
    count: int
    drawn_at: float
    drawn_by: str


@dataclass(frozen=True, slots=True)
class DrawnAnswer:
    """An answer to label, without a word on its arm. `left` counts it and those after it."""

    id: int
    question: str
    answer: str
    left: int


@dataclass(frozen=True, slots=True)
class LabelledAnswer:
    """A label with how its answer was drawn."""

    request_id: str
    question: str
    answer: str
    value: float
    probability: float
    labelled_by: str


def draw(session: Session, app: str, asked: Draw, rng: np.random.Generator) -> int:
    """Draw answers of the stage in force, as many from each arm, among those kept since the last draw.

    Fewer where one arm has fewer. Returns how many were drawn. Raises DrawError where there is nothing to draw from.
    """
    release = find_live(session, app)
    if release is None:
        raise DrawError(f"{app} has no live release, so that there are no two arms to draw from")
    stage = (release.id, release.stage)
    since = _last_draw(session, asked.metric, *stage) or Logged.of(release).since
    kept = {arm: _kept(session, arm, since, *stage) for arm in _ARMS}
    each = min(asked.count // 2, *(len(ids) for ids in kept.values()))
    if not each:
        few = " and ".join(arm for arm, ids in kept.items() if not ids)
        raise DrawError(
            f"no text of an answer of {few} was kept in this stage since the last draw; let the policy keep texts, and "
            "wait until there are some"
        )
    rows = [
        {"request_id": ids[place], "arm": arm, "probability": each / len(ids)}
        for arm, ids in kept.items()
        for place in rng.choice(len(ids), each, replace=False).tolist()
    ]
    for place, row in zip(rng.permutation(len(rows)).tolist(), rows, strict=True):
        about = {"app": app, "release_id": stage[0], "stage": stage[1], "place": place}
        who = {"metric": asked.metric, "drawn_at": asked.drawn_at, "drawn_by": asked.drawn_by}
        session.add(ReviewDrawRow.model_validate({**row, **about, **who}))
    return len(rows)


def _last_draw(session: Session, metric: str, release_id: str, stage: int) -> float:
    drawn = select(func.max(ReviewDrawRow.drawn_at)).where(
        col(ReviewDrawRow.release_id) == release_id,
        col(ReviewDrawRow.stage) == stage,
        col(ReviewDrawRow.metric) == metric,
    )
    return float(session.execute(drawn).scalar() or 0.0)


def _kept(session: Session, arm: Arm, since: float, release_id: str, stage: int) -> Sequence[str]:
    """The answers of an arm that users saw from a moment on and whose texts are kept, in order."""
    kept = (
        select(col(RequestRow.request_id))
        .join(TextRow, (col(TextRow.request_id) == col(RequestRow.request_id)) & (col(TextRow.arm) == arm.value))
        .where(col(RequestRow.release_id) == release_id, col(RequestRow.stage) == stage)
        .where(col(RequestRow.arm) == arm, col(RequestRow.fell_back).is_(False), col(RequestRow.started_at) >= since)
        .order_by(col(RequestRow.id))
    )
    return session.scalars(kept).all()


def next_answer(session: Session, app: str, metric: str) -> DrawnAnswer | None:
    """The next answer to label, in the random order of each draw; None when all are labelled, or their texts gone."""
    waiting = (
        select(col(ReviewDrawRow.id), col(TextRow.question), col(TextRow.answer))
        .join(TextRow, col(TextRow.request_id) == col(ReviewDrawRow.request_id))
        .where(col(TextRow.arm) == col(ReviewDrawRow.arm), col(ReviewDrawRow.app) == app)
        .where(col(ReviewDrawRow.metric) == metric, col(ReviewDrawRow.value).is_(None))
        .order_by(col(ReviewDrawRow.drawn_at), col(ReviewDrawRow.place))
    )
    rows = session.execute(waiting).all()
    return DrawnAnswer(rows[0].id, rows[0].question, rows[0].answer, len(rows)) if rows else None


def put_value(session: Session, app: str, drawn_id: int, value: float, now: float, labelled_by: str) -> bool:
    """Keep a label, and let it count as a value of its metric; False where it was labelled already or isn't there."""
    row = session.get(ReviewDrawRow, drawn_id)
    if row is None or row.app != app or row.value is not None:
        return False
    row.value, row.labelled_at, row.labelled_by = value, now, labelled_by
    session.add(row)
    said = {"request_id": row.request_id, "app": row.app, "metric": row.metric, "value": value}
    session.add(ScoreRow.model_validate({**said, "source": REVIEWED, "received_at": now}))
    return True


def labelled(session: Session, app: str, metric: str) -> Sequence[LabelledAnswer]:
    """All labels of an app's answers that were drawn and whose texts are still kept, in the order of their drawing."""
    rows = session.execute(
        select(ReviewDrawRow, col(TextRow.question), col(TextRow.answer))
        .join(TextRow, col(TextRow.request_id) == col(ReviewDrawRow.request_id))
        .where(col(TextRow.arm) == col(ReviewDrawRow.arm), col(ReviewDrawRow.app) == app)
        .where(col(ReviewDrawRow.metric) == metric, col(ReviewDrawRow.value).is_not(None))
        .order_by(col(ReviewDrawRow.id))
    )
    return [
        LabelledAnswer(row.request_id, question, answer, row.value or 0.0, row.probability, row.labelled_by or "")
        for row, question, answer in rows
    ]
