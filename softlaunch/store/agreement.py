"""How alike the answers of candidate and stable are: on copies of live requests, and how much stable varies anyway."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz import fuzz
from sqlmodel import Session, col, select

from softlaunch.evals.answers import EvalArm
from softlaunch.route import Arm
from softlaunch.store.tables import EvalAnswerRow, RequestRow, TextRow

_MOST_PAIRS = 2000


@dataclass(frozen=True, slots=True)
class Likeness:
    """The mean similarity of so many pairs of texts, in [0, 1], and its standard error."""

    mean: float
    error: float
    pairs: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Live: the copies' answers and those that users got. On the golden set: candidate with stable, stable with itself.

    Stable with itself is the noise floor: two answers of one variant to one question. None where nobody knows.
    """

    live: Likeness | None
    golden: Likeness | None
    floor: Likeness | None


def read_agreement(session: Session, release_id: str) -> Agreement:
    """What the kept texts of a release say; live texts are there only where the policy keeps them."""
    answers = {
        (arm, case_id, repeat): answer
        for arm, case_id, repeat, answer in session.exec(
            select(EvalAnswerRow.arm, EvalAnswerRow.case_id, EvalAnswerRow.repeat, EvalAnswerRow.answer).where(
                EvalAnswerRow.run_id == release_id, col(EvalAnswerRow.repeat) <= 1
            )
        )
        if answer is not None
    }
    first = {
        case_id: answer for (arm, case_id, repeat), answer in answers.items() if (arm, repeat) == (EvalArm.STABLE, 0)
    }

    def beside(arm: EvalArm, repeat: int) -> list[tuple[str, str]]:
        found = ((answer, answers.get((arm, case_id, repeat))) for case_id, answer in first.items())
        return [(one, other) for one, other in found if other is not None]

    golden, floor = beside(EvalArm.CANDIDATE, 0), beside(EvalArm.STABLE, 1)
    return Agreement(_likeness(_live_pairs(session, release_id)), _likeness(golden), _likeness(floor))


def _live_pairs(session: Session, release_id: str) -> Sequence[tuple[str, str]]:
    """Answers of stable and of the copy to the same request, the newest first."""
    copies = session.exec(
        select(TextRow.request_id, TextRow.answer)
        .join(RequestRow, col(RequestRow.request_id) == TextRow.request_id)
        .where(RequestRow.release_id == release_id, RequestRow.arm == Arm.SHADOW.value, TextRow.arm == Arm.SHADOW.value)
        .order_by(col(TextRow.expires_at).desc())
        .limit(_MOST_PAIRS)
    ).all()
    shown = session.exec(
        select(TextRow.request_id, TextRow.answer).where(
            TextRow.arm == Arm.STABLE.value, col(TextRow.request_id).in_([request_id for request_id, _ in copies])
        )
    )
    by_request = dict(shown.all())
    return [(by_request[request_id], answer) for request_id, answer in copies if request_id in by_request]


def _likeness(pairs: Iterable[tuple[str, str]]) -> Likeness | None:
    values = np.array([fuzz.ratio(one, other) / 100 for one, other in pairs])
    if not len(values):
        return None
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.5
    return Likeness(float(values.mean()), spread / float(np.sqrt(len(values))), len(values))
