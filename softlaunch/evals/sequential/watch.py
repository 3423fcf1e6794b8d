"""Watching the answers of an eval as they come in: whether its verdict is known, by which procedure, and what it says.

What is decided depends on nothing but the recorded answers in the order that was drawn, never on which came first, so
that an eval that was killed decides the same when it is started again. Bets are looked at after every case of the
first repeat; a look sees the pairs that were planned for it, and no others.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.sequential.bets import Bets
from softlaunch.evals.sequential.order import Pair, Schedule
from softlaunch.evals.sequential.spending import LOOKS, Plan, plan_looks
from softlaunch.evals.statistics.amounts import AmountEstimate
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.statistics.multiplicity import Levels
from softlaunch.evals.statistics.pairs import PairedMetric
from softlaunch.evals.statistics.report import EvalReport, MetricPlan
from softlaunch.evals.statistics.rows import arm_totals, by_case, case_row, value_of
from softlaunch.evals.statistics.unscored import GATE as UNSCORED
from softlaunch.evals.suites.case import Case
from softlaunch.policy.evals import EvalPolicy

GATE = "early stop"
UNSCORED_SHARE = 0.1
"""What bets on calls without a score have of the level of all bets; metrics share the rest."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What an eval compares, in which order, and by which metrics. The policy names all critical segments."""

    cases: Sequence[Case]
    schedule: Schedule
    policy: EvalPolicy
    plans: Sequence[MetricPlan]

    @property
    def plan(self) -> Plan:
        """The looks and their levels."""
        return plan_looks(1 - self.policy.confidence, self.policy.repeats / self.policy.maximum_repeats)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why an eval needs no more calls, and after how many pairs of calls that was known; `look` counts from 1."""

    pairs: int
    look: int | None
    why: str


class Watch:
    """Holds the scored answers of one run; may be told of them by several threads."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._cases = {case.id: case for case in watched.cases}
        self._answers: dict[CallKey, EvalAnswer] = {}
        self._complete = 0
        self._looked = 0
        self._lock = threading.Lock()
        self.stop: Stop | None = None
        """Why the verdict is known; None while it isn't."""

    @property
    def known(self) -> frozenset[CallKey]:
        """The calls whose answers it was told."""
        with self._lock:
            return frozenset(self._answers)

    @property
    def answers(self) -> tuple[EvalAnswer, ...]:
        """Everything that it was told."""
        with self._lock:
            return tuple(self._answers.values())

    def note(self, answers: Iterable[EvalAnswer]) -> None:
        """Take in scored answers; an answer that is known already changes nothing."""
        with self._lock:
            for answer in answers:
                self._answers.setdefault(answer.key, answer)
            before, pairs = self._complete, self._watched.schedule.pairs
            while self._complete < len(pairs) and all(key in self._answers for key in _keys(pairs[self._complete])):
                self._complete += 1
            if self.stop is None and self._complete > before:
                self.stop = self._decide()

    def report(self) -> EvalReport:
        """What is known where a stop was decided: estimate and bounds are those of the procedure that stopped."""
        with self._lock:
            assert self.stop is not None  # noqa: S101  (who asks has looked)
            every = list(self._answers.values())
            plan = self._watched.plan
            if self.stop.look is None:
                found = self._by_bets(plan.bet_level)
            else:
                found = self._at_look(self.stop.pairs, plan.levels[self.stop.look - 1])
        planned = 2 * len(self._watched.schedule.pairs)
        saved = f"{len(every):,} of {planned:,} calls were made, {max(0, planned - len(every)):,} saved"
        under_way = len(every) - 2 * self.stop.pairs
        more = f"; {under_way:,} of them were under way and are among the answers" if under_way > 0 else ""
        found = found.with_verdict(Verdict(GATE, Outcome.PASS, f"{self.stop.why}: {saved}{more}", role=Role.MUTED))
        return _with_everything(found, self._watched, every)

    def levels_so_far(self) -> Levels:
        """The levels of the last look that was reached; those of the first one before that."""
        return self._watched.plan.levels[max(0, self._looked - 1)]

    def _decide(self) -> Stop | None:
        bet = self._first_bet()
        looks, plan = self._watched.schedule.looks, self._watched.plan
        for number in range(self._looked, LOOKS - 1):  # the last one sees everything, and decides as an eval's end
            if looks[number] > self._complete or (bet is not None and bet.pairs <= looks[number]):
                break
            self._looked = number + 1
            report = self._at_look(looks[number], plan.levels[number])
            if report.outcome is Outcome.PASS and self._has_seen_critical(looks[number]):
                return Stop(looks[number], number + 1, f"shown to be good enough at look {number + 1} of {LOOKS}")
            if _shows_harm(report):
                return Stop(looks[number], number + 1, f"shown to be worse at look {number + 1} of {LOOKS}")
        return bet

    def _at_look(self, pairs: int, levels: Levels) -> EvalReport:
        seen = self._watched.schedule.pairs[:pairs]
        cases = [self._cases[case_id] for case_id in dict.fromkeys(pair.case_id for pair in seen)]
        answers = [self._answers[key] for pair in seen for key in _keys(pair)]
        return compare(cases, answers, self._watched.policy, level=levels, metrics=self._watched.plans)

    def _has_seen_critical(self, pairs: int) -> bool:
        """Whether every case of every critical segment was asked."""
        critical = set(self._watched.policy.segments)
        asked = {pair.case_id for pair in self._watched.schedule.pairs[:pairs]}
        return all(case.id in asked for case in self._watched.cases if critical.intersection(case.tags))

    def _first_bet(self) -> Stop | None:
        """Where the capital of a bet is first large enough; every metric, and calls without a score, has a part."""
        found = [
            (places[number - 1] + 1, name)
            for name, bets, places in self._all_bets()
            if (number := bets.crossing(self._bet_level(name))) is not None
        ]
        if not found:
            return None
        at, name = min(found)
        what = "the candidate's calls fail" if name == UNSCORED else f"{name} is worse by more than the tolerance"
        return Stop(at, None, f"bets on every case showed after {at:,} of them that {what}")

    def _bet_level(self, name: str) -> float:
        """The part of the bets' level that a claim has."""
        level = self._watched.plan.bet_level
        return UNSCORED_SHARE * level if name == UNSCORED else (1 - UNSCORED_SHARE) * level / len(self._watched.plans)

    def _by_bets(self, level: float) -> EvalReport:
        """Everything that was asked once, judged by bets."""
        found: Mapping[str, AmountEstimate] = {
            name: bets.estimate(Levels(level, self._bet_level(name)))
            for name, bets, _ in self._all_bets()
            if len(bets.shares)
        }
        pairs = self._asked_once()
        cases = [self._cases[pair.case_id] for pair in pairs]
        answers = [self._answers[key] for pair in pairs for key in _keys(pair)]

        def estimator(paired: PairedMetric, levels: Levels) -> AmountEstimate | None:
            return found.get(paired.plan.metric) or paired.between(levels)

        policy, plans = self._watched.policy, self._watched.plans
        return compare(cases, answers, policy, level=Levels(level, level), metrics=plans, estimator=estimator)

    def _asked_once(self) -> Sequence[Pair]:
        return self._watched.schedule.pairs[: min(self._complete, len(self._watched.schedule.cases))]

    def _all_bets(self) -> list[tuple[str, Bets, Sequence[int]]]:
        """Each claim of harm with its bets, and at which places of the order its cases stand."""
        policy = self._watched.policy
        counted = [one for one in self._watched.plans if one.role is not Role.MUTED and not one.withheld]
        scores = [one for one in counted if one.margin is None or one.margin.kind is policy.tolerance.kind]
        claims = [(one.metric, (one.margin or policy.tolerance).value) for one in scores]
        return [self._bets(name, margin) for name, margin in [*claims, (UNSCORED, policy.maximum_unscored.value)]]

    def _bets(self, name: str, margin: float) -> tuple[str, Bets, Sequence[int]]:
        weights = np.array([case.weight for case in self._watched.cases], dtype=np.float64)
        if name == UNSCORED:
            weights = np.ones(len(weights))
        rows: list[tuple[float, float, float]] = []
        places: list[int] = []
        for place, pair in enumerate(self._asked_once()):
            values = [_value(self._answers[key], name) for key in _keys(pair)]
            if values == [None, None]:
                continue
            stable, candidate = (
                fallback if one is None else one for one, fallback in zip(values, (0.0, 1.0), strict=True)
            )
            rows.append((stable, candidate, 1.0 if name == UNSCORED else self._cases[pair.case_id].weight))
            places.append(place)
        columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T
        bets = Bets(columns[0], columns[1], columns[2] / weights.mean(), float(weights.max() / weights.mean()), margin)
        return name, bets, places


