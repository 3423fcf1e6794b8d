"""Asking a provider: one call to a variant's endpoint, judged as an answer or as one of the known failures."""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import orjson
from multidict import CIMultiDict

from softlaunch.endpoint import EndpointError, Way, way_to
from softlaunch.gateway.answers import Facts, MalformedAnswerError, StreamReader, read_completion, text_of
from softlaunch.gateway.forwarding import content_type_of, request_headers, response_headers
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.wire import JSON, Headers, error_body
from softlaunch.request_outcome import GIVEN, RequestOutcome
from softlaunch.variant import TemplateVariablesError, Variant

_OURS = frozenset({401, 403, 404})  # never the client's doing: the variant names the endpoint, the model and the key


class Sink(Protocol):
    """Where a streamed answer goes as it comes; `passed` are the provider's headers that go with it."""

    passed: Headers

    async def write(self, content: bytes) -> None:
        """Whole events; the first ones come with a status of 200."""


class NoSink:
    """Nobody reads: the answer to a copy."""

    def __init__(self) -> None:
        self.passed: Headers = []

    async def write(self, content: bytes) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """A client's request body and headers for one variant; `keep_text` asks for the answer's text."""

    variant: Variant
    body: Mapping[str, Any]
    timeout_seconds: float
    keep_text: bool = False
    headers: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """What became of one call.

    `body` is still to be sent with `status`, `headers` and what is `passed` on of the provider's, unless `streamed`:
    then the sink has had the beginning, and `body` is what remains to be added. Latencies are milliseconds since the
    call began, without the time that a slow reader took to accept a stream.
    """

    status: int = 200
    outcome: RequestOutcome = RequestOutcome.ANSWERED
    body: bytes = b""
    headers: Headers = field(default_factory=lambda: JSON)
    passed: Headers = field(default_factory=list)
    streamed: bool = False
    latency_ms: float = 0.0
    first_token_ms: float | None = None
    facts: Facts = field(default_factory=Facts)
    text: str = ""

    @property
    def given(self) -> bool:
        """Whether the provider gave an answer, usable or not."""
        return self.outcome in GIVEN

    def fail(self, status: int, outcome: RequestOutcome, message: str, kind: str = "upstream_error") -> None:
        """Turn into a failure; a stream that has begun ends with an error event."""
        self.outcome = outcome
        body = error_body(message, kind=kind, code=outcome)
        self.status = self.status if self.streamed else status
        self.body = b"data: " + body + b"\n\n" if self.streamed else body


class Upstream:
    """Calls providers over one pool of connections."""

    def __init__(self, limits: Limits, environment: Mapping[str, str] | None = None) -> None:
        self._limits = limits
        self._environment = os.environ if environment is None else environment
        self._connections: _Connections | None = None

    async def open(self) -> None:
        """Make the pool; needs a running loop."""
        self._connections = _Connections(_session(), _session(force_close=True))

    async def close(self) -> None:
        """Close every connection."""
        if self._connections is not None:
            await self._connections.close()

    async def ask(self, call: Call, sink: Sink) -> Answer:
        """One answer; raises nothing for what a provider, a template or a missing key does."""
        if self._connections is None:
            raise RuntimeError("open the upstream before asking it")
        answer = Answer()
        model = call.variant.model
        try:
            body = call.variant.request_body(call.body)
            streamed = _ask_for_usage(body)
            content = orjson.dumps(body)
            headers = request_headers(model, call.headers, self._environment)
            way = way_to(model)
        except TemplateVariablesError as error:
            answer.fail(400, RequestOutcome.REQUEST_AT_FAULT, str(error), kind="invalid_request_error")
        except orjson.JSONEncodeError as error:  # nested deeper than what may be written, though not than what is read
            message = f"the request can't be passed on: {error}"
            answer.fail(400, RequestOutcome.REQUEST_AT_FAULT, message, kind="invalid_request_error")
        except EndpointError as error:
            answer.fail(502, RequestOutcome.PROVIDER_FAILED, str(error))
        else:
            reader = self._reader(call) if streamed else None
            exchange = _Exchange(self._connections, self._limits, call, answer, sink)
            await exchange.run(way, headers, content, reader)
        return answer

    def _reader(self, call: Call) -> StreamReader:
        longest = self._limits.event_bytes
        return StreamReader(_wants_usage(call.body), keep_text=call.keep_text, longest_event=longest)


def _session(*, force_close: bool = False) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, force_close=force_close),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),
    )


@dataclass(frozen=True, slots=True)
class _Connections:
    """The pool, and connections that are used once: for when what lay in the pool had been closed by the provider."""

    pooled: aiohttp.ClientSession
    fresh: aiohttp.ClientSession

    async def close(self) -> None:
        await self.pooled.close()
        await self.fresh.close()


