"""Making the judgements of an eval, many at once, recorded as they come."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from softlaunch.core.errors import SoftlaunchError
from softlaunch.evals.calls.budget import Budget
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.judges.caller import BudgetSpentError, Caller
from softlaunch.evals.judges.judgements import JudgementKey, Judging
from softlaunch.evals.judges.panel import Judges, Panel
from softlaunch.metrics import Helpers, PairMetric, Score
from softlaunch.metrics.interface import NOTHING_SPENT

_FLUSH_SECONDS = 0.1
_LOOK_SECONDS = 0.02

Record = Callable[[Sequence[tuple[JudgementKey, Score]]], None]


async def judge_with(
    caller: Caller, judges: Judges, wanted: Sequence[Judging], record: Record, until: Deadline
) -> None:
    """Make judgements over HTTP; see `Round`."""
    async with caller.open() as ask:
        round_ = Round(wanted, Panel(judges, ask), record, until, caller.budget)
        await round_.run(caller.concurrency)


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
        self._over = False

    async def run(self, concurrency: int) -> None:
        """Ask for everything that is wanted.

        Raises SoftlaunchError, such as that no judge is named; whatever else a metric raises makes the answer unscored.
        """
        workers = max(1, min(concurrency, len(self._waiting)))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.write())
                await asyncio.wait([group.create_task(self.work()) for _ in range(workers)])
                self._over = True
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
        while not self._over:
            await asyncio.sleep(_FLUSH_SECONDS)
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
