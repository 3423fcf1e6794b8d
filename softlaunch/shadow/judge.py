"""Asking judges which of two answers to one live request is better: beside the traffic, sampled, and on a budget."""

import random
import threading
from collections.abc import Callable, Sequence
from time import time

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Role
from softlaunch.evals.calls.answers import CallKey, EvalArm
from softlaunch.evals.calls.budget import Budget, Limits
from softlaunch.evals.calls.call import CallOptions
from softlaunch.evals.calls.deadline import Deadline, Worker
from softlaunch.evals.calls.retry import Retries
from softlaunch.evals.calls.runner import run_to_end
from softlaunch.evals.judges.gating import judges_of, objection_to
from softlaunch.evals.judges.judgements import JudgementKey, Judging
from softlaunch.evals.judges.rounds import judge_with
from softlaunch.gates.telemetry import Scope
from softlaunch.metrics import Sample, Score
from softlaunch.metrics.judged import Pairwise
from softlaunch.policy.model import Policy
from softlaunch.policy.route import Arm
from softlaunch.policy.stages import ShadowJudgingPolicy
from softlaunch.shadow.copies import CopiedAnswer, add_copy_judgements, spent_on_copies, unjudged_answers
from softlaunch.store.database import Database

_AT_ONCE = 40  # pairs that one thread is given; what came meanwhile is the next one's
_FRESH_SECONDS = 300.0  # older copies are left alone: with more traffic than judges, that is a sample too
_SIDES = {Arm.SHADOW: EvalArm.CANDIDATE, Arm.CONTROL: EvalArm.STABLE}
_METRIC = Pairwise()


class CopyJudge:
    """Judges answers of stages' copies while somebody asks for it; one object may serve several releases.

    Judges are called by a thread a release, so that no look waits for them. It begins nothing new once nobody has
    asked for five seconds, and the ledger keeps what was said: whoever resumes it pays for no pair twice.
    """

    def __init__(
        self, database: Database, *, retries: Retries | None = None, clock: Callable[[], float] = time
    ) -> None:
        self._database = database
        self._retries = retries or Retries()
        self._clock = clock
        self._workers: dict[str, Worker] = {}
        self._budgets: dict[str, Budget] = {}
        self._lock = threading.Lock()

    def work(self, scope: Scope, policy: Policy, judging: ShadowJudgingPolicy, entered: float) -> str:
        """Let judging go on; returns why it can't, in words, and nothing where it can or the budget is used up.

        Judges who weren't shown to agree with people are asked only where what they say is shown and nothing more.
        """
        try:
            with self._lock:
                return self._work(scope, policy, judging, entered)
        except SoftlaunchError as error:
            return f"judges can't be asked: {error}"

    def _work(self, scope: Scope, policy: Policy, judging: ShadowJudgingPolicy, entered: float) -> str:
        worker = self._workers.get(scope.release_id)
        if worker is not None:
            if not worker.alive:
                del self._workers[scope.release_id]
            worker.wait(0)  # raises what it ended with
            if worker.alive:
                return ""
        with self._database.read() as session:
            decides = any(one.metric is Metric.PREFERENCE and one.role is not Role.MUTED for one in policy.gates)
            objection = objection_to(session, policy.eval, _METRIC) if decides else ""
            budget = self._budget(scope, judging, spent_on_copies(session, scope))
            if objection or budget.spent_out:
                return objection
            judges = judges_of(session, policy.eval.judge)
            since = max(entered, self._clock() - _FRESH_SECONDS)
            wanted = unjudged_answers(session, scope, since, judging.sample_percent, _AT_ONCE)
        budget.check(judges.models)
        if wanted:
            options = CallOptions(judging.concurrency, policy.eval.timeout, self._retries, random.Random(), budget)
            by_key = {_judging(one).key: one for one in wanted}

            def record(said: Sequence[tuple[JudgementKey, Score]]) -> None:
                judged = [(by_key[key], score) for key, score in said]
                add_copy_judgements(self._database, scope, judged, self._clock())

            def run(until: Deadline) -> None:
                run_to_end(judge_with(options, judges, [_judging(one) for one in wanted], record, until))

            self._workers[scope.release_id] = Worker(run)
        return ""

    def spent_out(self, release_id: str) -> str:
        """Which limit of a stage's budget is used up, as a sentence; empty while none is."""
        budget = self._budgets.get(release_id)
        why = budget.spent_out if budget else None
        return f"Judges are no longer asked: {why}." if why else ""

    def _budget(self, scope: Scope, judging: ShadowJudgingPolicy, spent: tuple[int, float]) -> Budget:
        """The stage's: what the ledger knows of at first, and every attempt of this process since."""
        if scope.release_id not in self._budgets:
            limits = Limits(judging.budget_calls, judging.budget_usd)
            self._budgets[scope.release_id] = Budget(limits, calls=spent[0], usd=spent[1])
        return self._budgets[scope.release_id]

    def close(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        for worker in list(self._workers.values()):
            worker.stop()


def _judging(one: CopiedAnswer) -> Judging:
    """The question to the judges; the copy's answer is the candidate's, whoever gave it."""
    return Judging(
        JudgementKey(_METRIC.key, CallKey(_SIDES[one.arm], one.request_id, 0)),
        _METRIC,
        Sample(answer=one.answer, question=one.question),
        Sample(answer=one.shown, question=one.question),
    )
