"""How steady each case of a golden set is, over the evals of an app: always right, always wrong, or flickering.

What is counted is what stable answered in each eval, scored by the case's own metrics as far as no judge is asked.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlmodel import Session, col, select

from softlaunch.evals.calls.answers import EvalArm, Status
from softlaunch.evals.suites.case import Case
from softlaunch.metrics import ACCURACY
from softlaunch.store.tables import EvalAnswerRow, EvalRunRow

RUNS = 20
"""So many evals are looked back at."""
_SAME = 1e-9


class Stability(StrEnum):
    """What the answers to a case were worth."""

    RIGHT = "always right"
    WRONG = "always wrong"
    STEADY = "always the same"
    FLICKERING = "flickering"
    UNKNOWN = "never asked"


@dataclass(frozen=True, slots=True)
class Tally:
    """One case in one eval: the sum of the scores of so many answers, and whether they differed."""

    scored: float
    of: int
    varied: bool

    @property
    def share(self) -> float:
        """The mean score."""
        return self.scored / self.of


@dataclass(frozen=True, slots=True)
class CaseHistory:
    """One case in all evals, the oldest first."""

    case_id: str
    evals: tuple[Tally, ...]

    @property
    def answers(self) -> int:
        """How many answers there are."""
        return sum(one.of for one in self.evals)

    @property
    def rate(self) -> float | None:
        """The mean score of all answers; None without any."""
        return sum(one.scored for one in self.evals) / self.answers if self.evals else None

    @property
    def stability(self) -> Stability:
        """What they were worth."""
        if self.rate is None:
            return Stability.UNKNOWN
        if any(one.varied or abs(one.share - self.rate) > _SAME for one in self.evals):
            return Stability.FLICKERING
        return Stability.RIGHT if self.rate == 1 else Stability.WRONG if self.rate == 0 else Stability.STEADY

    @property
    def slipping(self) -> bool:
        """Whether the later half of the evals is worth less than the earlier half, and the newest less than the first.

        No claim with an error rate: a case is asked too seldom for that.
        """
        half = len(self.evals) // 2
        if not half:
            return False
        earlier, later = (_mean(part) for part in (self.evals[:half], self.evals[-half:]))
        return later < earlier - _SAME and self.evals[-1].share < self.evals[0].share - _SAME


def histories(session: Session, app: str, cases: Sequence[Case], before_run: str | None = None) -> list[CaseHistory]:
    """Each case as it was answered in the newest evals of an app, those of drift checks among them.

    A case counts as another one where its text, metric or expectation has changed. `before_run` is left out.
    """
    newest = (
        select(EvalRunRow.id, EvalRunRow.started_at)
        .where(EvalRunRow.app == app, EvalRunRow.id != (before_run or ""))
        .order_by(col(EvalRunRow.started_at).desc())
        .limit(RUNS)
    )
    runs = [run_id for run_id, _ in session.exec(newest)][::-1]
    rows = session.exec(
        select(EvalAnswerRow.run_id, EvalAnswerRow.case_digest, EvalAnswerRow.scores).where(
            col(EvalAnswerRow.run_id).in_(runs),
            EvalAnswerRow.arm == EvalArm.STABLE.value,
            EvalAnswerRow.status == Status.SCORED.value,
            col(EvalAnswerRow.reused).is_(False),
        )
    )
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run_id, digest, scores in rows:
        if ACCURACY in scores:
            values[digest, run_id].append(scores[ACCURACY])
    return [CaseHistory(case.id, tuple(_tallies(values.get((case.digest, run), ()) for run in runs))) for case in cases]


def flickering(found: Iterable[CaseHistory]) -> frozenset[str]:
    """The ids of the cases that flicker."""
    return frozenset(one.case_id for one in found if one.stability is Stability.FLICKERING)


def _tallies(found: Iterable[Sequence[float]]) -> Iterable[Tally]:
    return (Tally(sum(one), len(one), max(one) - min(one) > _SAME) for one in found if one)


def _mean(tallies: Sequence[Tally]) -> float:
    return sum(one.scored for one in tallies) / sum(one.of for one in tallies)
