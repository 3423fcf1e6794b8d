"""The budget of an eval's run, and answers of earlier runs that it reuses."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlmodel import Session

from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.evals.calls.answers import EvalArm
from softlaunch.evals.calls.budget import Budget, Limits
from softlaunch.evals.calls.call import Call
from softlaunch.evals.calls.recorded_answers import add_answers, find_reusable, paid_calls, spent_usd
from softlaunch.policy.evals import EvalPolicy
from softlaunch.store.database import Database


class RunBudgets:
    """The budgets of this process's runs: what the ledger knows of one at first, and every attempt since."""

    def __init__(self) -> None:
        self._budgets: dict[str, Budget] = {}

    def budget(self, session: Session, run_id: str, policy: EvalPolicy) -> Budget:
        """A run's budget."""
        if run_id not in self._budgets:
            limits = Limits(policy.budget_calls, policy.budget_usd)
            calls, usd = paid_calls(session, run_id), spent_usd(session, run_id) or 0.0
            self._budgets[run_id] = Budget(limits, calls=calls, usd=usd)
        return self._budgets[run_id]


def share_of_budget(session: Session, run_id: str, policy: EvalPolicy, shards: int) -> Budget:
    """One shard's share of what is left of a run's budget."""
    calls, usd = policy.budget_calls, policy.budget_usd
    left = None if calls is None else max(0, calls - paid_calls(session, run_id)) // shards
    left_usd = None if usd is None else max(0.0, usd - (spent_usd(session, run_id) or 0.0)) / shards
    return Budget(Limits(left, left_usd))


def reuse_answers(database: Database, run_id: str, missing: Sequence[Call], policy: EvalPolicy, now: datetime) -> None:
    """Take over what earlier runs have paid for: same variant, same case, same repeat, where the policy says so.

    Of a variant against itself only stable's side: else the two would be the same answers.
    """
    if not missing or not policy.reuse:
        return
    digests = {call.variant.digest for call in missing}
    wanted = [call for call in missing if len(digests) > 1 or call.key.arm is EvalArm.STABLE]
    with database.read() as session:
        known = find_reusable(session, run_id, sorted(digests), now - timedelta(seconds=policy.reuse))
    found = ((call.key, known.get((call.variant.digest, call.case.digest, call.key.repeat))) for call in wanted)
    add_answers(
        database, run_id, [replace(answer, key=key, reused=True) for key, answer in found if answer is not None]
    )


def out_of_budget(why: str, done: int, planned: int) -> Verdict:
    """The verdict on a run that ended before its calls were made."""
    return Verdict(
        gate="budget",
        outcome=Outcome.INCONCLUSIVE,
        reason=f"{why} with {done:,} of {planned:,} calls made; raise eval.budget_calls or eval.budget_usd and start "
        "again, which pays only for the rest",
    )
