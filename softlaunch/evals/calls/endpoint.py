"""One request of an eval to a model's endpoint: its reply, or why there is none."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import orjson

from softlaunch import __version__
from softlaunch.core.api import Api
from softlaunch.core.endpoint import Way, model_headers, path_of, way_to
from softlaunch.core.usage import Usage
from softlaunch.core.variant import ModelVersion
from softlaunch.evals.calls.speaking import MESSAGES_VERSION, api_of, read_chat, read_message
from softlaunch.evals.calls.tool_calls import write_tool_calls
from softlaunch.gateway.connections import Connections, Sent
from softlaunch.gateway.provider.errors import (
    AnswerTooLargeError,
    BrokenOffError,
    ConnectTimeoutError,
    InvalidUrlError,
    ProviderCallError,
    UnreachableError,
)

NO_HEADERS: Mapping[str, str] = {}
_OWN_HEADERS = {"content-type": "application/json", "accept": "*/*", "user-agent": f"softlaunch/{__version__}"}
_OK = 200
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_MOST_BYTES = 64 << 20  # three times the longest text that is scored


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as the endpoint gave it."""

    text: str
    usage: Usage
    latency_ms: float
    headers: Mapping[str, str]
    resolved_model: str | None = None
    fingerprint: str | None = None


class AttemptError(Exception):
    """An attempt that brought no answer: a short code, and whether another attempt may help.

    `limited` means that the endpoint takes no more requests for now, whoever asks.
    """

    def __init__(self, code: str, *, again: bool = False, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.again = again
        self.headers: Mapping[str, str] = headers or {}

    @property
    def limited(self) -> bool:
        """Whether the rate limit was the reason."""
        return self.code == f"http_{_TOO_MANY_REQUESTS}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a model's requests go, by which API, and what they carry, worked out once."""

    way: Way
    headers: Mapping[str, str] = field(repr=False)
    api: Api = Api.CHAT

    @classmethod
    def of(cls, model: ModelVersion, extra_headers: Mapping[str, str] = NO_HEADERS, api: Api | None = None) -> "Target":
        """The endpoint of a model, by the API that evals ask it by, with a variant's own headers.

        Raises EndpointError, MissingKeyError among it.
        """
        asked = api or api_of(model)
        headers = {**_OWN_HEADERS, **dict([MESSAGES_VERSION] if asked is Api.MESSAGES else [])}
        for given in (model_headers(model, os.environ, asked), extra_headers):
            headers.update({name.lower(): value for name, value in given.items()})
        return cls(way_to(model, path_of(asked)), headers, asked)


class Endpoints:
    """Requests to models' endpoints, each with so many seconds."""

    def __init__(self, connections: Connections, timeout_seconds: float) -> None:
        self._connections = connections
        self._seconds = timeout_seconds

    async def attempt(self, target: Target, body: bytes) -> Reply:
        """One request. Raises AttemptError."""
        started = perf_counter()
        try:
            async with asyncio.timeout(self._seconds):
                status, raw_headers, content = await self._post(target, body)
        except (TimeoutError, ConnectTimeoutError) as error:
            raise AttemptError("timeout") from error
        except AnswerTooLargeError as error:
            raise AttemptError("answer_too_large") from error
        except InvalidUrlError as error:
            raise AttemptError("bad_endpoint") from error
        except (UnreachableError, BrokenOffError, OSError) as error:
            raise AttemptError("connect", again=True) from error
        except ProviderCallError as error:  # what isn't HTTP at all
            raise AttemptError("bad_answer") from error
        latency_ms = (perf_counter() - started) * 1000
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw_headers}
        if status != _OK:
            again = status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR
            raise AttemptError(f"http_{status}", again=again, headers=headers)
        return _read(content, target.api, latency_ms, headers)

    async def _post(self, target: Target, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        sent = Sent(target.headers, body)
        answer = await self._connections.call("POST", target.way, sent, self._seconds)
        over = False
        try:
            content = await answer.whole(_MOST_BYTES)
            over = True
        finally:
            self._connections.give_back(answer, over=over)
        return answer.status, answer.raw_headers, content


@asynccontextmanager
async def open_endpoints(timeout_seconds: float) -> AsyncIterator[Endpoints]:
    """A way to ask endpoints, with connections that are kept as long as this is open."""
    connections = Connections(resends=False)  # whoever calls counts attempts, and makes the next one
    try:
        yield Endpoints(connections, timeout_seconds)
    finally:
        await connections.close()


def _read(content: bytes, api: Api, latency_ms: float, headers: Mapping[str, str]) -> Reply:
    """An answer, of several choices the first; one that only calls tools has these as its text."""
    try:
        answer = orjson.loads(content)
        said = read_message(answer) if api is Api.MESSAGES else read_chat(answer)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise AttemptError("bad_answer") from error
    if not isinstance(said.text, str | None):
        raise AttemptError("bad_answer")
    text = said.text or (write_tool_calls(said.calls) if said.calls else "")
    names = _name(said.resolved_model), _name(said.fingerprint)
    return Reply(_without_nul(text), said.usage, latency_ms, headers, *names)


def _name(value: Any) -> str | None:
    """The name that an answer gives itself; cut short, because it comes from outside."""
    return _without_nul(value[:200]) if isinstance(value, str) and value else None


def _without_nul(text: str) -> str:
    """The text with a mark in the place of NUL, which PostgreSQL can't keep."""
    return text.replace("\x00", "\ufffd")
