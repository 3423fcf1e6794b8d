"""How similar the answers of candidate and stable are on the golden set, and how much stable varies anyway."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session, col, select

from softlaunch.evals.calls.answers import EvalArm
from softlaunch.shadow.similarity import Similarity, mean_similarity, text_similarity
from softlaunch.store.tables import EvalAnswerRow

_Answers = Mapping[tuple[str, str, int], str]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Similarity on the golden set: of candidate and stable, and of stable with itself. None where it is unknown.

    `self_similarity` is the noise floor: it compares two answers of stable to one question.
    """

    golden: Similarity | None
    self_similarity: Similarity | None


def read_agreement(session: Session, release_id: str) -> Agreement:
    """The agreement of a release's eval answers."""
    answers = _first_answers(session, release_id)
    golden, own = _beside(answers, EvalArm.CANDIDATE, 0), _beside(answers, EvalArm.STABLE, 1)
    return Agreement(mean_similarity(golden), mean_similarity(own))


def golden_self_similarity(session: Session, release_id: str) -> list[float]:
    """How similar stable's first two answers to each case of a release's eval are, in [0, 1]."""
    pairs = _beside(_first_answers(session, release_id), EvalArm.STABLE, 1)
    return [value for one, other in pairs if (value := text_similarity(one, other)) is not None]


def _first_answers(session: Session, release_id: str) -> _Answers:
    rows = session.exec(
        select(EvalAnswerRow.arm, EvalAnswerRow.case_id, EvalAnswerRow.repeat, EvalAnswerRow.answer).where(
            EvalAnswerRow.run_id == release_id, col(EvalAnswerRow.repeat) <= 1
        )
    )
    return {(arm, case_id, repeat): answer for arm, case_id, repeat, answer in rows if answer is not None}


def _beside(answers: _Answers, arm: EvalArm, repeat: int) -> list[tuple[str, str]]:
    """Stable's first answer to each case, and another one to the same case."""
    first = {case: answer for (own, case, number), answer in answers.items() if (own, number) == (EvalArm.STABLE, 0)}
    found = ((answer, answers.get((arm, case, repeat))) for case, answer in first.items())
    return [(one, other) for one, other in found if other is not None]
