"""The regression eval as the release drives it: a piece of work at a time, resumable after any kill."""

import asyncio
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic

from softlaunch.evals.background import Worker
from softlaunch.evals.calls import Call
from softlaunch.evals.comparison import compare
from softlaunch.evals.multiplicity import level_of_a_look
from softlaunch.evals.report import EvalReport
from softlaunch.evals.retry import Retries
from softlaunch.evals.runner import Deadline, plan, run_calls
from softlaunch.evals.suite import Suite, load_suite
from softlaunch.policy.model import EvalPolicy
from softlaunch.store.database import Database
from softlaunch.store.eval_answers import add_answers, finished_calls, open_run, read_answers, spent_usd
from softlaunch.variant import Variant
from softlaunch.verdict import Outcome


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

    `cost_usd` covers the answered calls so far; None where none was answered or a price is unknown.
    """

    done: int
    planned: int
    cost_usd: float | None
    report: EvalReport | None


@dataclass(frozen=True, slots=True)
class _State:
    """What the stored answers say: how many calls are planned and missing now, and the report once none is."""

    planned: int
    missing: Sequence[Call]
    report: EvalReport | None = None


class RegressionEval:
    """Runs regression evals on a ledger. One object may work on several runs, from any threads.

    Calls are made by a thread per run. It starts new ones only while somebody asks for work, and for five seconds
    after, so that a driver's short steps don't empty the pipeline and an eval that nobody drives stops paying.
    Calls under way when `work` returns go on, and are stored when they end.
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
        self._lock = threading.Lock()

    def work(self, order: EvalOrder, seconds: float) -> EvalProgress:
        """Go on with an eval for about so many seconds, or until it is done; zero only looks.

        Idempotent: answers are stored under arm, case and repeat, only missing ones are asked for, and everything
        else is worked out from them. Raises SoftlaunchError when the golden set is broken or has changed since the
        run began, or when a provider's key is missing.
        """
        until = monotonic() + seconds
        suite = load_suite(order.golden_set)
        digests = (suite.digest, order.stable.digest, order.candidate.digest)
        open_run(self._database, order.run_id, order.app, order.release_id, digests, self._clock())
        state = self._state(order, suite)
        while state.missing and (left := until - monotonic()) > 0:
            self._worker(order, state.missing).wait(left)
            state = self._state(order, suite)
        with self._database.read() as session:
            cost_usd = spent_usd(session, order.run_id)
        return EvalProgress(state.planned - len(state.missing), state.planned, cost_usd, state.report)

    def close(self) -> None:
        """Start no more calls, and wait for those under way."""
        for worker in list(self._workers.values()):
            worker.stop()

    def _state(self, order: EvalOrder, suite: Suite) -> _State:
        """Where the run stands: under the policy's repeats, or its maximum where these left it inconclusive."""
        most = order.policy.maximum_repeats
        if order.run_id not in self._extended:
            state = self._state_with(order, suite, order.policy.repeats)
            if state.report is None or state.report.outcome is not Outcome.INCONCLUSIVE or order.policy.repeats == most:
                return state
            self._extended.add(order.run_id)
        return self._state_with(order, suite, most)

    def _state_with(self, order: EvalOrder, suite: Suite, repeats: int) -> _State:
        calls = list(plan(suite, order.stable, order.candidate, range(repeats)))
        with self._database.read() as session:
            finished = finished_calls(session, order.run_id)
            missing = [call for call in calls if call.key not in finished]
            if missing:
                return _State(len(calls), missing)
            answers = [answer for answer in read_answers(session, order.run_id) if answer.key.repeat < repeats]
        return _State(len(calls), (), compare(suite.cases, answers, order.policy, level=_level(order.policy)))

    def _worker(self, order: EvalOrder, missing: Sequence[Call]) -> Worker:
        with self._lock:
            worker = self._workers.get(order.run_id)
            if worker is None or not worker.alive:
                worker = Worker(self._run(order, missing))
                self._workers[order.run_id] = worker
            return worker

    def _run(self, order: EvalOrder, missing: Sequence[Call]) -> Callable[[Deadline], None]:
        def run(until: Deadline) -> None:
            asyncio.run(
                run_calls(
                    missing,
                    partial(add_answers, self._database, order.run_id),
                    concurrency=order.policy.concurrency,
                    timeout_seconds=order.policy.timeout,
                    until=until,
                    rng=self._rng,
                    retries=self._retries,
                )
            )

        return run


def _level(policy: EvalPolicy) -> float:
    """The error rate of each comparison: two of them, where an inconclusive first one asks for more repeats."""
    return level_of_a_look(1 - policy.confidence, policy.repeats / policy.maximum_repeats)
