"""What a golden set can show, and what an eval on it will cost, before any call is made.

Two numbers describe a golden set. A candidate that has changed nothing is shown to be *within* so many points of stable
in four of five evals: no smaller tolerance can be shown to hold. And a candidate *fails* in four of five evals where it
loses so many: that is the tolerance and as much again as chance makes of no difference.

How much answers vary is taken from earlier evals, as far as there are any: the variance of a case's harm is that
between cases, and what repeats of the same case add, which further repeats make smaller. Else it is assumed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special
from sqlalchemy import func
from sqlmodel import Session, col, select

from softlaunch.evals.calls.answers import EvalArm, Status
from softlaunch.evals.sequential.spending import plan_looks, stopping
from softlaunch.evals.statistics.multiplicity import Levels, level_of_a_look
from softlaunch.evals.statistics.paired import POWER, Floats
from softlaunch.evals.suites.case import Case
from softlaunch.metrics import ACCURACY
from softlaunch.policy.evals import EvalPolicy
from softlaunch.store.tables import EvalAnswerRow, EvalRunRow

_RUNS = 5
_FEW = 10  # cases, below which an earlier eval says too little about how much they vary


@dataclass(frozen=True, slots=True)
class Variation:
    """The variance of the harm of a case: between cases, and within one from repeat to repeat; and what a call costs.

    `source` says in words where it is from.
    """

    between: float
    within: float
    source: str
    cost_usd: float | None = None


ASSUMED = Variation(0.05, 0.05, "it is assumed that one answer in ten differs between the arms, half of them by chance")


@dataclass(frozen=True, slots=True)
class Foresight:
    """What a golden set can show under a policy. Weighted cases count as fewer (Kish)."""

    cases: int
    effective: float
    policy: EvalPolicy
    variation: Variation

    @classmethod
    def of(cls, cases: Sequence[Case], policy: EvalPolicy, variation: Variation = ASSUMED) -> "Foresight":
        """Of a golden set's cases."""
        weights = np.array([case.weight for case in cases])
        return cls(len(cases), float(weights.sum() ** 2 / (weights**2).sum()), policy, variation)

    @property
    def tolerance(self) -> float:
        """How much worse the policy accepts."""
        return self.policy.tolerance.value

    def levels(self, repeats: int) -> Levels:
        """Of the claims once so many repeats are there."""
        share = self.policy.repeats / self.policy.maximum_repeats
        if not self.policy.early_stop:
            level = level_of_a_look(1 - self.policy.confidence, share)
            return Levels(level, level)
        plan = plan_looks(1 - self.policy.confidence, share)
        return plan.levels[-1] if repeats >= self.policy.maximum_repeats else plan.levels[plan.stage_looks - 1]

    def within(self, repeats: int) -> float:
        """The tolerance that an equal candidate is shown to keep in four of five evals."""
        level = self.levels(repeats).passing
        return max(_distance(level) * self._error(repeats), float(1 - level ** (1 / self.effective)))

    def fails(self, repeats: int) -> float:
        """The loss that fails in four of five evals."""
        return self.tolerance + _distance(self.levels(repeats).failing) * self._error(repeats)

    def cases_needed(self, repeats: int) -> int:
        """How many cases would show the tolerance."""
        level = self.levels(repeats).passing
        by_variance = (_distance(level) / self.tolerance) ** 2 * self._variance(repeats) if self.tolerance else np.inf
        by_count = np.log(level) / np.log1p(-self.tolerance) if self.tolerance else np.inf
        needed = max(by_variance, by_count) * self.cases / self.effective
        return int(np.ceil(needed)) if np.isfinite(needed) else 0

    @property
    def suffices(self) -> bool:
        """Whether the tolerance can be shown to be kept, at most with all repeats."""
        return self.within(self.policy.maximum_repeats) <= self.tolerance

    def decided(self, loss: float) -> tuple[float, float, float]:
        """For a true loss: how probable it is to pass and to fail, and the expected number of calls.

        By normal limits at the planned looks; what bets find earlier is left out, which costs less and fails more.
        """
        policy, most = self.policy, self.policy.maximum_repeats
        drift = (self.tolerance - loss) / self._error(most)
        if not policy.early_stop:
            level = self.levels(most).passing
            first, last = (_surely(self, loss, repeats, level) for repeats in (policy.repeats, most))
            undecided = 1 - first[0] - first[1]
            return *last, 2 * self.cases * (policy.repeats + undecided * (most - policy.repeats))
        plan = plan_looks(1 - policy.confidence, policy.repeats / most)
        passing, failing = (stopping(plan, claim, way * drift) for claim, way in (("passing", 1), ("failing", -1)))
        times = np.append(plan.times, 1.0)
        ends = np.append(passing + failing, max(0.0, 1 - passing.sum() - failing.sum()))
        share = float((ends * times).sum() / ends.sum())
        return float(passing.sum()), float(failing.sum()), share * 2 * self.cases * most

    def _variance(self, repeats: int) -> float:
        return self.variation.between + self.variation.within / repeats

    def _error(self, repeats: int) -> float:
        return max(float(np.sqrt(self._variance(repeats) / self.effective)), 1e-6)


