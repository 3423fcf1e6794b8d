"""The regression eval as the release drives it: a piece of work at a time, resumable after any kill."""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic

from sqlmodel import Session

from softlaunch.core.arms import ByArm
from softlaunch.core.variant import Variant
from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.evals.calls.answers import EvalAnswer
from softlaunch.evals.calls.call import Call, CallOptions
from softlaunch.evals.calls.deadline import Deadline, Worker
from softlaunch.evals.calls.recorded_answers import (
    ComparedDigests,
    add_answers,
    finished_calls,
    open_run,
    read_answers,
    spent_usd,
)
from softlaunch.evals.calls.retry import Retries
from softlaunch.evals.calls.run_budget import RunBudgets, out_of_budget, reuse_answers
from softlaunch.evals.calls.runner import plan, run_calls, run_to_end
from softlaunch.evals.judges.gating import metric_plans
from softlaunch.evals.judges.judgements import Judging, wanted_judgements, with_scores
from softlaunch.evals.judges.recorded_judgements import read_judgements
from softlaunch.evals.judges.rounds import judging
from softlaunch.evals.live_suspicions import of_answers
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.statistics.multiplicity import level_of_a_look
from softlaunch.evals.statistics.report import EvalReport
from softlaunch.evals.suites.suite import Suite, load_suite
from softlaunch.evals.upkeep import open_upkeep_incidents, with_upkeep
from softlaunch.policy.evals import EvalPolicy
from softlaunch.store.database import Database


@dataclass(frozen=True, slots=True)
class EvalOrder:
    """What to compare, how, and under which name the answers are kept."""

    run_id: str
    app: str
    release_id: str | None
    stable: Variant
    candidate: Variant
    policy: EvalPolicy
    golden_set: Path


@dataclass(frozen=True, slots=True)
class EvalProgress:
    """How far an eval is. `planned` grows when a first comparison is inconclusive; the report comes with the last call.

    `cost_usd` covers the answered calls so far; None where none was answered or a price is unknown. `halted` is why no
    more calls are made although some are missing; the report is then on what there is.
    """

    done: int
    planned: int
    cost_usd: float | None
    report: EvalReport | None
    halted: str | None = None


@dataclass(frozen=True, slots=True)
class _State:
    """What the ledger has: how much is planned, which calls and judgements are missing, the report once none is."""

    planned: int
    missing: Sequence[Call]
    unjudged: Sequence[Judging] = ()
    report: EvalReport | None = None
    halted: str | None = None

    @property
    def left(self) -> int:
        """Calls and judgements that are still to come."""
        return len(self.missing) + len(self.unjudged)


