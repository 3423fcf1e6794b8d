"""Asking a variant the golden set, and judges about the answers; judgements that exist aren't asked for again."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from softlaunch.core.arms import ByArm
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.variant import Variant
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm
from softlaunch.evals.calls.call import Call, CallOptions
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.recorded_answers import ComparedDigests, add_answers, finished_calls, open_run
from softlaunch.evals.calls.retry import Retries
from softlaunch.evals.calls.run_budget import RunBudgets
from softlaunch.evals.calls.runner import run_calls, run_to_end
from softlaunch.evals.judges.judgements import wanted_judgements, with_scores
from softlaunch.evals.judges.recorded_judgements import read_judgements
from softlaunch.evals.judges.rounds import judging
from softlaunch.evals.suites.suite import Suite
from softlaunch.policy.evals import EvalPolicy
from softlaunch.store.database import Database


class BudgetUsedUpError(SoftlaunchError):
    """A check ran out of what its judges may cost; the judgements are kept."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Whom to ask what, under which name the answers are kept, and on which side of the comparison they are."""

    run_id: str
    app: str
    arm: EvalArm
    variant: Variant
    suite: Suite
    repeats: int
    policy: EvalPolicy


def collect(database: Database, asking: Asking, now: datetime, rng: random.Random, retries: Retries) -> int:
    """Make the calls that are missing; returns how many they were. May be killed and called again at any time."""
    digests = ComparedDigests(asking.suite.digest, ByArm(asking.variant.digest, asking.variant.digest))
    open_run(database, asking.run_id, asking.app, None, digests, now)
    with database.read() as session:
        finished = finished_calls(session, asking.run_id)
    missing = [call for call in _calls(asking) if call.key not in finished]
    options = CallOptions(asking.policy.concurrency, asking.policy.timeout, retries, rng)
    run_to_end(run_calls(missing, partial(add_answers, database, asking.run_id), options, Deadline()))
    return len(missing)


def scored(
    database: Database, asking: Asking, answers: Sequence[EvalAnswer], rng: random.Random, retries: Retries
) -> list[EvalAnswer]:
    """Answers of both runs with the scores of every metric, after the same judges have judged both, today.

    A judge's model may drift, too: its judgements of the baseline at an earlier check are never compared with those of
    now. May be killed and called again. Raises BudgetUsedUpError, and then resumes when called with more.
    """
    cases, metrics = asking.suite.cases, [metric.parsed for metric in asking.policy.metrics]
    wanted = list(wanted_judgements(cases, answers, metrics))
    with database.read() as session:
        judgements = read_judgements(session, asking.run_id)
        budget = RunBudgets().budget(session, asking.run_id, asking.policy)
    unjudged = [one for one in wanted if one.key not in judgements]
    if unjudged:
        options = CallOptions(asking.policy.concurrency, asking.policy.timeout, retries, rng, budget)
        judging(database, asking.run_id, asking.policy.judge, unjudged, options)(Deadline())
        with database.read() as session:
            judgements = read_judgements(session, asking.run_id)
    left = sum(one.key not in judgements for one in wanted)
    if left:
        raise BudgetUsedUpError(
            f"{budget.spent_out or 'the budget is used up'} with {left:,} of {len(wanted):,} judgements still to come; "
            f"raise eval.budget_calls or eval.budget_usd and check {asking.app} again, which pays only for the rest"
        )
    return with_scores(cases, answers, metrics, judgements)


def _calls(asking: Asking) -> Iterator[Call]:
    for repeat in range(asking.repeats):
        for case in asking.suite.cases:
            yield Call(CallKey(asking.arm, case.id, repeat), asking.variant, case)
