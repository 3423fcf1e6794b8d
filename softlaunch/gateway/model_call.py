"""One call to a variant's endpoint under way: read as an answer, or as one of the known failures."""

import time
from collections.abc import Mapping

import orjson

from softlaunch.core.endpoint import Way
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.gateway.calls import Answer, Call, Sink
from softlaunch.gateway.connections import Connections, Sent
from softlaunch.gateway.deadlines import Deadlines, LimitReachedError
from softlaunch.gateway.forwarding import content_type_of, response_headers
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.protocols.answer import MalformedAnswerError, ReportedError
from softlaunch.gateway.protocols.event_stream import EventStream
from softlaunch.gateway.protocols.protocol import StreamLimits
from softlaunch.gateway.provider.answer import HttpAnswer
from softlaunch.gateway.provider.errors import (
    AnswerTooLargeError,
    BrokenOffError,
    ConnectTimeoutError,
    InvalidHttpError,
    ProviderCallError,
)
from softlaunch.gateway.refusals import ProviderError, classify, read_error
from softlaunch.gateway.wire import JSON

_GRACE_SECONDS = 5.0
"""How long usage and the protocol's end may follow an answer that is over."""


class ModelCall:
    """One call under way; fills the answer."""

    def __init__(self, connections: Connections, limits: Limits, call: Call, answer: Answer, sink: Sink) -> None:
        self._connections = connections
        self._limits = limits
        self._call = call
        self._answer = answer
        self._sink = sink
        self._began = time.perf_counter()
        self._over_ms: float | None = None

    async def run(self, way: Way, headers: Mapping[str, str], content: bytes) -> None:
        """Ask, and read what comes; raises nothing for what a provider does."""
        try:
            with Deadlines(self._call.limits, self._connections.loop, streamed=self._call.streamed) as deadlines:
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

    async def _run(self, way: Way, headers: Mapping[str, str], content: bytes, deadlines: Deadlines) -> None:
        response = await self._connections.call(
            "POST", way, Sent(headers, content), self._call.limits.connect, self._count
        )
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
        whole = self._call.protocol.read(body, answer.facts, self._call.asked)
        rewrite = self._call.rewrite
        answer.body = body if rewrite is None else rewrite(body, answer.facts.answer_id)
        answer.read_whole(whole, self._call)

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
        reader = self._call.protocol.stream(self._answer.facts, self._call.asked, limits)
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
                self._answer.hear(reader.heard.said(), reader.seen, self._call)
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
        if events and self._call.rewrite is not None:
            events = self._call.rewrite(events, self._answer.facts.answer_id)
        if events:
            self._answer.streamed = True
            reader.pings = b""  # of the time before: between two tokens they would be the gateway's invention
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
