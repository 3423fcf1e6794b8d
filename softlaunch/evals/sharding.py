"""An eval in shards: several processes make the calls of one run, each those of its own cases."""

import zlib
from dataclasses import dataclass
from functools import partial

from softlaunch.evals.calls.call import Call, CallOptions
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.recorded_answers import add_answers, finished_calls
from softlaunch.evals.calls.run_budget import share_of_budget
from softlaunch.evals.calls.runner import plan, run_calls, run_to_end
from softlaunch.evals.orders import EvalOrder
from softlaunch.store.database import Database


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`th of `of` parts of a golden set, from 1 on. A case falls on the same one in every process."""

    number: int
    of: int

    def holds(self, case_id: str) -> bool:
        """Whether a case is one of this shard's."""
        return zlib.crc32(case_id.encode()) % self.of == self.number - 1


def outstanding(database: Database, order: EvalOrder, shard: Shard) -> list[Call]:
    """The calls of a shard that have no outcome yet, of the repeats that every eval makes; both arms of a case."""
    suite = order.asked
    with database.read() as session:
        finished = finished_calls(session, order.run_id)
    calls = plan(suite, order.stable, order.candidate, range(order.policy.repeats))
    return [call for call in calls if shard.holds(call.key.case_id) and call.key not in finished]


def work_on_shard(database: Database, order: EvalOrder, shard: Shard, seconds: float) -> int:
    """Start calls of a shard for so many seconds, and wait for those under way; returns how many are left.

    The run must have been opened. Idempotent, like the whole eval: answers are stored under arm, case and repeat.
    The policy's concurrency and budget are those of all shards together. Raises as `run_calls`.
    """
    with database.read() as session:
        budget = share_of_budget(session, order.run_id, order.policy, shard.of)
    concurrency = max(1, order.policy.concurrency // shard.of)
    options = CallOptions(concurrency, order.policy.timeout, budget=budget)
    record = partial(add_answers, database, order.run_id)
    run_to_end(run_calls(outstanding(database, order, shard), record, options, Deadline(seconds)))
    return len(outstanding(database, order, shard))
