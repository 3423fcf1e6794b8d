"""Comparing one pair of variants on a golden set: the one place where the check runs an eval.

Answers are kept in the ledger, under a run that is named after the pair, the golden set and the attempt: who is killed
and started again finds it, and so does a second process. A run begins with what earlier runs have paid for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

from softlaunch.core.arms import ByArm
from softlaunch.core.clock import utc_now
from softlaunch.core.variant import Variant
from softlaunch.evals.calls.answers import EvalAnswer
from softlaunch.evals.calls.budget import Limits
from softlaunch.evals.calls.call import Call
from softlaunch.evals.calls.recorded_answers import (
    ComparedDigests,
    add_answers,
    find_reusable,
    open_run,
    paid_calls,
    read_answers,
    spent_usd,
)
from softlaunch.evals.calls.runner import plan
from softlaunch.evals.orders import EvalOrder, EvalProgress
from softlaunch.evals.regression import RegressionEval
from softlaunch.evals.statistics.report import EvalReport
from softlaunch.evals.suites.suite import load_suite
from softlaunch.policy.evals import EvalPolicy
from softlaunch.pull_requests.moved_models import Asked, Identity, Moved, asked_of, identity_of, moved_models
from softlaunch.store.database import Database

_STEP_SECONDS = 1.0
_LIMITS = {"golden_set", "budget_calls", "budget_usd", "concurrency", "timeout", "reuse"}
Tell = Callable[[EvalProgress], None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What to compare: an app's two variants on a golden set, as an eval policy says.

    `reuse_seconds` is how old a recorded answer may be, `limits` what may be spent in all.
    """

    app: str
    base: Variant
    head: Variant
    golden_set: Path
    policy: EvalPolicy
    limits: Limits = field(default_factory=Limits)
    reuse_seconds: float = 0.0

    @property
    def variants(self) -> Mapping[str, Variant]:
        """Both, by digest."""
        return {self.base.digest: self.base, self.head.digest: self.head}


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison came to: the report, the answers behind it, and what they cost.

    `calls` and `cost_usd` are those of its run, whoever started it; `reused` answers were paid by earlier runs.
    `halted` is why calls are missing.
    """

    run_id: str
    report: EvalReport
    answers: Sequence[EvalAnswer]
    calls: int
    reused: int
    cost_usd: float | None
    halted: str | None = None
    moved: tuple[Moved, ...] = ()


def compare_pair(database: Database, wanted: Comparison, tell: Tell) -> Compared:
    """Ask what is missing, and judge. Raises SoftlaunchError for a broken golden set, a missing key, an unknown price.

    Where a model has moved since the answers that are reused were given, these are asked anew.
    """
    evaluation = RegressionEval(database)
    try:
        stem = _stem(wanted)
        first = _worked(database, evaluation, wanted, _attempt(database, evaluation, wanted, stem), {}, tell)
        moved = moved_models(first.answers, wanted.variants)
        if not moved:
            return first
        valid = {one.asked: frozenset(one.now) for one in moved}
        rest = replace(wanted, limits=less(wanted.limits, first.calls, first.cost_usd))
        if rest.limits.calls == 0 or rest.limits.usd == 0:
            return replace(first, moved=moved, halted="the budget is used up, and a model has moved")
        mark = sha256(repr(sorted(valid.items(), key=repr)).encode()).hexdigest()[:6]
        run_id = _attempt(database, evaluation, rest, f"{stem}-moved-{mark}")
        again = _worked(database, evaluation, rest, run_id, valid, tell)
        spent = None if again.cost_usd is None else again.cost_usd + (first.cost_usd or 0.0)
        return replace(again, moved=moved, calls=first.calls + again.calls, cost_usd=spent)
    finally:
        evaluation.close()


def less(limits: Limits, calls: int, usd: float | None) -> Limits:
    """What is left of limits, down to zero."""
    left_calls = None if limits.calls is None else max(0, limits.calls - calls)
    return Limits(left_calls, None if limits.usd is None else max(0.0, limits.usd - (usd or 0.0)))


def _stem(wanted: Comparison) -> str:
    """How the runs of a comparison are called: the same pair on the same cases, judged alike, is the same.

    Limits may differ: with a larger budget a run goes on.
    """
    judged = wanted.policy.model_dump_json(exclude=_LIMITS)
    parts = (wanted.base.digest, wanted.head.digest, load_suite(wanted.golden_set).digest, judged)
    return f"{wanted.app}-check-{sha256(' '.join(parts).encode()).hexdigest()[:12]}"


def _attempt(database: Database, evaluation: RegressionEval, wanted: Comparison, stem: str) -> str:
    """The id of the run to work on: a finished one in which calls have failed isn't taken for the last word."""
    attempt = 1
    while True:
        run_id = stem if attempt == 1 else f"{stem}-{attempt}"
        with database.read() as session:
            failed = any(answer.error is not None for answer in read_answers(session, run_id))
        if not failed:
            return run_id
        progress = evaluation.work(_order(wanted, run_id), 0)
        if progress.report is None or progress.halted:
            return run_id
        attempt += 1


def _order(wanted: Comparison, run_id: str) -> EvalOrder:
    limits = wanted.limits
    own = wanted.policy.model_copy(update={"budget_calls": limits.calls, "budget_usd": limits.usd, "reuse": 0.0})
    return EvalOrder(run_id, wanted.app, None, wanted.base, wanted.head, own, wanted.golden_set)


def _worked(
    database: Database,
    evaluation: RegressionEval,
    wanted: Comparison,
    run_id: str,
    valid: Mapping[Asked, frozenset[Identity]],
    tell: Tell,
) -> Compared:
    """Work on a run until there is a report; of models that have moved only answers of the valid identities count."""
    order = _order(wanted, run_id)
    _take_over(database, wanted, run_id, valid)
    while True:
        progress = evaluation.work(order, _STEP_SECONDS)
        tell(progress)
        if progress.report is not None:
            break
    with database.read() as session:
        answers = read_answers(session, run_id)
        calls, cost = paid_calls(session, run_id), spent_usd(session, run_id)
    reused = sum(answer.reused for answer in answers)
    return Compared(run_id, progress.report, answers, calls, reused, cost, progress.halted)


def _take_over(database: Database, wanted: Comparison, run_id: str, valid: Mapping[Asked, frozenset[Identity]]) -> None:
    """Begin a run with the answers that earlier ones have paid for: same variant, same case, same repeat."""
    suite, now = load_suite(wanted.golden_set), utc_now()
    digests = ComparedDigests(suite.digest, ByArm(candidate=wanted.head.digest, stable=wanted.base.digest))
    open_run(database, run_id, wanted.app, None, digests, now)
    if not wanted.reuse_seconds:
        return
    with database.read() as session:
        since = now - timedelta(seconds=wanted.reuse_seconds)
        known = find_reusable(session, run_id, sorted(wanted.variants), since)
    counts = partial(_is_valid, valid=valid)
    found = (
        (call, known.get((call.variant.digest, call.case.digest, call.key.repeat)))
        for call in plan(suite, wanted.base, wanted.head, range(wanted.policy.maximum_repeats))
    )
    taken = [
        replace(answer, key=call.key, reused=True)
        for call, answer in found
        if answer is not None and counts(call, answer)
    ]
    add_answers(database, run_id, taken)


def _is_valid(call: Call, answer: EvalAnswer, valid: Mapping[Asked, frozenset[Identity]]) -> bool:
    identities = valid.get(asked_of(call.variant.model))
    return identities is None or identity_of(answer) in identities