class _Exchange:
    """One call under way; fills the answer."""

    def __init__(self, connections: _Connections, limits: Limits, call: Call, answer: Answer, sink: Sink) -> None:
        self._connections = connections
        self._limits = limits
        self._call = call
        self._answer = answer
        self._sink = sink
        self._began = time.perf_counter()

    async def run(self, way: Way, headers: CIMultiDict[str], content: bytes, reader: StreamReader | None) -> None:
        try:
            async with asyncio.timeout(self._call.timeout_seconds) as guard:
                async with await self._post(way, headers, content) as response:
                    await self._read(response, reader, guard)
        except TimeoutError:
            self._answer.fail(504, RequestOutcome.TOTAL_TIMEOUT, f"no answer within {self._call.timeout_seconds:g} s")
        except MalformedAnswerError as error:
            self._answer.fail(502, RequestOutcome.MALFORMED, str(error))
        except aiohttp.ClientPayloadError:
            self._answer.fail(502, RequestOutcome.CUT, "the provider's answer broke off")
        except (aiohttp.ClientError, OSError) as error:
            broken = RequestOutcome.CUT if self._answer.streamed else RequestOutcome.CONNECT
            self._answer.fail(502, broken, f"the provider can't be reached ({type(error).__name__})")
        self._answer.latency_ms = self._elapsed_ms()

    async def _post(self, way: Way, headers: CIMultiDict[str], content: bytes) -> aiohttp.ClientResponse:
        """The response's head. A pooled connection that the provider had just closed is replaced by a fresh one.

        Not by another from the pool: a provider that restarts, or an idle limit, closes them all at once.
        """
        try:
            return await self._connections.pooled.post(
                way.url, data=content, headers=headers, allow_redirects=False, proxy=way.proxy
            )
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            return await self._connections.fresh.post(
                way.url, data=content, headers=headers, allow_redirects=False, proxy=way.proxy
            )

    async def _read(
        self, response: aiohttp.ClientResponse, reader: StreamReader | None, guard: asyncio.Timeout
    ) -> None:
        self._sink.passed = self._answer.passed = response_headers(response.raw_headers)
        if not 200 <= response.status < 300:
            self._refuse(response, await self._whole(response))
        elif reader is None:
            body = await self._whole(response)
            completion = read_completion(body, self._answer.facts)
            self._answer.body = body
            self._answer.text = text_of(completion) if self._call.keep_text else ""
        elif response.content_type == "application/json":
            raise MalformedAnswerError("the provider was asked for a stream and sent a single document")
        else:
            await self._stream(response, reader, guard)

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > self._limits.answer_bytes:
                raise MalformedAnswerError(f"the provider's answer is larger than {self._limits.answer_bytes} bytes")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _refuse(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        """An answer with an error status: the client gets the provider's words where they are meant for it."""
        status = response.status
        answer = self._answer
        if status in _OURS or status < 400:
            model = self._call.variant.model
            key = f" and {model.api_key_env}" if model.api_key_env else ""
            message = f"the provider of model {model.name} answered {status}; check the model's id, endpoint{key}"
            answer.fail(502, RequestOutcome.PROVIDER_FAILED, message)
            return
        answer.status, answer.body = status, body
        answer.outcome = _outcome_of(status)
        answer.headers = [(b"content-type", content_type_of(response.raw_headers))]

    async def _stream(self, response: aiohttp.ClientResponse, reader: StreamReader, guard: asyncio.Timeout) -> None:
        self._answer.facts = reader.facts
        try:
            async for chunk in response.content.iter_any():
                await self._pass_on(reader.feed(chunk), reader, guard)
                reader.check()
            await self._pass_on(reader.close(), reader, guard)
        finally:
            self._answer.text = "".join(reader.texts)
        if not reader.whole:
            self._answer.fail(502, RequestOutcome.CUT, "the provider's stream ended before its answer did")

    async def _pass_on(self, events: bytes, reader: StreamReader, guard: asyncio.Timeout) -> None:
        if reader.token_seen and self._answer.first_token_ms is None:
            self._answer.first_token_ms = self._elapsed_ms()
        if not events:
            return
        self._answer.streamed = True
        deadline, before = guard.when(), time.perf_counter()
        guard.reschedule(None)
        await self._sink.write(events)
        waited = time.perf_counter() - before
        self._began += waited
        guard.reschedule((deadline or 0.0) + waited)

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self._began) * 1000


def _ask_for_usage(body: dict[str, Any]) -> bool:
    """Whether a stream is wanted; if so, it is to end with its usage whether or not the client asked for that."""
    if body.get("stream") is not True:
        return False
    body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    return True


def _wants_usage(body: Mapping[str, Any]) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


def _outcome_of(status: int) -> RequestOutcome:
    if status == 429:
        return RequestOutcome.RATE_LIMITED
    if status == 408:
        return RequestOutcome.TOTAL_TIMEOUT
    return RequestOutcome.PROVIDER_FAILED if status >= 500 else RequestOutcome.REQUEST_AT_FAULT
