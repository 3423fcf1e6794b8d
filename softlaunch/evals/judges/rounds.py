"""Making the judgements of an eval, many at once, recorded as they come."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from softlaunch.errors import SoftlaunchError
from softlaunch.evals.deadline import Deadline
from softlaunch.evals.judges.caller import Caller
from softlaunch.evals.judges.judgements import JudgementKey, Judging
from softlaunch.evals.judges.panel import Judges, Panel
from softlaunch.evals.metrics import Helpers, PairMetric, Score

_FLUSH_SECONDS = 0.1

Record = Callable[[Sequence[tuple[JudgementKey, Score]]], None]


async def judge_with(
    caller: Caller, judges: Judges, wanted: Sequence[Judging], record: Record, until: Deadline
) -> None:
    """Make judgements over HTTP; see `judge_all`."""
    async with caller.open() as ask:
        await judge_all(wanted, Panel(judges, ask), record, concurrency=caller.concurrency, until=until)


async def judge_all(
    wanted: Sequence[Judging], helpers: Helpers, record: Record, *, concurrency: int, until: Deadline
) -> None:
    """Ask for every judgement and record it soon after it came; after the deadline none is begun.

    `record` runs in a thread of its own and must be safe to repeat. Raises SoftlaunchError, such as that no judge is
    named; whatever else a metric raises makes that answer unscored.
    """
    round_ = _Round(wanted, helpers, record, until)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(round_.write())
            await asyncio.wait([group.create_task(round_.work()) for _ in range(max(1, min(concurrency, len(wanted))))])
            round_.over = True
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    finally:
        round_.write_rest()


class _Round:
    """What the workers and the writer of one round share."""

    def __init__(self, wanted: Sequence[Judging], helpers: Helpers, record: Record, until: Deadline) -> None:
        self._waiting = deque(wanted)
        self._helpers = helpers
        self._record = record
        self._until = until
        self._unwritten: list[tuple[JudgementKey, Score]] = []
        self.over = False

    async def work(self) -> None:
        """Take what is wanted until none is left, or until the deadline."""
        while self._waiting and not self._until.passed:
            judging = self._waiting.popleft()
            self._unwritten.append((judging.key, await judge(judging, self._helpers)))

    async def write(self) -> None:
        """Record what has come in, a few times a second, until the round is over."""
        while not self.over:
            await asyncio.sleep(_FLUSH_SECONDS)
            batch = tuple(self._unwritten)
            await asyncio.to_thread(self._record, batch)
            del self._unwritten[: len(batch)]

    def write_rest(self) -> None:
        """Record what came last."""
        self._record(tuple(self._unwritten))


async def judge(judging: Judging, helpers: Helpers) -> Score:
    """One judgement."""
    metric = judging.metric
    try:
        if isinstance(metric, PairMetric):
            if judging.stable is None:
                return Score(None, "stable gave no answer to compare with")
            return await metric.compare(judging.stable, judging.sample, helpers)
        return await metric.score(judging.sample, helpers)
    except SoftlaunchError:
        raise
    except Exception as error:  # a metric of somebody's own can raise anything, and one answer must not end an eval
        return Score(None, f"{metric.name} failed: {type(error).__name__}: {error}")
