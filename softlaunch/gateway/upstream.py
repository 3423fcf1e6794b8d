"""Asking a provider: one call to a variant's endpoint, judged as an answer or as one of the known failures."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from multidict import CIMultiDict

from softlaunch.core.endpoint import EndpointError, Way, way_to
from softlaunch.core.request_outcome import GIVEN, RequestOutcome
from softlaunch.core.variant import TemplateVariablesError, Variant
from softlaunch.gateway.connections import Connections
from softlaunch.gateway.deadlines import Deadlines, LimitReachedError, TimeLimits
from softlaunch.gateway.forwarding import content_type_of, request_headers, response_headers, without_repetition_key
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.prompt_bodies import request_body
from softlaunch.gateway.protocols.answer import Facts, MalformedAnswerError, ReportedError
from softlaunch.gateway.protocols.event_stream import EventStream
from softlaunch.gateway.protocols.parameters import UnsuitableVariantError
from softlaunch.gateway.protocols.protocol import LlmProtocol, StreamLimits
from softlaunch.gateway.provider.answer import HttpAnswer
from softlaunch.gateway.provider.errors import (
    AnswerTooLargeError,
    BrokenOffError,
    ConnectTimeoutError,
    InvalidHttpError,
    ProviderCallError,
)
from softlaunch.gateway.refusals import ProviderError, classify, read_error
from softlaunch.gateway.usage_asking import UsageAsking
from softlaunch.gateway.wire import JSON, Fault, Headers

_GRACE_SECONDS = 5.0
"""How long usage and the protocol's end may follow an answer that is over."""


class Sink(Protocol):
    """Where a streamed answer goes as it comes; `passed` are the provider's headers that go with it."""

    passed: Headers

    async def write(self, content: bytes) -> None:
        """Whole events; the first ones come with a status of 200."""

    async def ping(self, content: bytes) -> None:
        """A provider's sign of life before its first token; for a stream that was opened already."""

    def over(self) -> None:
        """Every choice has finished: a client that leaves from now on has its whole answer."""


