"""A load generator: connections that each send the next request when they have the last answer."""

import asyncio
import time
from dataclasses import dataclass, field
from itertools import count
from typing import cast

import orjson
import uvloop

from benchmarks.gateway.provider import content_length


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and the model that they name."""

    port: int
    path: str
    model: str


@dataclass(frozen=True, slots=True)
class Load:
    """What was seen: answers per second, latencies in milliseconds, and answers that weren't 200."""

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
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    stopped: bool = False
    users: "count[int]" = field(default_factory=count)


class _Client(asyncio.Protocol):
    def __init__(self, target: Target, tally: _Tally) -> None:
        self._target = target
        self._tally = tally
        self._buffer = b""
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's don't derive from it
        self._ask()

    def _ask(self) -> None:
        body = orjson.dumps(
            {
                "model": self._target.model,
                "user": f"user-{next(self._tally.users)}",
                "messages": [{"role": "user", "content": "Where is my parcel, and when will it be here?"}],
            }
        )
        head = (
            f"POST {self._target.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer bench\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._asked_at = time.perf_counter()
        self._transport.write(head.encode() + body)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or len(self._buffer) < end + 4 + content_length(self._buffer[:end]):
            return
        if self._tally.stopped:
            self._transport.close()
            return
        self._tally.latencies.append(time.perf_counter() - self._asked_at)
        self._tally.errors += not self._buffer.startswith(b"HTTP/1.1 200")
        self._buffer = b""
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._tally.errors += not self._tally.stopped
        if not self.over.done():
            self.over.set_result(None)


async def _generate(target: Target, connections: int, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    tally = _Tally()
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Client(target, tally), "127.0.0.1", target.port)
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    answers, errors, took = sorted(tally.latencies), tally.errors, time.perf_counter() - began
    tally.stopped = True
    await asyncio.wait([client.over for _, client in made], timeout=10)
    if not answers:
        return Load(0, errors, took, float("nan"), float("nan"))
    p50, p99 = (answers[int(len(answers) * share)] * 1000 for share in (0.5, 0.99))
    return Load(len(answers), errors, took, p50, p99)


def generate(target: Target, connections: int, seconds: float) -> Load:
    """Load a target over so many connections for so long."""
    return uvloop.run(_generate(target, connections, seconds))