def _keys(pair: Pair) -> tuple[CallKey, CallKey]:
    """Stable's call and the candidate's."""
    stable = CallKey(EvalArm.STABLE, pair.case_id, pair.repeat)
    return stable, replace(stable, arm=EvalArm.CANDIDATE)


def _value(answer: EvalAnswer, name: str) -> float | None:
    """A metric's value, or whether the call has a score at all."""
    return float(answer.status is Status.SCORED) if name == UNSCORED else value_of(answer, name)


def _shows_harm(report: EvalReport) -> bool:
    """Whether a claim fails it that has its part of the error rate; calls without a score are bet on instead."""
    failing = (one for one in report.verdicts if one.outcome is Outcome.FAIL and one.role is not Role.MUTED)
    return any(not one.gate.startswith(UNSCORED) for one in failing)


def _with_everything(report: EvalReport, watched: Watched, every: Sequence[EvalAnswer]) -> EvalReport:
    """The report with all answers in its totals and in the table of cases, those among them that came later, too."""
    grouped = by_case(every)
    metric = watched.plans[0].metric
    rows = (case_row(case, grouped, metric) for case in watched.cases)
    return replace(
        report,
        cases=tuple(row for row in rows if row.stable.scored + row.stable.unscored + row.candidate.scored),
        stable=arm_totals(every, EvalArm.STABLE),
        candidate=arm_totals(every, EvalArm.CANDIDATE),
    )
