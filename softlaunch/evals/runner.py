"""Running the calls of an eval: many at once, both arms interleaved, answers recorded as they come."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from time import monotonic

import httpx
from httpx_aiohttp import AiohttpTransport

from softlaunch.evals.answers import CallKey, EvalAnswer, EvalArm
from softlaunch.evals.calls import Call, ask, provider_headers
from softlaunch.evals.retry import Retries
from softlaunch.evals.suite import Suite
from softlaunch.variant import Variant

_BATCH = 32
_FLUSH_SECONDS = 0.25
_LOOK_SECONDS = 0.02

Record = Callable[[Sequence[EvalAnswer]], None]


class Deadline:
    """Until when calls may be started, on the monotonic clock; it can be moved on while they run."""

    def __init__(self, seconds: float = float("inf")) -> None:
        self.at = monotonic() + seconds

    def move(self, seconds: float) -> None:
        """Let calls start for so many seconds from now; zero or less stops them."""
        self.at = monotonic() + seconds

    @property
    def passed(self) -> bool:
        """Whether no further call may be started."""
        return monotonic() >= self.at


def plan(suite: Suite, stable: Variant, candidate: Variant, repeats: range) -> Iterator[Call]:
    """The calls of some repeats, each case's two arms next to each other, so that what drifts meets both.

    Which arm goes first alternates from case to case and from repeat to repeat.
    """
    arms = ((EvalArm.STABLE, stable), (EvalArm.CANDIDATE, candidate))
    for repeat in repeats:
        for index, case in enumerate(suite.cases):
            for arm, variant in arms if (index + repeat) % 2 == 0 else arms[::-1]:
                yield Call(CallKey(arm, case.id, repeat), variant, case)


async def run_calls(
    calls: Sequence[Call],
    record: Record,
    *,
    concurrency: int,
    timeout_seconds: float,
    until: Deadline,
    rng: random.Random,
    retries: Retries | None = None,
) -> None:
    """Make the calls and record every answer, at most a quarter of a second after it came.

    After the deadline no call is started; those under way are waited for, because they are paid for. `record` runs
    in a thread of its own and must be safe to repeat. Raises MissingKeyError before the first call, and whatever
    `record` raises.
    """
    for call in calls:
        provider_headers(call.variant.model)
    if not calls:
        return
    run = _Run(calls, record, until)
    transport = AiohttpTransport(limits=httpx.Limits(max_connections=concurrency))
    async with httpx.AsyncClient(transport=transport, timeout=timeout_seconds) as client:

        async def answer(call: Call) -> EvalAnswer:
            return await ask(client, call, timeout_seconds=timeout_seconds, retries=retries or Retries(), rng=rng)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(run.write())
                workers = [group.create_task(run.work(answer)) for _ in range(min(concurrency, len(calls)))]
                await asyncio.wait(workers)
                run.over = True
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        finally:
            run.write_rest()


class _Run:
    """What the workers and the writer of one run share."""

    def __init__(self, calls: Sequence[Call], record: Record, until: Deadline) -> None:
        self.waiting = deque(calls)
        self.record = record
        self.until = until
        self.under_way = 0
        self.unwritten: list[EvalAnswer] = []
        self.over = False

    async def work(self, answer: Callable[[Call], Awaitable[EvalAnswer]]) -> None:
        """Take calls until none is left, or until the deadline has passed and nobody is busy."""
        while self.waiting:
            if self.until.passed:
                if not self.under_way:
                    return
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            call = self.waiting.popleft()
            self.under_way += 1
            try:
                self.unwritten.append(await answer(call))
            finally:
                self.under_way -= 1

    async def write(self) -> None:
        """Record what has come in, in batches, until the run is over."""
        last = monotonic()
        while not self.over or self.unwritten:
            due = self.over or len(self.unwritten) >= _BATCH or monotonic() - last >= _FLUSH_SECONDS
            if due and self.unwritten:
                count = len(self.unwritten)
                await asyncio.to_thread(self.record, self.unwritten[:count])
                del self.unwritten[:count]
                last = monotonic()
            else:
                await asyncio.sleep(_LOOK_SECONDS)

    def write_rest(self) -> None:
        """Record what a run that broke off had left; after a whole run there is nothing."""
        if self.unwritten:
            self.record(self.unwritten)
