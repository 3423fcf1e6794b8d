"""The judgements of a run in the ledger: asked for where they are missing, and kept as they come."""

from collections.abc import Callable, Sequence
from functools import partial

from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.runner import run_to_end
from softlaunch.evals.judges.caller import Caller
from softlaunch.evals.judges.gating import judges_of
from softlaunch.evals.judges.judgements import Judging
from softlaunch.evals.judges.recorded_judgements import add_judgements
from softlaunch.evals.judges.rounds import judge_with
from softlaunch.policy.evals import JudgePolicy
from softlaunch.store.database import Database


def judging(
    database: Database, run_id: str, policy: JudgePolicy | None, unjudged: Sequence[Judging], caller: Caller
) -> Callable[[Deadline], None]:
    """What makes a run's missing judgements until a deadline, or until the caller's budget is used up.

    Raises NotFoundError for a judge that isn't recorded, UnpricedError where a budget in USD can't be kept.
    """
    with database.read() as session:
        judges = judges_of(session, policy)
    caller.budget.check(judges.models)
    record = partial(add_judgements, database, run_id)

    def run(until: Deadline) -> None:
        run_to_end(judge_with(caller, judges, unjudged, record, until))

    return run
