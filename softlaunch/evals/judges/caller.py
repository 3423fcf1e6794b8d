"""Making judges' calls over HTTP, with the retries and limits of an eval's own calls."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from httpx_aiohttp import AiohttpTransport

from softlaunch.evals.answers import EvalAnswer
from softlaunch.evals.calls import Call, ask
from softlaunch.evals.judges.panel import Ask
from softlaunch.evals.retry import Retries


@dataclass(frozen=True, slots=True)
class Caller:
    """How judges are called."""

    concurrency: int = 16
    timeout_seconds: float = 60.0
    retries: Retries = field(default_factory=Retries)
    rng: random.Random = field(default_factory=random.Random)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Ask]:
        """A way to make calls, as long as this is open."""
        transport = AiohttpTransport(limits=httpx.Limits(max_connections=self.concurrency))
        async with httpx.AsyncClient(transport=transport, timeout=self.timeout_seconds) as client:

            async def make(call: Call) -> EvalAnswer:
                return await ask(client, call, timeout_seconds=self.timeout_seconds, retries=self.retries, rng=self.rng)

            yield make
