"""One request of an eval to a model's endpoint: its reply, or why there is none."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import aiohttp
import orjson
from multidict import CIMultiDict

from softlaunch.core.api import Api
from softlaunch.core.endpoint import Way, model_headers, path_of, way_to
from softlaunch.core.usage import Usage
from softlaunch.core.variant import ModelVersion
from softlaunch.evals.calls.speaking import MESSAGES_VERSION, api_of, read_chat, read_message
from softlaunch.evals.calls.tool_calls import write_tool_calls

NO_HEADERS: Mapping[str, str] = {}
_OK = 200
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_CHUNK_BYTES = 1 << 18
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
        headers = CIMultiDict({"Content-Type": "application/json"})
        if asked is Api.MESSAGES:
            headers.update([MESSAGES_VERSION])
        headers.update(model_headers(model, os.environ, asked))
        headers.update(extra_headers)
        return cls(way_to(model, path_of(asked)), headers, asked)


def open_session(concurrency: int, timeout_seconds: float) -> aiohttp.ClientSession:
    """A client for so many requests at once, each with so much time."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=concurrency, ttl_dns_cache=60),
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def attempt(session: aiohttp.ClientSession, target: Target, body: bytes) -> Reply:
    """One request. Raises AttemptError."""
    started = perf_counter()
    try:
        async with session.post(
            target.way.url, data=body, headers=target.headers, allow_redirects=False, proxy=target.way.proxy
        ) as response:
            content = await _content(response)
    except TimeoutError as error:
        raise AttemptError("timeout") from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, UnicodeError) as error:
        raise AttemptError("bad_endpoint") from error
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
        raise AttemptError("connect", again=True) from error
    except aiohttp.ClientError as error:  # what isn't HTTP at all
        raise AttemptError("bad_answer") from error
    latency_ms = (perf_counter() - started) * 1000
    if response.status != _OK:
        again = response.status == _TOO_MANY_REQUESTS or response.status >= _SERVER_ERROR
        raise AttemptError(f"http_{response.status}", again=again, headers=response.headers)
    return _read(content, target.api, latency_ms, response.headers)


async def _content(response: aiohttp.ClientResponse) -> bytes:
    """The body. Raises AttemptError where it is longer than any answer."""
    parts, size = [], 0
    async for part in response.content.iter_chunked(_CHUNK_BYTES):
        size += len(part)
        if size > _MOST_BYTES:
            raise AttemptError("answer_too_large")
        parts.append(part)
    return b"".join(parts)


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
