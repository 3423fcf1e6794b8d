"""The regression eval as the release drives it: a piece of work at a time, resumable after any kill."""

import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from time import monotonic

from sqlmodel import Session

from softlaunch.core.arms import ByArm
from softlaunch.core.verdict import Outcome
from softlaunch.evals.calls.answers import EvalAnswer
from softlaunch.evals.calls.call import Call, CallOptions
from softlaunch.evals.calls.deadline import Deadline, Worker
from softlaunch.evals.calls.recorded_answers import (
    ComparedDigests,
    add_answers,
    finished_calls,
    open_run,
    spent_usd,
)
from softlaunch.evals.calls.retry import Retries
from softlaunch.evals.calls.run_budget import RunBudgets, reuse_answers
from softlaunch.evals.calls.runner import run_calls, run_to_end
from softlaunch.evals.early import EarlyEval
from softlaunch.evals.judges.judgements import Judging
from softlaunch.evals.judges.rounds import judging
from softlaunch.evals.orders import EvalOrder, EvalProgress
from softlaunch.evals.sequential.design import settle_design
from softlaunch.evals.standing import Material, State, whole_state
from softlaunch.evals.suites.suite import Suite
from softlaunch.evals.upkeep import open_upkeep_incidents
from softlaunch.store.database import Database


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
        self._early: dict[str, EarlyEval] = {}
        self._budgets = RunBudgets()
        self._lock = threading.Lock()

    def work(self, order: EvalOrder, seconds: float) -> EvalProgress:
        """Work on an eval for about so many seconds, or until it is done; zero only looks.

        Idempotent: answers are stored under arm, case and repeat, only missing ones are asked for, and everything
        else is worked out from them. Raises SoftlaunchError when the golden set is broken or has changed since the
        run began, or when a provider's key is missing.
        """
        until = monotonic() + seconds
        suite = order.asked
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

    def _state(self, order: EvalOrder, suite: Suite) -> State:
        early = self._early_of(order, suite)
        with self._database.read() as session:
            spent_out = partial(self._spent_out, session, order)
            material = Material.of(session, order, suite, self._clock())
            if early is not None:
                return early.state(session, material, spent_out, under_way=self._is_busy(order))
            finished = finished_calls(session, order.run_id)
            most = order.policy.maximum_repeats
            if order.run_id not in self._extended:
                state = whole_state(session, material, finished, order.policy.repeats, spent_out)
                undecided = state.report is not None and state.report.outcome is Outcome.INCONCLUSIVE
                if not undecided or state.halted or order.policy.repeats == most:
                    return state
                self._extended.add(order.run_id)
            return whole_state(session, material, finished, most, spent_out)

    def _early_of(self, order: EvalOrder, suite: Suite) -> EarlyEval | None:
        """What knows when a run may stop; None where it makes all of its calls."""
        with self._lock:
            known = self._early.get(order.run_id)
            if known is not None and known.order == order:
                return known
            design = settle_design(self._database, order, suite)
            if design is None:
                return None
            found = self._early[order.run_id] = EarlyEval(order, suite, design)
            return found

    def _is_busy(self, order: EvalOrder) -> bool:
        """Whether calls or judgements of a run are under way in this process."""
        worker = self._workers.get(order.run_id)
        return worker is not None and worker.alive

    def _spent_out(self, session: Session, order: EvalOrder) -> str | None:
        """Why the budget allows no more calls; None where it does, or while calls are under way."""
        if self._is_busy(order):
            return None
        return self._budgets.budget(session, order.run_id, order.policy).spent_out

    def _worker(self, order: EvalOrder, state: State) -> Worker:
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
        early, policy = self._early.get(order.run_id), order.policy
        enough = (lambda: early.decided) if early is not None else None
        options = CallOptions(policy.concurrency, policy.timeout, self._retries, self._rng, budget, enough)

        def record(answers: Sequence[EvalAnswer]) -> None:
            add_answers(self._database, order.run_id, answers)
            if early is not None:
                early.note(answers)

        def run(until: Deadline) -> None:
            run_to_end(run_calls(missing, record, options, until))

        return run

    def _judge(self, order: EvalOrder, unjudged: Sequence[Judging]) -> Callable[[Deadline], None]:
        policy = order.policy
        with self._database.read() as session:
            budget = self._budgets.budget(session, order.run_id, policy)
        options = CallOptions(policy.concurrency, policy.timeout, self._retries, self._rng, budget)
        return judging(self._database, order.run_id, policy.judge, unjudged, options)
