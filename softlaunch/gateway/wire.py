"""Reading bounded bodies, and errors of the gateway's own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

import orjson

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.odd_json import read_json
from softlaunch.gateway.limits import Limits

NextPart = Callable[[], Awaitable[bytes]]
"""The pieces of a body, one after the other, and empty at its end. Raises ClientGoneError."""
Headers = list[tuple[bytes, bytes]]

JSON: Headers = [(b"content-type", b"application/json")]

_SURELY_FLAT = 200  # brackets in all; orjson writes 254 levels
_LONGEST_ECHO = 200
_BYTES_PER_VALUE = 64
_BYTES_PER_OBJECT = 240


@dataclass(frozen=True, slots=True)
class Fault:
    """An error of the gateway's own: words for people, and what programs go by, in OpenAI's terms."""

    message: str
    kind: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None


class RefusedError(SoftlaunchError):
    """A request that is answered with an error of the gateway's own, in the words of the client's protocol."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: Headers | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = JSON + (headers or [])
        self.fault = Fault(message, kind, code, param)


class ClientGoneError(Exception):
    """The client closed its connection, or stopped reading."""


def error_body(fault: Fault) -> bytes:
    """An error as OpenAI's clients understand it."""
    error = {"message": fault.message, "type": fault.kind, "param": fault.param, "code": fault.code}
    return orjson.dumps({"error": error})


class BodyRoom:
    """The memory that all bodies of requests may take together, in bytes."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits.requests_bytes
        self.used = 0

    def take(self, size: int) -> None:
        """Count bytes that have come. Raises RefusedError with 503 when there is no room for them."""
        if self.used + size > self._most:
            text = "the gateway has as much of requests under way as it has memory for; try again"
            headers = [(b"retry-after", b"1")]
            raise RefusedError(503, text, kind="server_error", code="overloaded", headers=headers)
        self.used += size

    def give_back(self, size: int) -> None:
        """These bytes are gone."""
        self.used -= size


class BodyReader:
    """The body of one request; as a context manager it gives back the room that the body took."""

    def __init__(self, parts: NextPart, limits: Limits, room: BodyRoom) -> None:
        self._parts = parts
        self._limits = limits
        self._room = room
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.give_back(self._taken)

    async def read(self, declared: int | None) -> bytes:
        """The whole body, of the declared length if any. Raises RefusedError (413, 503) and ClientGoneError."""
        limits = self._limits
        if declared is not None and declared > limits.body_bytes:
            raise too_large(limits)
        parts: list[bytes] = []
        size = 0
        while part := await self._parts():
            parts.append(part)
            size += len(part)
            if size > limits.body_bytes:
                raise too_large(limits)
            self._take(len(part))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take(self, content: bytes) -> bytes:
        """A whole body that came already, counted as `read` counts. Raises RefusedError (413, 503)."""
        if len(content) > self._limits.body_bytes:
            raise too_large(self._limits)
        self._take(len(content))
        return content

    def hold(self, content: bytes) -> bytes:
        """The body as it will be parsed, unpacked if it came packed. Raises RefusedError with 503, as `read` does."""
        self._take(max(0, len(content) - self._taken) + _parsed_size(content))
        return content

    def _take(self, size: int) -> None:
        self._room.take(size)
        self._taken += size


def _parsed_size(content: bytes) -> int:
    """About what a JSON document takes once it is read, beyond its text: an object or a list costs more than its sign.

    `[{},{},{},...` would otherwise be twenty times as large in memory as anybody counted.
    """
    return content.count(b",") * _BYTES_PER_VALUE + content.count(b"{") * _BYTES_PER_OBJECT


def too_large(limits: Limits) -> RefusedError:
    """The refusal of a body that is larger than it may be."""
    return RefusedError(
        413, f"the request's body is larger than {limits.body_bytes} bytes; send less", code="request_too_large"
    )


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body, as `read_json` has it. Raises RefusedError with 400."""
    try:
        value = read_json(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, f"the request's body is no JSON: {error}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise RefusedError(400, "the request's body must be a JSON object", code="invalid_json")
    _check_depth(body, value)
    return value


def _check_depth(body: bytes, value: dict[str, Any]) -> None:
    """Refuse what can be read and not written again; whatever walks through a value may also count on this bound."""
    if body.count(b"[") + body.count(b"{") <= _SURELY_FLAT:
        return
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        text = "the request can't be passed on: it is nested deeper than about 250 levels"
        raise RefusedError(400, text, code="invalid_json") from None


def bad_parameter(param: str, what: str) -> RefusedError:
    """The refusal of a request for one of its parameters."""
    return RefusedError(400, f"'{param}' {what}", param=param, code="invalid_value")


def clipped(text: str) -> str:
    """A client's own words, short enough to be said back to it."""
    return text if len(text) <= _LONGEST_ECHO else text[:_LONGEST_ECHO] + "..."
