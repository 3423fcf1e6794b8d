"""Answering a chat completion: choose the arm, ask, fall back, log, copy."""

import asyncio
import time
from dataclasses import dataclass, replace

from softlaunch.gateway.choice import Choice, choose
from softlaunch.gateway.forwarding import with_request_id, without_idempotency_key
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.log import LogSink
from softlaunch.gateway.metrics import Metrics
from softlaunch.gateway.mirrors import Mirrors
from softlaunch.gateway.requests import ChatRequest, question_of
from softlaunch.gateway.table import Served
from softlaunch.gateway.units import Units
from softlaunch.gateway.upstream import Answer, Call, NoSink, Upstream
from softlaunch.gateway.watch import ClientWatch
from softlaunch.gateway.wire import ClientGoneError, Headers, Receive, Send, send_answer
from softlaunch.prices import cost_usd
from softlaunch.request_outcome import ARM_FAILURES, RequestOutcome
from softlaunch.route import Arm, Route
from softlaunch.store.request_log import (
    BreakerTripRecord,
    RequestRecord,
    TextRecord,
)
from softlaunch.variant import Variant

_STREAM: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(slots=True)
class Exchange:
    """A request under way: what was asked, the route and the arm in force when it came, and the log's token for it.

    The route is frozen here: a change while the request runs concerns the next one. `weight_percent` is the weight that
    was really in force: zero while the candidate isn't allowed, whatever the route says.
    """

    request: ChatRequest
    served: Served
    route: Route
    choice: Choice
    weight_percent: float
    token: int
    started_at: float
    began: float
    first: Answer | None = None
    recorded: bool = False

    def call(self, variant: Variant) -> Call:
        """The request as a call to a variant."""
        serving = self.route.serving
        is_first = variant is self.choice.variant and self.choice.arm in {Arm.STABLE, Arm.CANDIDATE}
        headers = self.request.headers if is_first else without_idempotency_key(self.request.headers)
        return Call(variant, self.request.body, serving.gateway.timeout, serving.texts.keep, headers)


class ClientSink:
    """The client's end of a stream; a client that stops reading for `stall_seconds` counts as gone."""

    def __init__(self, send: Send, exchange: Exchange, stall_seconds: float, *, tell_arm: bool) -> None:
        self._send = send
        self._exchange = exchange
        self._stall_seconds = stall_seconds
        self._tell_arm = tell_arm
        self.arm, self.variant = exchange.choice.arm, exchange.choice.variant
        self.passed: Headers = []
        self.started = False

    async def write(self, content: bytes) -> None:
        """Send whole events at once."""
        try:
            async with asyncio.timeout(self._stall_seconds):
                if not self.started:
                    self.started = True
                    headers = [*_STREAM, *self.headers(self.passed)]
                    await self._send({"type": "http.response.start", "status": 200, "headers": headers})
                await self._send({"type": "http.response.body", "body": content, "more_body": True})
        except TimeoutError:
            raise ClientGoneError from None

    async def finish(self, answer: Answer) -> None:
        """Send what remains of the answer."""
        if answer.streamed:
            await self._send({"type": "http.response.body", "body": answer.body})
        else:
            await send_answer(self._send, answer.status, answer.body, [*answer.headers, *self.headers(answer.passed)])

    def headers(self, passed: Headers) -> Headers:
        """What is passed on of the provider's, who answered, and the id to give feedback for."""
        told = [*passed, (b"x-softlaunch-variant", self.variant.short.encode())]
        if self._tell_arm:
            told.append((b"x-softlaunch-arm", self.arm.encode()))
        return with_request_id(told, self._exchange.request.request_id)


