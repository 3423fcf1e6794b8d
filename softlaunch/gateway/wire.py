"""ASGI by hand: reading bounded bodies, sending answers, and errors in OpenAI's shape."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from softlaunch.errors import SoftlaunchError
from softlaunch.gateway.limits import Limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON: Headers = [(b"content-type", b"application/json")]


class RefusedError(SoftlaunchError):
    """A request that is answered with an error of the gateway's own."""

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
        self.body = error_body(message, kind=kind, code=code, param=param)


class ClientGoneError(Exception):
    """The client closed its connection, or stopped reading."""


def error_body(message: str, *, kind: str, code: str | None = None, param: str | None = None) -> bytes:
    """An error as OpenAI's clients understand it."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


async def send_answer(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """A whole answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, value: object, status: int = 200) -> None:
    """A JSON document."""
    await send_answer(send, status, orjson.dumps(value), JSON)


async def read_body(receive: Receive, limits: Limits, declared: int | None) -> bytes:
    """The request's body. Raises RefusedError with 413 or 408, and ClientGoneError."""
    if declared is not None and declared > limits.body_bytes:
        raise too_large(limits)
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _read_parts(receive, limits)
    except TimeoutError:
        text = f"the request's body didn't arrive within {limits.body_seconds:g} s"
        raise RefusedError(408, text, code="request_timeout") from None


async def _read_parts(receive: Receive, limits: Limits) -> bytes:
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limits.body_bytes:
            raise too_large(limits)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def too_large(limits: Limits) -> RefusedError:
    """The refusal of a body that is larger than it may be."""
    return RefusedError(
        413, f"the request's body is larger than {limits.body_bytes} bytes; send less", code="request_too_large"
    )


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises RefusedError with 400."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, f"the request's body is no JSON: {error}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise RefusedError(400, "the request's body must be a JSON object", code="invalid_json")
    return value
