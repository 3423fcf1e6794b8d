"""Running the calls of an eval: many at once, both arms interleaved, answers recorded as they come."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from time import monotonic

import uvloop

from softlaunch.core.endpoint import model_headers
from softlaunch.core.variant import Variant
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.calls.budget import Budget
from softlaunch.evals.calls.call import Call, CallOptions, Client
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.endpoint import open_endpoints
from softlaunch.evals.suites.suite import Suite

_BATCH = 100
_FLUSH_SECONDS = 0.25
_LOOK_SECONDS = 0.02

Record = Callable[[Sequence[EvalAnswer]], None]


def plan(suite: Suite, stable: Variant, candidate: Variant, repeats: range) -> Iterator[Call]:
    """The calls of some repeats, each case's two arms next to each other, so that what drifts meets both.

    Which arm goes first alternates from case to case and from repeat to repeat.
    """
    arms = ((EvalArm.STABLE, stable), (EvalArm.CANDIDATE, candidate))
    for repeat in repeats:
        for index, case in enumerate(suite.cases):
            for arm, variant in arms if (index + repeat) % 2 == 0 else arms[::-1]:
                yield Call(CallKey(arm, case.id, repeat), variant, case)


async def run_calls(calls: Sequence[Call], record: Record, options: CallOptions, until: Deadline) -> None:
    """Make the calls and record every answer, at most a quarter of a second after it came.

    After the deadline, with the budget used up, and once there is enough, no call is started; those under way are
    waited for, because they are paid for. `record` runs in a thread of its own and must be safe to repeat. Raises
    MissingKeyError before the first call, UnpricedError, and whatever `record` raises.
    """
    if not calls:
        return
    budget = options.budget
    models = {call.variant.digest: call.variant.model for call in calls}.values()
    budget.check(models)
    for model in models:
        model_headers(model, os.environ)
    run = _Run(calls, record, until, options)
    async with open_endpoints(options.timeout_seconds) as endpoints:
        client = Client(endpoints, options, until)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(run.write())
                workers = [group.create_task(run.work(client)) for _ in range(min(options.concurrency, len(calls)))]
                await asyncio.wait(workers)
                run.over = True
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        finally:
            run.write_rest()


class _Run:
    """What the workers and the writer of one run share."""

    def __init__(self, calls: Sequence[Call], record: Record, until: Deadline, options: CallOptions) -> None:
        self.waiting = deque(calls)
        self.record = record
        self.until = until
        self.budget: Budget = options.budget
        self.enough = options.enough or (lambda: False)
        self.under_way = 0
        self.unwritten: list[EvalAnswer] = []
        self.over = False

    async def work(self, client: Client) -> None:
        """Take calls until none is left, needed or may be paid, or the deadline has passed and nobody is busy."""
        while self.waiting and self.budget.spent_out is None and not self.enough():
            if self.until.passed and not self.under_way:
                return
            if self.until.passed or self.budget.must_wait:
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            await self._make(self.waiting.popleft(), client)

    async def _make(self, call: Call, client: Client) -> None:
        self.under_way += 1
        self.budget.take()
        answer = None
        try:
            answer = await client.answer(call)
            if answer is not None:
                self.unwritten.append(answer)
        finally:
            self.under_way -= 1
            answered = answer is not None and answer.status is Status.SCORED
            self.budget.settle(answer.cost_usd if answer else None, answered=answered)

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


def run_to_end(work: Coroutine[None, None, None]) -> None:
    """Run it on an event loop of its own, the fast one."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
