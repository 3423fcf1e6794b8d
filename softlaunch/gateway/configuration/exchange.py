"""Reading requests of the configuration's paths, and answering them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import orjson

from softlaunch.gateway.encodings import decompress
from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.requests import retry_after
from softlaunch.gateway.wire import JSON, BodyReader, BodyRoom, RefusedError, bad_parameter, read_object
from softlaunch.gateway.wire import Headers as Lines

Headers = Mapping[bytes, bytes]
_MOST_WAITING = 4096


@dataclass(slots=True)
class Exchange:
    """What requests may take of a server: memory for their bodies, and how many may wait or listen at once."""

    limits: Limits
    room: BodyRoom
    waiting: int = 0

    async def read(self, cycle: HttpCycle, headers: Headers) -> "Body":
        """The JSON object in a request's body; to be closed. Raises RefusedError (400, 413, 415, 503)."""
        reader = BodyReader(cycle.part, self.limits, self.room)
        body = Body(reader)
        try:
            length, encoding = headers.get(b"content-length", b""), headers.get(b"content-encoding")
            content = await reader.read(int(length) if length.isdigit() else None)
            content = reader.hold(decompress(content, encoding, self.limits) if encoding else content)
            body.content = read_object(content)
        except BaseException:
            body.__exit__()
            raise
        return body

    @contextmanager
    def place(self) -> Iterator[None]:
        """Wait or listen. Raises RefusedError with 503 where as many do as may."""
        if self.waiting >= _MOST_WAITING:
            text = f"{self.waiting} requests wait for changes already, and no more may; try again"
            raise RefusedError(503, text, kind="server_error", code="overloaded", headers=retry_after(5))
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1


@dataclass(slots=True)
class Body:
    """A body that was read; as a context manager it gives back the memory that it took."""

    reader: BodyReader
    content: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> dict[str, Any]:
        return self.content

    def __exit__(self, *_: object) -> None:
        self.reader.__exit__()


async def send_json(cycle: HttpCycle, value: object, status: int = 200, lines: Lines | None = None) -> None:
    """Answer with a JSON document."""
    await cycle.respond(status, [*JSON, *(lines or [])], orjson.dumps(value))


def query_of(cycle: HttpCycle) -> dict[str, list[str]]:
    """A request's query by name."""
    return parse_qs(cycle.head.query.decode("latin-1"), max_num_fields=1000)


def seconds_of(query: Mapping[str, list[str]], name: str, most: float) -> float:
    """A number of seconds in a query, 0 where it isn't there, and at most `most`. Raises RefusedError with 400."""
    given = query.get(name, ["0"])[-1]
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise bad_parameter(name, "must be a number of seconds, 0 or more")
    return min(seconds, most)
