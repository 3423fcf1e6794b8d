"""A load generator: connections that each send the next request when they have the last answer."""

import asyncio
import time
from dataclasses import dataclass, field
from itertools import count
from typing import cast

import uvloop

from benchmarks.gateway.answers import Answer
from benchmarks.gateway.requests import RequestKind, Requests


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: a port, the path of the API's base, and the model that they name."""

    port: int
    base: str
    model: str

    def requests(self, kind: RequestKind) -> Requests:
        """Requests of a kind for this target."""
        return Requests(self.base + kind.path, kind.body(self.model))


@dataclass(frozen=True, slots=True)
class Load:
    """What was seen: answers, those that weren't good, and latencies in milliseconds.

    A latency is the time to the first event of a stream, or to the end of an answer that isn't streamed; not a number
    where nothing was answered.
    """

    answers: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds


@dataclass
class _Tally:
    events: int
    latencies: list[float] = field(default_factory=list)
    answers: int = 0
    errors: int = 0
    stopped: bool = False
    users: "count[int]" = field(default_factory=count)


class _Client(asyncio.Protocol):
    def __init__(self, requests: Requests, tally: _Tally) -> None:
        self._requests = requests
        self._tally = tally
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's don't derive from it
        self._ask()

    def _ask(self) -> None:
        self._answer = Answer(self._tally.events)
        self._begun = False
        request = self._requests.of_user(next(self._tally.users))
        self._asked_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer.add(data)
        if not self._begun and self._answer.has_begun:
            self._begun = True
            if not self._tally.stopped:
                self._tally.latencies.append(time.perf_counter() - self._asked_at)
        if not self._answer.is_whole:
            return
        if self._tally.stopped:
            self._transport.close()
            return
        self._tally.answers += 1
        self._tally.errors += not self._answer.is_good
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._tally.errors += not self._tally.stopped
        if not self.over.done():
            self.over.set_result(None)


async def _generate(requests: Requests, port: int, connections: int, seconds: float, events: int) -> Load:
    loop = asyncio.get_running_loop()
    tally = _Tally(events)
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Client(requests, tally), "127.0.0.1", port) for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    latencies, answers, errors = sorted(tally.latencies), tally.answers, tally.errors
    took = time.perf_counter() - began
    tally.stopped = True
    await asyncio.wait([client.over for _, client in made], timeout=10)
    if not latencies:
        return Load(answers, errors, took, float("nan"), float("nan"))
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    return Load(answers, errors, took, p50, p99)


def generate(target: Target, kind: RequestKind, connections: int, seconds: float, events: int = 0) -> Load:
    """Load a target over so many connections for so long; each answer is streamed in so many events, 0 for whole."""
    return uvloop.run(_generate(target.requests(kind), target.port, connections, seconds, events))


def does_answer(target: Target, kind: RequestKind, events: int = 0) -> bool:
    """Whether a target answers now, and well for the most part."""
    try:
        found = generate(target, kind, 1, 0.3, events)
    except OSError:
        return False
    return found.answers > found.errors
