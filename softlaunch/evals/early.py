"""Where an eval stands that makes no more calls once its verdict is known."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

from sqlmodel import Session

from softlaunch.core.verdict import Outcome
from softlaunch.evals.calls.answers import CallKey, EvalAnswer
from softlaunch.evals.calls.call import Call
from softlaunch.evals.calls.recorded_answers import finished_calls, read_answers
from softlaunch.evals.calls.run_budget import out_of_budget
from softlaunch.evals.judges.gating import metric_plans
from softlaunch.evals.judges.judgements import with_scores
from softlaunch.evals.judges.recorded_judgements import read_judgements
from softlaunch.evals.orders import EvalOrder
from softlaunch.evals.sequential.allocation import further_repeats, weighed
from softlaunch.evals.sequential.design import Design, calls_of, read_design
from softlaunch.evals.sequential.order import Pair
from softlaunch.evals.sequential.watch import Watch, Watched
from softlaunch.evals.standing import Material, SpentOut, State, judged_state, with_critical
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.statistics.report import EvalReport
from softlaunch.evals.suites.suite import Suite
from softlaunch.metrics.judged import asks_judges
from softlaunch.policy.evals import EvalPolicy
from softlaunch.store.tables import EvalRunRow

_PIECES = 20
"""Judges are asked after so many equal pieces of the first repeats at most; bets and looks need their scores."""


class EarlyEval:
    """One run that may stop early; kept by its process, so that nothing is scored or looked at twice."""

    def __init__(self, order: EvalOrder, suite: Suite, design: Design) -> None:
        self.order = order
        self._suite = suite
        self._schedule = design.schedule(suite, order.policy.repeats)
        self._calls = list(calls_of(order, suite, iter(self._schedule.pairs)))
        self._first_keys = frozenset(call.key for call in self._calls)
        own = [metric for case in suite.cases for metric in case.own_metrics]
        self._judged = any(map(asks_judges, [*own, *(metric.parsed for metric in order.policy.metrics)]))
        self._watch: Watch | None = None
        self._material: Material | None = None

    @property
    def decided(self) -> bool:
        """Whether its verdict is known already, so that no further call is needed."""
        return self._watch is not None and self._watch.stop is not None

    def note(self, answers: Sequence[EvalAnswer]) -> None:
        """Take in answers as they are recorded. Those that judges have to see first wait until these have."""
        if self._watch is not None and self._material is not None and not self._judged:
            self._watch.note(self._material.scored([one for one in answers if one.key in self._first_keys], {}))

    def refresh(self, session: Session, material: Material) -> None:
        """Take in what other processes have recorded."""
        self._refreshed(session, material, finished_calls(session, self.order.run_id))

    def state(self, session: Session, material: Material, spent_out: SpentOut, *, under_way: bool) -> State:
        """Where it stands. While calls are `under_way` there is no report: their answers are waited for."""
        finished = finished_calls(session, self.order.run_id)
        watch = self._refreshed(session, material, finished)
        if watch.stop is not None:
            made = len(finished & self._first_keys)
            if under_way:
                return State(made, [call for call in self._calls if call.key not in finished])
            scored = [one for one in watch.answers if one.key in self._first_keys]
            return State(made, (), (), material.finished(watch.report(), scored))
        missing = [call for call in self._calls if call.key not in finished]
        if missing:
            return self._unfinished(session, material, watch, missing, spent_out)
        return self._after_first(session, material, finished, spent_out)

    def _refreshed(self, session: Session, material: Material, finished: frozenset[CallKey]) -> Watch:
        """The watch, with what the ledger knows and it doesn't."""
        self._material = material
        if self._watch is None:
            watched = Watched(self._suite.cases, self._schedule, material.policy, material.plans)
            self._watch = Watch(watched)
        unknown = (finished & self._first_keys) - self._watch.known
        if unknown:
            answers = [one for one in read_answers(session, self.order.run_id) if one.key in self._first_keys]
            judgements = read_judgements(session, self.order.run_id) if self._judged else {}
            _, unjudged = material.unjudged(answers, judgements) if self._judged else (0, [])
            waiting = {(one.key.answer.case_id, one.key.answer.repeat) for one in unjudged}
            ready = [one for one in answers if (one.key.case_id, one.key.repeat) not in waiting]
            self._watch.note(material.scored(ready, judgements))
        return self._watch

    def _unfinished(
        self, session: Session, material: Material, watch: Watch, missing: Sequence[Call], spent_out: SpentOut
    ) -> State:
        """Calls of the first repeats are missing, and nothing is decided yet."""
        halted = spent_out()
        if halted is not None:
            answers = [one for one in read_answers(session, self.order.run_id) if one.key in self._first_keys]
            judgements = read_judgements(session, self.order.run_id)
            report = material.compared(material.scored(answers, judgements), watch.levels_so_far())
            verdict = out_of_budget(halted, len(answers), len(self._calls))
            return State(len(self._calls), missing, (), report.with_verdict(verdict), halted)
        if not self._judged:
            return State(len(self._calls), missing)
        pieces = [self._calls[start : start + self._piece] for start in range(0, len(self._calls), self._piece)]
        left = {call.key for call in missing}
        answers = list(read_answers(session, self.order.run_id))
        wanted, unjudged = material.unjudged(answers, read_judgements(session, self.order.run_id))
        begun = next(piece for piece in pieces if any(call.key in left for call in piece))
        if begun[0].key in left and unjudged:  # a piece is through, and judges come before the next one
            return State(len(self._calls) + wanted, (), unjudged)
        return State(len(self._calls) + wanted, [call for call in begun if call.key in left])

    @property
    def _piece(self) -> int:
        """Calls in a piece: an even number. A tenth of all at most, so that no eval stops late because many are allowed
        at once; and as far as that goes so many that most of the time all of these are under way.
        """
        twentieth, tenth = (2 * -(-len(self._schedule.pairs) // pieces) for pieces in (_PIECES, _PIECES // 2))
        return max(2, twentieth, min(tenth, 4 * self.order.policy.concurrency))

    def _after_first(
        self, session: Session, material: Material, finished: frozenset[CallKey], spent_out: SpentOut
    ) -> State:
        """The first repeats are all there; undecided, cases are asked further, those that vary most often."""
        plan = Watched(self._suite.cases, self._schedule, material.policy, material.plans).plan
        policy = self.order.policy
        every = list(read_answers(session, self.order.run_id))
        first = [one for one in every if one.key in self._first_keys]
        state = judged_state(session, material, first, plan.levels[len(self._schedule.looks) - 1], spent_out)
        undecided = state.report is not None and state.report.outcome is Outcome.INCONCLUSIVE
        if not undecided or state.halted or policy.repeats == policy.maximum_repeats:
            return state
        further = policy.maximum_repeats - policy.repeats
        scored = material.scored(first, read_judgements(session, self.order.run_id))
        given = further_repeats(self._schedule.cases, scored, material.plans[0].metric, further)
        calls = list(calls_of(self.order, self._suite, _further(self._schedule.cases, given, policy.repeats)))
        missing = [call for call in calls if call.key not in finished]
        planned = len(self._calls) + len(calls)
        halted = spent_out() if missing else None
        if missing and halted is None:
            return State(planned, missing)
        if halted is not None:
            report = state.report and state.report.with_verdict(out_of_budget(halted, planned - len(missing), planned))
            return State(planned, missing, (), report, halted)
        return judged_state(
            session, material, weighed(every, policy.repeats, further, given), plan.levels[-1], spent_out
        )


def recorded_report(session: Session, run: EvalRunRow, suite: Suite, policy: EvalPolicy) -> EvalReport:
    """The report on what the ledger has of a run, whoever made it: by what stopped it, where it was stopped early."""
    plans = metric_plans(session, policy, suite.cases)
    policy, design = with_critical(policy, suite), read_design(run)
    metrics = [metric.parsed for metric in policy.metrics]
    answers = read_answers(session, run.id)
    scored = with_scores(suite.cases, answers, metrics, read_judgements(session, run.id))
    if design is None or run.suite_digest != suite.digest:
        return compare(suite.cases, scored, policy, metrics=plans)
    watch = Watch(Watched(suite.cases, design.schedule(suite, policy.repeats), policy, plans))
    watch.note(one for one in scored if one.key.repeat < policy.repeats)
    if watch.stop is not None:
        return watch.report()
    return compare(suite.cases, scored, policy, level=watch.levels_so_far(), metrics=plans)


def _further(case_ids: Sequence[str], given: Mapping[str, int], repeats: int) -> Iterator[Pair]:
    """Further repeats in turn: everybody's first one, then the second of those that have one, and so on."""
    for number in count():
        asked = [case_id for case_id in case_ids if given[case_id] > number]
        if not asked:
            return
        yield from (Pair(case_id, repeats + number) for case_id in asked)
