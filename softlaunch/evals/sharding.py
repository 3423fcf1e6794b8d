"""An eval in shards: several processes make the calls of one run, each those of its own cases."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from softlaunch.evals.calls.answers import EvalAnswer
from softlaunch.evals.calls.call import Call, CallOptions
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.recorded_answers import add_answers, finished_calls
from softlaunch.evals.calls.run_budget import share_of_budget
from softlaunch.evals.calls.runner import plan, run_calls, run_to_end
from softlaunch.evals.early import EarlyEval
from softlaunch.evals.orders import EvalOrder
from softlaunch.evals.sequential.design import calls_of, settle_design
from softlaunch.evals.standing import Material
from softlaunch.store.database import Database

_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`th of `of` parts of a golden set, from 1 on. A case falls on the same one in every process."""

    number: int
    of: int

    def holds(self, case_id: str) -> bool:
        """Whether a case is one of this shard's."""
        return zlib.crc32(case_id.encode()) % self.of == self.number - 1


def outstanding(database: Database, order: EvalOrder, shard: Shard) -> list[Call]:
    """The calls of a shard that have no outcome yet, of the repeats that every eval makes, in the order of the eval.

    Both arms of a case are in one shard. The run must have been opened.
    """
    suite = order.asked
    design = settle_design(database, order, suite)
    with database.read() as session:
        finished = finished_calls(session, order.run_id)
    calls: Iterable[Call]
    if design is None:
        calls = plan(suite, order.stable, order.candidate, range(order.policy.repeats))
    else:
        calls = calls_of(order, suite, iter(design.schedule(suite, order.policy.repeats).pairs))
    return [call for call in calls if shard.holds(call.key.case_id) and call.key not in finished]


def work_on_shard(database: Database, order: EvalOrder, shard: Shard, seconds: float) -> int:
    """Start calls of a shard for so many seconds, and wait for those under way; returns how many are left.

    Nothing is left once the answers of all shards together have decided the eval. The run must have been opened.
    Idempotent, like the whole eval: answers are stored under arm, case and repeat. The policy's concurrency and budget
    are those of all shards together. Raises as `run_calls`.
    """
    with database.read() as session:
        budget = share_of_budget(session, order.run_id, order.policy, shard.of)
    concurrency = max(1, order.policy.concurrency // shard.of)
    verdict = _Verdict(database, order)
    options = CallOptions(concurrency, order.policy.timeout, budget=budget, enough=lambda: verdict.known)

    def record(answers: Sequence[EvalAnswer]) -> None:
        add_answers(database, order.run_id, answers)
        verdict.look()

    verdict.look()
    run_to_end(run_calls(outstanding(database, order, shard), record, options, Deadline(seconds)))
    verdict.look(at_once=True)
    return 0 if verdict.known else len(outstanding(database, order, shard))


class _Verdict:
    """Whether the answers of all shards decide an eval already; asks the ledger now and then."""

    def __init__(self, database: Database, order: EvalOrder) -> None:
        self._database = database
        suite = order.asked
        design = settle_design(database, order, suite)
        self._early = None if design is None else EarlyEval(order, suite, design)
        self._suite = suite
        self._looked = 0.0

    @property
    def known(self) -> bool:
        return self._early is not None and self._early.decided

    def look(self, *, at_once: bool = False) -> None:
        """Once a second, however often it is asked; judges have to be heard by the whole eval first."""
        if self._early is None or (monotonic() - self._looked < _LOOK_SECONDS and not at_once):
            return
        self._looked = monotonic()
        with self._database.read() as session:
            material = Material.of(session, self._early.order, self._suite, datetime.now(UTC))
            self._early.refresh(session, material)