class RegressionEval:
    """Runs regression evals on a ledger. One object may work on several runs, from any threads.

    Calls are made by a thread per run. It starts new ones only while somebody asks for work, and for five seconds
    after, so that a driver's short steps don't empty the pipeline and an eval without a driver makes no more calls.
    Calls under way when `work` returns continue, and are stored when they end.
    """

    def __init__(
        self,
        database: Database,
        *,
        rng: random.Random | None = None,
        retries: Retries | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._database = database
        self._rng = rng or random.Random()
        self._retries = retries or Retries()
        self._clock = clock or partial(datetime.now, UTC)
        self._workers: dict[str, Worker] = {}
        self._extended: set[str] = set()  # runs known to need the larger number of repeats; saves judging them again
        self._budgets = RunBudgets()
        self._lock = threading.Lock()

    def work(self, order: EvalOrder, seconds: float) -> EvalProgress:
        """Work on an eval for about so many seconds, or until it is done; zero only looks.

        Idempotent: answers are stored under arm, case and repeat, only missing ones are asked for, and everything
        else is worked out from them. Raises SoftlaunchError when the golden set is broken or has changed since the
        run began, or when a provider's key is missing.
        """
        until = monotonic() + seconds
        suite = load_suite(order.golden_set)
        digests = ComparedDigests(suite.digest, ByArm(order.candidate.digest, order.stable.digest))
        open_run(self._database, order.run_id, order.app, order.release_id, digests, self._clock())
        state = self._state(order, suite)
        if state.missing:
            reuse_answers(self._database, order.run_id, state.missing, order.policy, self._clock())
            state = self._state(order, suite)
        while state.report is None and (left := until - monotonic()) > 0:
            self._worker(order, state).wait(left)
            state = self._state(order, suite)
        with self._database.begin() as session:
            cost_usd = spent_usd(session, order.run_id)
            if state.report is not None:
                open_upkeep_incidents(session, order.app, order.release_id, suite, state.report, self._clock())
        return EvalProgress(state.planned - state.left, state.planned, cost_usd, state.report, state.halted)

    def close(self) -> None:
        """Start no more calls, and wait for those under way."""
        for worker in list(self._workers.values()):
            worker.stop()

    def _state(self, order: EvalOrder, suite: Suite) -> _State:
        """Where the run stands: under the policy's repeats, or its maximum where these left it inconclusive."""
        most = order.policy.maximum_repeats
        if order.run_id not in self._extended:
            state = self._state_with(order, suite, order.policy.repeats)
            undecided = state.report is not None and state.report.outcome is Outcome.INCONCLUSIVE
            if not undecided or state.halted or order.policy.repeats == most:
                return state
            self._extended.add(order.run_id)
        return self._state_with(order, suite, most)

    def _state_with(self, order: EvalOrder, suite: Suite, repeats: int) -> _State:
        calls = list(plan(suite, order.stable, order.candidate, range(repeats)))
        with self._database.read() as session:
            finished = finished_calls(session, order.run_id)
            missing = [call for call in calls if call.key not in finished]
            halted = self._spent_out(session, order) if missing else None
            if missing and halted is None:
                return _State(len(calls), missing)
            answers = [answer for answer in read_answers(session, order.run_id) if answer.key.repeat < repeats]
            state = self._judged_state(session, order, suite, answers)
        if halted is None:
            return state
        if state.halted is not None:  # what is paid for isn't judged to the end either, and the report says so
            return replace(state, planned=state.planned + len(missing), missing=missing)
        report = state.report and state.report.with_verdict(out_of_budget(halted, len(answers), len(calls)))
        return replace(state, planned=state.planned + len(missing), missing=missing, report=report, halted=halted)

    def _spent_out(self, session: Session, order: EvalOrder) -> str | None:
        """Why the budget allows no more calls; None where it does, or while calls are under way."""
        worker = self._workers.get(order.run_id)
        if worker is not None and worker.alive:
            return None
        return self._budgets.budget(session, order.run_id, order.policy).spent_out

    def _judged_state(self, session: Session, order: EvalOrder, suite: Suite, answers: Sequence[EvalAnswer]) -> _State:
        """Where a run stands whose calls are all made."""
        metrics = [metric.parsed for metric in order.policy.metrics]
        wanted = list(wanted_judgements(suite.cases, answers, metrics))
        judgements = read_judgements(session, order.run_id)
        planned, unjudged = len(answers) + len(wanted), [one for one in wanted if one.key not in judgements]
        halted = self._spent_out(session, order) if unjudged else None
        if unjudged and halted is None:
            return _State(planned, (), unjudged)
        plans = metric_plans(session, order.policy, suite.cases)
        scored = with_scores(suite.cases, answers, metrics, judgements)
        critical = dict.fromkeys((*order.policy.segments, *suite.header.segments))
        policy = order.policy.model_copy(update={"segments": tuple(critical)})
        report = compare(suite.cases, scored, policy, level=_level(policy), metrics=plans)
        for suspicion in of_answers(answers):
            reason = f"a person has to decide: {suspicion.sentence}"
            report = report.with_verdict(Verdict(suspicion.subject, Outcome.REVIEW, reason))
        report = with_upkeep(report, suite, self._clock())
        if halted is not None:
            report = report.with_verdict(out_of_budget(halted, planned - len(unjudged), planned))
        return _State(planned, (), unjudged, report, halted)

    def _worker(self, order: EvalOrder, state: _State) -> Worker:
        with self._lock:
            worker = self._workers.get(order.run_id)
            if worker is None or not worker.alive:
                calls = state.missing and not state.halted
                worker = Worker(self._run(order, state.missing) if calls else self._judge(order, state.unjudged))
                self._workers[order.run_id] = worker
            return worker

    def _run(self, order: EvalOrder, missing: Sequence[Call]) -> Callable[[Deadline], None]:
        with self._database.read() as session:
            budget = self._budgets.budget(session, order.run_id, order.policy)
        policy = order.policy
        options = CallOptions(policy.concurrency, policy.timeout, self._retries, self._rng, budget)

        def run(until: Deadline) -> None:
            run_to_end(run_calls(missing, partial(add_answers, self._database, order.run_id), options, until))

        return run

    def _judge(self, order: EvalOrder, unjudged: Sequence[Judging]) -> Callable[[Deadline], None]:
        policy = order.policy
        with self._database.read() as session:
            budget = self._budgets.budget(session, order.run_id, policy)
        options = CallOptions(policy.concurrency, policy.timeout, self._retries, self._rng, budget)
        return judging(self._database, order.run_id, policy.judge, unjudged, options)


def _level(policy: EvalPolicy) -> float:
    """The error rate of each comparison: two of them, where an inconclusive first one asks for more repeats."""
    return level_of_a_look(1 - policy.confidence, policy.repeats / policy.maximum_repeats)
