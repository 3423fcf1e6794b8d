"""Asking a variant the golden set, and judges about the answers; what was said already isn't asked again."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.variant import Variant
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm
from softlaunch.evals.calls.call import Call
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.recorded_answers import add_answers, finished_calls, open_run
from softlaunch.evals.calls.retry import Retries
from softlaunch.evals.calls.run_budget import Purse
from softlaunch.evals.calls.runner import run_calls, run_to_end
from softlaunch.evals.judges.caller import Caller
from softlaunch.evals.judges.judgements import wanted_judgements, with_scores
from softlaunch.evals.judges.recorded_judgements import read_judgements
from softlaunch.evals.judges.runs import judging
from softlaunch.evals.suites.suite import Suite
from softlaunch.policy.evals import EvalPolicy
from softlaunch.store.database import Database


class BudgetUsedUpError(SoftlaunchError):
    """A check ran out of what its judges may cost; what they said is kept."""


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
    digests = (asking.suite.digest, asking.variant.digest, asking.variant.digest)
    open_run(database, asking.run_id, asking.app, None, digests, now)
    with database.read() as session:
        finished = finished_calls(session, asking.run_id)
    missing = [call for call in _calls(asking) if call.key not in finished]
    run_to_end(
        run_calls(
            missing,
            partial(add_answers, database, asking.run_id),
            concurrency=asking.policy.concurrency,
            timeout_seconds=asking.policy.timeout,
            until=Deadline(),
            rng=rng,
            retries=retries,
        )
    )
    return len(missing)


def scored(
    database: Database, asking: Asking, answers: Sequence[EvalAnswer], rng: random.Random, retries: Retries
) -> list[EvalAnswer]:
    """Answers of both runs with the scores of every metric, after the same judges have judged both, today.

    A judge's model may drift, too: what it said of the baseline at an earlier check is never compared with what it says
    now. May be killed and called again. Raises BudgetUsedUpError, and then goes on when called with more.
    """
    cases, metrics = asking.suite.cases, [metric.parsed for metric in asking.policy.metrics]
    wanted = list(wanted_judgements(cases, answers, metrics))
    with database.read() as session:
        said = read_judgements(session, asking.run_id)
        budget = Purse().budget(session, asking.run_id, asking.policy)
    unjudged = [one for one in wanted if one.key not in said]
    if unjudged:
        caller = Caller(asking.policy.concurrency, asking.policy.timeout, retries, rng, budget)
        judging(database, asking.run_id, asking.policy.judge, unjudged, caller)(Deadline())
        with database.read() as session:
            said = read_judgements(session, asking.run_id)
    left = sum(one.key not in said for one in wanted)
    if left:
        raise BudgetUsedUpError(
            f"{budget.spent_out or 'the budget is used up'} with {left:,} of {len(wanted):,} judgements still to come; "
            f"raise eval.budget_calls or eval.budget_usd and check {asking.app} again, which pays only for the rest"
        )
    return with_scores(cases, answers, metrics, said)


def _calls(asking: Asking) -> Iterator[Call]:
    for repeat in range(asking.repeats):
        for case in asking.suite.cases:
            yield Call(CallKey(asking.arm, case.id, repeat), asking.variant, case)