class Completions:
    """The handler of chat completions."""

    def __init__(
        self, upstream: Upstream, log: LogSink, metrics: Metrics, limits: Limits, *, tell_arm: bool = False
    ) -> None:
        self._upstream = upstream
        self._log = log
        self._metrics = metrics
        self._limits = limits
        self._tell_arm = tell_arm
        self._units = Units(metrics)
        self.mirrors = Mirrors(limits)

    async def answer(self, request: ChatRequest, served: Served, receive: Receive, send: Send) -> None:
        """Answer one request and log it; the user's answer waits for nothing but its provider."""
        route = served.route
        unit = self._units.of(request, route.serving.unit)
        allowed = served.candidate_allowed()
        choice = choose(route, unit, request.request_id, candidate_allowed=allowed)
        token, started_at = self._log.begin()
        weight_percent = route.weight_percent if allowed else 0.0
        exchange = Exchange(request, served, route, choice, weight_percent, token, started_at, time.perf_counter())
        try:
            sink = ClientSink(send, exchange, route.serving.gateway.timeout, tell_arm=self._tell_arm)
            if await self._answer(exchange, sink, receive):
                self._mirror(exchange)
        finally:
            self._close(exchange)

    async def _answer(self, exchange: Exchange, sink: ClientSink, receive: Receive) -> bool:
        """Whether the client got an answer; a row is logged in any case."""
        try:
            async with ClientWatch(receive):
                shown, fell_back = await self._ask(exchange, sink)
        except ClientGoneError:
            self._record(exchange, exchange.first or _abandoned(exchange))
            return False
        answer = exchange.first or shown
        self._record(exchange, answer, fell_back=fell_back)
        await sink.finish(shown)
        return answer.outcome is not RequestOutcome.REQUEST_AT_FAULT or fell_back

    async def _ask(self, exchange: Exchange, sink: ClientSink) -> tuple[Answer, bool]:
        """The answer to show, and whether stable gave it in the candidate's place.

        Any failure of the candidate is tried on stable, a 4xx too: only stable's answer tells whether the request or
        the candidate was at fault.
        """
        choice, route = exchange.choice, exchange.route
        answer = await self._upstream.ask(exchange.call(choice.variant), sink)
        if choice.arm is not Arm.CANDIDATE:
            return answer, False
        fell_back = False
        shown = exchange.first = answer
        if not answer.given and not answer.streamed and route.serving.gateway.fallback:
            sink.arm, sink.variant = Arm.STABLE, route.stable
            shown = await self._upstream.ask(exchange.call(route.stable), sink)
            fell_back = shown.given or shown.streamed
        self._note_outcome(exchange, failed=fell_back or answer.outcome in ARM_FAILURES)
        return shown, fell_back

    def _note_outcome(self, exchange: Exchange, *, failed: bool) -> None:
        breaker, route = exchange.served.breaker, exchange.route
        if not breaker.note(failed=failed, policy=route.serving.gateway.breaker, now=time.monotonic()):
            return
        trip = BreakerTripRecord(
            self._log.gateway_id, route.app, route.release_id, route.revision, breaker.reason or "", time.time()
        )
        self._log.put(trip)

    def _mirror(self, exchange: Exchange) -> None:
        """Start the copies that were chosen, as far as there is room for them."""
        request, route = exchange.request, exchange.route
        if not exchange.choice.copies or not exchange.served.candidate_allowed():
            return
        for arm in exchange.choice.copies:
            if not self.mirrors.has_room(request.size):
                self._metrics.mirror_dropped(request.app)
                continue
            variant = route.stable if arm is Arm.CONTROL else route.candidate or route.stable
            token, started_at = self._log.begin()  # before the request's own is closed: the log tells of both or none
            copy = replace(
                exchange,
                choice=Choice(arm, variant, exchange.choice.unit),
                token=token,
                started_at=started_at,
                recorded=False,
            )
            self.mirrors.start(self._copy(copy), request.size)

    async def _copy(self, copy: Exchange) -> None:
        try:
            answer = await self._upstream.ask(copy.call(copy.choice.variant), NoSink())
            self._record(copy, answer, mirrored=True)
        finally:
            self._close(copy)

    def _close(self, exchange: Exchange) -> None:
        if not exchange.recorded:  # we are being shut down, or are wrong somewhere: gates see a gap, not nothing
            self._log.drop(exchange.request.app)
        self._log.end(exchange.token)

    def _record(self, exchange: Exchange, answer: Answer, *, fell_back: bool = False, mirrored: bool = False) -> None:
        request, route, choice, facts = exchange.request, exchange.route, exchange.choice, answer.facts
        self._metrics.answered(request.app, choice.arm, answer.status, answer.latency_ms)
        row = RequestRecord(
            request_id=request.request_id,
            gateway_id=self._log.gateway_id,
            app=request.app,
            release_id=route.release_id,
            stage=route.stage,
            route_revision=route.revision,
            weight_percent=exchange.weight_percent,
            arm=choice.arm,
            mirrored=mirrored,
            variant_digest=choice.variant.digest,
            unit=choice.unit,
            started_at=exchange.started_at,
            status=answer.status,
            outcome=answer.outcome,
            latency_ms=answer.latency_ms,
            first_token_ms=answer.first_token_ms,
            input_tokens=facts.usage.input_tokens,
            output_tokens=facts.usage.output_tokens,
            cached_tokens=facts.usage.cached_tokens,
            cost_usd=cost_usd(choice.variant.model, facts.usage),
            resolved_model=facts.resolved_model,
            fingerprint=facts.fingerprint,
            streamed=request.body.get("stream") is True,
            fell_back=fell_back,
            excused=answer.outcome is RequestOutcome.REQUEST_AT_FAULT and not fell_back,
        )
        self._log.put(row)
        exchange.recorded = True
        if route.serving.texts.keep and answer.given:
            expires_at = row.started_at + route.serving.texts.retention
            question, text = (said.replace("\x00", "") for said in (question_of(request.body), answer.text))
            self._log.put(TextRecord(request.request_id, row.arm, request.app, question, text, expires_at))


def _abandoned(exchange: Exchange) -> Answer:
    """What is left of a request whose client went away; 499 is nginx's status for it."""
    elapsed_ms = (time.perf_counter() - exchange.began) * 1000
    return Answer(status=499, outcome=RequestOutcome.CLIENT_GONE, latency_ms=elapsed_ms)