def measured_variation(session: Session, app: str, cases: Sequence[Case]) -> Variation:
    """How much the cases varied in the newest evals of an app that asked both arms, and what their calls cost.

    What no earlier eval shows is assumed.
    """
    newest = select(EvalRunRow.id).where(EvalRunRow.app == app).order_by(col(EvalRunRow.started_at).desc()).limit(20)
    digests, runs = {case.digest for case in cases}, list(session.exec(newest))
    rows = session.exec(
        select(
            EvalAnswerRow.run_id,
            EvalAnswerRow.case_digest,
            EvalAnswerRow.arm,
            EvalAnswerRow.scores,
        ).where(col(EvalAnswerRow.run_id).in_(runs), EvalAnswerRow.status == Status.SCORED.value)
    )
    values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for run, digest, arm, scores in rows:
        if digest in digests and ACCURACY in scores:
            values[run][digest][arm].append(scores[ACCURACY])
    both = [_parts(values[run]) for run in runs if run in values]
    found = np.array([one for one in both if one is not None][:_RUNS])
    cost_usd = session.exec(select(func.avg(EvalAnswerRow.cost_usd)).where(col(EvalAnswerRow.run_id).in_(runs))).one()
    if not len(found):
        return Variation(ASSUMED.between, ASSUMED.within, ASSUMED.source, cost_usd)
    between, within = found.mean(axis=0)
    times = f"{len(found)} earlier eval{'' if len(found) == 1 else 's'}"
    return Variation(float(between), float(within), f"as much as in {times}", cost_usd)


def _parts(by_case: dict[str, dict[str, list[float]]]) -> tuple[float, float] | None:
    """The variance of harm between cases, and within them for a single repeat; None where too few have both arms."""
    arms = EvalArm.STABLE.value, EvalArm.CANDIDATE.value
    own = [[case[arm] for arm in arms] for case in by_case.values() if all(case.get(arm) for arm in arms)]
    if len(own) < _FEW:
        return None
    harms: Floats = np.array([np.mean(stable) - np.mean(candidate) for stable, candidate in own])
    repeated = [np.var(values, ddof=1) for pair in own for values in pair if len(values) > 1]
    within = 2 * float(np.mean(repeated)) if repeated else 0.0
    repeats = np.mean([len(values) for pair in own for values in pair])
    return max(0.0, float(np.var(harms, ddof=1)) - within / float(repeats)), within


def _distance(level: float) -> float:
    """Standard errors between what is true and what is shown with 80 % power."""
    return float(special.ndtri(POWER) - special.ndtri(level))


def _surely(foresight: Foresight, loss: float, repeats: int, level: float) -> tuple[float, float]:
    distance = (foresight.tolerance - loss) / foresight._error(repeats)
    bound = float(special.ndtri(level))
    return float(special.ndtr(distance + bound)), float(special.ndtr(-distance + bound))
