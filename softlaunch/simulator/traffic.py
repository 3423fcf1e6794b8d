"""Simulated users of an app, who call a gateway: they ask, wait, and rate some of the answers.

The load is open: requests arrive when they arrive, however slow the gateway is, because real users don't wait for each
other. Those beyond `max_in_flight` are counted as not sent.
"""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import aiohttp
from pydantic import SecretStr

from softlaunch.core.errors import SoftlaunchError
from softlaunch.simulator.arrivals import replayed_gaps, shaped_gaps
from softlaunch.simulator.cases import Case
from softlaunch.simulator.tally import Tally
from softlaunch.simulator.users import Crowd, RatingKind, rate
from softlaunch.simulator.visitor import ask, send_rating


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """What to play.

    `gateway` is the URL without `/v1`. Without `duration_s` traffic lasts until it is stopped. `gaps` are recorded
    seconds between arrivals, stretched to `rate_rps`; without them arrivals are bursty and slowly modulated.
    """

    gateway: str
    app: str
    rate_rps: float
    duration_s: float | None = None
    users: int = 500
    ratings: RatingKind = RatingKind.THUMBS
    rated_share: float = 0.2
    stream_share: float = 0.25
    patience_s: float = 6.0
    timeout_s: float = 60.0
    max_in_flight: int = 2000
    seed: int = 0
    api_key: SecretStr | None = None
    gaps: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("rate_rps", "patience_s", "timeout_s", "users", "max_in_flight"):
            if not getattr(self, name) > 0:
                raise SoftlaunchError(f"{name} is {getattr(self, name)}, expected a number above zero")
        for name in ("rated_share", "stream_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise SoftlaunchError(f"{name} is {getattr(self, name)}, expected a share from 0 to 1")


class Traffic:
    """One run of traffic; `tally` can be read while it runs, and `stop` may be called from any thread."""

    def __init__(self, plan: TrafficPlan, cases: Sequence[Case]) -> None:
        if not cases:
            raise SoftlaunchError("traffic needs at least one question to ask; give a JSON-lines file with --questions")
        self.plan = plan
        self.tally = Tally()
        self._gateway = plan.gateway.rstrip("/").removesuffix("/v1")
        self._cases = cases
        self._rng = random.Random(f"{plan.seed}|visits")
        self._crowd = Crowd(plan.users, random.Random(f"{plan.seed}|crowd"))
        self._stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()

    def stop(self) -> None:
        """Let nobody else arrive; requests under way are still waited for."""
        self._stopped.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> Tally:
        """Play until the plan's duration is over or somebody stops it, and every request has ended."""
        self._loop = asyncio.get_running_loop()
        visits: set[asyncio.Task[None]] = set()
        async with self._session() as session:
            async for rng in self._arrivals():
                if self.tally.in_flight >= self.plan.max_in_flight:
                    self.tally.not_sent += 1
                    continue
                self.tally.in_flight += 1
                visit = asyncio.create_task(self._visit(session, rng))
                visits.add(visit)
                visit.add_done_callback(visits.discard)
            await asyncio.gather(*visits)
        return self.tally

    def _session(self) -> aiohttp.ClientSession:
        key = self.plan.api_key
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self.plan.timeout_s),
            headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else None,
        )

    async def _arrivals(self) -> AsyncIterator[random.Random]:
        """One source of randomness for each visit, at the moment it begins."""
        began = due = time.monotonic()
        for gap in self._gaps():
            due += gap
            if self.plan.duration_s is not None and due > began + self.plan.duration_s:
                return
            await self._pause_until(due)
            if self._stopped.is_set():
                return
            yield random.Random(self._rng.getrandbits(64))

    def _gaps(self) -> Iterator[float]:
        if self.plan.gaps is not None:
            return replayed_gaps(self.plan.gaps, self.plan.rate_rps)
        return shaped_gaps(self.plan.rate_rps, random.Random(f"{self.plan.seed}|arrivals"))

    async def _pause_until(self, due: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _visit(self, session: aiohttp.ClientSession, rng: random.Random) -> None:
        plan, person, case = self.plan, self._crowd.someone(rng), rng.choice(self._cases)
        try:
            stream = rng.random() < plan.stream_share
            seen, reply = await ask(session, self._gateway, plan.app, person, case, stream=stream)
        finally:
            self.tally.in_flight -= 1
        self.tally.note(seen)
        if seen.failure is not None or reply.request_id is None or rng.random() >= plan.rated_share:
            return
        rating = rate(person, plan.ratings, seen.latency_s, plan.patience_s, rng, right=seen.right)
        if rating is None:
            return
        if await send_rating(session, self._gateway, reply, rating):
            self.tally.note_rating(seen.arm, rating.satisfaction)
        else:
            self.tally.ratings_failed += 1


async def drive(plan: TrafficPlan, cases: Sequence[Case]) -> Tally:
    """Play a plan to its end; use Traffic where it must be stopped or watched meanwhile."""
    return await Traffic(plan, cases).run()
