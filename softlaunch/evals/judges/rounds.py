"""Making the judgements of an eval, many at once; in the ledger they are recorded as they come."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from softlaunch.core.errors import SoftlaunchError
from softlaunch.evals.calls.answers import EvalAnswer
from softlaunch.evals.calls.budget import Budget
from softlaunch.evals.calls.call import Call, CallOptions, Client
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.endpoint import open_endpoints
from softlaunch.evals.calls.runner import run_to_end
from softlaunch.evals.judges.gating import judges_of
from softlaunch.evals.judges.judgements import JudgementKey, Judging
from softlaunch.evals.judges.panel import Ask, Judges, Panel
from softlaunch.evals.judges.recorded_judgements import add_judgements
from softlaunch.metrics import Helpers, PairMetric, Score
from softlaunch.metrics.interface import NOTHING_SPENT
from softlaunch.policy.evals import JudgePolicy
from softlaunch.store.database import Database

_FLUSH_SECONDS = 0.1
_LOOK_SECONDS = 0.02

Record = Callable[[Sequence[tuple[JudgementKey, Score]]], None]


class BudgetSpentError(Exception):
    """The budget forbids a judge's call, so that the judgement stays open."""


@asynccontextmanager
async def open_ask(options: CallOptions) -> AsyncIterator[Ask]:
    """A way to make judges' calls over HTTP, as long as this is open."""
    async with open_endpoints(options.timeout_seconds) as endpoints:
        client = Client(endpoints, options, Deadline())

        async def make(call: Call) -> EvalAnswer:
            answer = await client.answer(call)
            if answer is None:
                raise BudgetSpentError
            return answer

        yield make


def judging(
    database: Database, run_id: str, policy: JudgePolicy | None, unjudged: Sequence[Judging], options: CallOptions
) -> Callable[[Deadline], None]:
    """What makes a run's missing judgements until a deadline, or until the budget is used up.

    Raises NotFoundError for a judge that isn't recorded, UnpricedError where a budget in USD can't be kept.
    """
    with database.read() as session:
        judges = judges_of(session, policy)
    options.budget.check(judges.models)
    record = partial(add_judgements, database, run_id)

    def run(until: Deadline) -> None:
        run_to_end(judge_with(options, judges, unjudged, record, until))

    return run


async def judge_with(
    options: CallOptions, judges: Judges, wanted: Sequence[Judging], record: Record, until: Deadline
) -> None:
    """Make judgements over HTTP; see `Round`."""
    async with open_ask(options) as ask:
        round_ = Round(wanted, Panel(judges, ask), record, until, options.budget)
        await round_.run(options.concurrency)


class Round:
    """Judgements to be made. After the deadline, and with the budget used up, none is begun.

    Each is recorded soon after it came. `record` runs in a thread of its own and must be safe to repeat.
    """

    def __init__(
        self, wanted: Sequence[Judging], helpers: Helpers, record: Record, until: Deadline, budget: Budget
    ) -> None:
        self._waiting = deque(wanted)
        self._helpers = helpers
        self._record = record
        self._until = until
        self._budget = budget
        self._unwritten: list[tuple[JudgementKey, Score]] = []
        self._over = asyncio.Event()

    async def run(self, concurrency: int) -> None:
        """Ask for everything that is wanted.

        Raises SoftlaunchError, such as that no judge is named; whatever else a metric raises makes the answer unscored.
        """
        workers = max(1, min(concurrency, len(self._waiting)))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.write())
                await asyncio.wait([group.create_task(self.work()) for _ in range(workers)])
                self._over.set()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        finally:
            self._record(tuple(self._unwritten))

    async def work(self) -> None:
        """Take what is wanted until none is left, until the deadline, or until the budget is used up."""
        while self._waiting and not self._until.passed and self._budget.spent_out is None:
            if self._budget.must_wait:
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            judging = self._waiting.popleft()
            self._budget.take()
            score: Score | None = None
            try:
                score = await judge(judging, self._helpers)
                self._unwritten.append((judging.key, score))
            except BudgetSpentError:
                return
            finally:
                spent = score.spent if score else NOTHING_SPENT
                self._budget.settle(spent.cost_usd, answered=spent.calls > 0)

    async def write(self) -> None:
        """Record what has come in, a few times a second, until the round is over."""
        while not self._over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), _FLUSH_SECONDS)
            batch = tuple(self._unwritten)
            await asyncio.to_thread(self._record, batch)
            del self._unwritten[: len(batch)]


async def judge(judging: Judging, helpers: Helpers) -> Score:
    """One judgement."""
    metric = judging.metric
    try:
        if isinstance(metric, PairMetric):
            if judging.stable is None:
                return Score(None, "stable gave no answer to compare with")
            return await metric.compare(judging.stable, judging.sample, helpers)
        return await metric.score(judging.sample, helpers)
    except (SoftlaunchError, BudgetSpentError):
        raise
    except Exception as error:  # a metric of somebody's own can raise anything, and one answer must not end an eval
        return Score(None, f"{metric.name} failed: {type(error).__name__}: {error}")
