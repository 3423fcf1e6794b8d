"""Making judges' calls over HTTP, with the retries and limits of an eval's own calls."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from softlaunch.evals.calls.answers import EvalAnswer
from softlaunch.evals.calls.budget import Budget
from softlaunch.evals.calls.call import Call, Client
from softlaunch.evals.calls.deadline import Deadline
from softlaunch.evals.calls.endpoint import open_session
from softlaunch.evals.calls.retry import Retries
from softlaunch.evals.judges.panel import Ask


class BudgetSpentError(Exception):
    """The budget forbids a judge's call, so that the judgement stays open."""


@dataclass(frozen=True, slots=True)
class Caller:
    """How judges are called."""

    concurrency: int = 16
    timeout_seconds: float = 60.0
    retries: Retries = field(default_factory=Retries)
    rng: random.Random = field(default_factory=random.Random)
    budget: Budget = field(default_factory=Budget)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Ask]:
        """A way to make calls, as long as this is open."""
        async with open_session(self.concurrency, self.timeout_seconds) as session:
            client = Client(session, retries=self.retries, budget=self.budget, until=Deadline(), rng=self.rng)

            async def make(call: Call) -> EvalAnswer:
                answer = await client.answer(call)
                if answer is None:
                    raise BudgetSpentError
                return answer

            yield make
