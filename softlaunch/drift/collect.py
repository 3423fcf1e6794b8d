"""Asking a variant the golden set, as often as a check wants; what was answered already isn't asked again."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from softlaunch.evals.answers import CallKey, EvalArm
from softlaunch.evals.calls import Call
from softlaunch.evals.deadline import Deadline
from softlaunch.evals.retry import Retries
from softlaunch.evals.runner import run_calls, run_to_end
from softlaunch.evals.suite import Suite
from softlaunch.policy.model import EvalPolicy
from softlaunch.store.database import Database
from softlaunch.store.eval_answers import add_answers, finished_calls, open_run
from softlaunch.variant import Variant


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


def _calls(asking: Asking) -> Iterator[Call]:
    for repeat in range(asking.repeats):
        for case in asking.suite.cases:
            yield Call(CallKey(asking.arm, case.id, repeat), asking.variant, case)