class NoSink:
    """Nobody reads: the answer to a copy."""

    def __init__(self) -> None:
        self.passed: Headers = []

    async def write(self, content: bytes) -> None:
        """Do nothing."""

    async def ping(self, content: bytes) -> None:
        """Do nothing."""

    def over(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """A client's request body and headers for one variant; `keep_text` asks for the answer's text."""

    protocol: LlmProtocol
    variant: Variant
    body: Mapping[str, Any]
    limits: TimeLimits
    keep_text: bool = False
    headers: Mapping[bytes, bytes] = field(default_factory=dict)

    @property
    def streamed(self) -> bool:
        """Whether the answer is asked for piece by piece."""
        return self.body.get("stream") is True


@dataclass(slots=True)
class Answer:
    """What became of one call.

    `body` is still to be sent with `status`, `headers` and what is `passed` on of the provider's, unless `streamed`:
    then the sink has had the beginning, and `body` is what remains to be added. Latencies are milliseconds from the
    call's beginning until the answer was over, without the time that a slow reader took to accept a stream. `attempts`
    counts how often the provider was asked.
    """

    protocol: LlmProtocol
    status: int = 200
    outcome: RequestOutcome = RequestOutcome.ANSWERED
    body: bytes = b""
    headers: Headers = field(default_factory=lambda: JSON)
    passed: Headers = field(default_factory=list)
    streamed: bool = False
    latency_ms: float = 0.0
    first_token_ms: float | None = None
    finish_reason: str | None = None
    attempts: int = 0
    facts: Facts = field(default_factory=Facts)
    text: str = ""

    @property
    def given(self) -> bool:
        """Whether the provider gave an answer, usable or not."""
        return self.outcome in GIVEN

    def fail(self, status: int, outcome: RequestOutcome, message: str, kind: str = "upstream_error") -> None:
        """Turn into a failure; a stream that has begun ends with an error event."""
        self.outcome = outcome
        body = self.protocol.error(status, Fault(message, kind, outcome))
        self.status = self.status if self.streamed else status
        self.body = self.protocol.error_event(body) if self.streamed else body


class Upstream:
    """Calls providers over one pool of connections."""

    def __init__(self, limits: Limits, environment: Mapping[str, str] | None = None) -> None:
        self._limits = limits
        self._environment = os.environ if environment is None else environment
        self._connections: Connections | None = None
        self._usage = UsageAsking()

    async def open(self) -> None:
        """Make the pool; needs a running loop."""
        self._connections = Connections()

    async def close(self) -> None:
        """Close every connection."""
        if self._connections is not None:
            await self._connections.close()

    async def ask(self, call: Call, sink: Sink) -> Answer:
        """One answer; raises nothing for what a provider, a template or a missing key does."""
        if self._connections is None:
            raise RuntimeError("open the upstream before asking it")
        answer = Answer(call.protocol)
        model = call.variant.model
        try:
            body = await request_body(call.protocol, call.variant, call.body)
            added = call.protocol.asks_for_usage and self._usage.add_to(body, model)
            content = orjson.dumps(body)
            headers = request_headers(model, call.headers, self._environment, call.protocol.api)
            way = way_to(model, call.protocol.path)
        except TemplateVariablesError as error:
            answer.fail(400, RequestOutcome.REQUEST_AT_FAULT, str(error), kind="invalid_request_error")
        except orjson.JSONEncodeError as error:  # nested deeper than what may be written, though not than what is read
            message = f"the request can't be passed on: {error}"
            answer.fail(400, RequestOutcome.REQUEST_AT_FAULT, message, kind="invalid_request_error")
        except (EndpointError, UnsuitableVariantError) as error:
            answer.fail(502, RequestOutcome.PROVIDER_FAILED, str(error))
        else:
            exchange = _Exchange(self._connections, self._limits, call, answer, sink)
            await exchange.run(way, headers, content)
            if added and self._usage.may_be_refused(model, answer.outcome, answer.body):
                body.pop("stream_options")
                answer = await self._ask_again(call, sink, answer, (way, headers), orjson.dumps(body))
        return answer

    async def _ask_again(
        self, call: Call, sink: Sink, refused: Answer, how: tuple[Way, CIMultiDict[str]], content: bytes
    ) -> Answer:
        """Without what the endpoint may have refused: the client never asked for it."""
        if self._connections is None:
            return refused
        answer = Answer(call.protocol, attempts=refused.attempts)
        exchange = _Exchange(self._connections, self._limits, call, answer, sink)
        await exchange.run(how[0], without_repetition_key(how[1]), content)
        if answer.given:
            self._usage.refuse(call.variant.model)
        return answer


class _Exchange:
    """One call under way; fills the answer."""

    def __init__(self, connections: Connections, limits: Limits, call: Call, answer: Answer, sink: Sink) -> None:
        self._connections = connections
        self._limits = limits
        self._call = call
        self._answer = answer
        self._sink = sink
        self._began = time.perf_counter()
        self._over_ms: float | None = None

    async def run(self, way: Way, headers: CIMultiDict[str], content: bytes) -> None:
        try:
            with Deadlines(self._call.limits, streamed=self._call.streamed) as deadlines:
                await self._run(way, headers, content, deadlines)
        except LimitReachedError as limit:
            self._reach(limit)
        except MalformedAnswerError as error:
            self._answer.fail(502, RequestOutcome.MALFORMED, str(error))
        except ReportedError as reported:
            self._refuse(200, reported.error, reported.body)
        except ConnectTimeoutError as error:
            self._answer.fail(502, RequestOutcome.CONNECT, str(error))
        except BrokenOffError:
            self._answer.fail(502, RequestOutcome.CUT, "the provider's answer broke off")
        except InvalidHttpError as error:
            self._answer.fail(502, RequestOutcome.MALFORMED, str(error))
        except ProviderCallError as error:
            self._answer.fail(502, RequestOutcome.CONNECT, f"the provider can't be reached ({error})")
        self._answer.latency_ms = self._over_ms or self._elapsed_ms()

    async def _run(self, way: Way, headers: CIMultiDict[str], content: bytes, deadlines: Deadlines) -> None:
        response = await self._connections.post(way, headers, content, self._call.limits.connect, self._count)
        self._sink.passed = self._answer.passed = response_headers(response.raw_headers)
        try:
            if not 200 <= response.status < 300:
                body = await self._whole(response)
                self._answer.headers = [(b"content-type", content_type_of(response.raw_headers))]
                self._refuse(response.status, read_error(_document(body)), body)
            elif not self._call.streamed:
                await self._read(response)
            elif response.content_type == "application/json":
                await self._read_no_stream(response)
            else:
                await self._stream(response, deadlines)
        finally:
            self._connections.give_back(response, over=self._over_ms is not None)

    def _count(self) -> None:
        self._answer.attempts += 1

    def _reach(self, limit: LimitReachedError) -> None:
        """A limit in time was reached; one after the answer was over changes nothing."""
        if limit.outcome is RequestOutcome.ANSWERED:
            return
        what = {
            RequestOutcome.FIRST_TOKEN_TIMEOUT: "no first token within",
            RequestOutcome.IDLE_TIMEOUT: "the answer stopped for",
        }.get(limit.outcome, "no whole answer within")
        self._answer.fail(504, limit.outcome, f"{what} {limit.seconds:g} s")

    async def _read(self, response: HttpAnswer) -> None:
        body = await self._whole(response)
        self._over_ms = self._elapsed_ms()
        answer = self._answer
        whole = self._call.protocol.read(body, answer.facts, self._call.body)
        answer.body = body
        answer.outcome, answer.finish_reason = whole.outcome, whole.finish_reason
        answer.text = whole.text if self._call.keep_text else ""

    async def _read_no_stream(self, response: HttpAnswer) -> None:
        """A single document where a stream was asked for: an error that says so, or none that a client could read."""
        document = _document(await self._whole(response))
        reported = read_error(document)
        if reported is not None:
            raise ReportedError(reported, document)
        raise MalformedAnswerError("the provider was asked for a stream and sent a single document")

    async def _whole(self, response: HttpAnswer) -> bytes:
        try:
            return await response.whole(self._limits.answer_bytes)
        except AnswerTooLargeError:
            text = f"the provider's answer is larger than {self._limits.answer_bytes} bytes"
            raise MalformedAnswerError(text) from None

    def _refuse(self, status: int, error: ProviderError | None, body: bytes) -> None:
        """An error of the provider's: the client gets its words where they are meant for it."""
        answer = self._answer
        refusal = classify(status, error)
        if not refusal.shown:
            model = self._call.variant.model
            key = f" and {model.api_key_env}" if model.api_key_env else ""
            said = f"answered {status}" if status >= 300 else "refused"
            message = f"the provider of model {model.name} {said}; check the model's id, endpoint, account{key}"
            answer.headers = JSON
            answer.fail(502, refusal.outcome, message)
            return
        answer.status, answer.outcome, answer.body = refusal.status, refusal.outcome, body

    async def _stream(self, response: HttpAnswer, deadlines: Deadlines) -> None:
        limits = StreamLimits(self._limits.event_bytes, self._call.keep_text)
        reader = self._call.protocol.stream(self._answer.facts, self._call.body, limits)
        try:
            await self._read_events(response, reader, deadlines)
        except (ProviderCallError, MalformedAnswerError):
            if not reader.finished:  # what breaks after the answer was over changes nothing
                raise
        finally:
            self._answer.text = "".join(reader.texts)
            self._answer.finish_reason = reader.finish_reason
            if reader.finished or reader.whole:
                self._answer.outcome = reader.outcome()
        if not reader.whole and not reader.finished:
            self._break_off(reader)

    async def _read_events(self, response: HttpAnswer, reader: EventStream, deadlines: Deadlines) -> None:
        async for chunk in response:
            await self._pass_on(reader.feed(chunk), reader, deadlines)
            reader.check()
            if reader.ended or reader.failed:
                break
        else:
            await self._pass_on(reader.close(), reader, deadlines)

    def _break_off(self, reader: EventStream) -> None:
        if reader.failed:  # the client has had the provider's own error event
            self._answer.outcome = RequestOutcome.CUT
        else:
            self._answer.fail(502, RequestOutcome.CUT, "the provider's stream ended before its answer did")

    async def _pass_on(self, events: bytes, reader: EventStream, deadlines: Deadlines) -> None:
        if reader.token_seen:
            deadlines.piece()
            if self._answer.first_token_ms is None:
                self._answer.first_token_ms = self._elapsed_ms()
        if self._over_ms is None and (reader.finished or reader.ended):
            self._over_ms = self._elapsed_ms()
            self._sink.over()
        if self._over_ms is not None:
            deadlines.over(_GRACE_SECONDS)
        if not events and not reader.pings:
            return
        deadlines.pause()
        if events:
            self._answer.streamed = True
            await self._sink.write(events)
        else:
            pings, reader.pings = reader.pings, b""
            await self._sink.ping(pings)
        self._began += deadlines.resume()

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self._began) * 1000


def _document(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"detail": body[:2000].decode(errors="replace")}
