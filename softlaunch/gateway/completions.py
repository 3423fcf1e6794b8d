"""Answering a chat completion: choose the arm, ask, fall back, log, copy."""

import math
import time
from dataclasses import dataclass, replace
from functools import lru_cache

from softlaunch.core.prices import cost_usd
from softlaunch.core.request_outcome import ARM_FAILURES, UNUSABLE, RequestOutcome
from softlaunch.core.variant import Variant
from softlaunch.gateway.choice import Choice, choose
from softlaunch.gateway.client_sink import ClientSink
from softlaunch.gateway.deadlines import TimeLimits
from softlaunch.gateway.forwarding import own_headers, without_idempotency_key
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.log import LogSink
from softlaunch.gateway.metrics import Metrics
from softlaunch.gateway.mirrors import Mirrors
from softlaunch.gateway.requests import ChatRequest, question_of, size_before_answers
from softlaunch.gateway.table import Served
from softlaunch.gateway.units import Units, occasion_of
from softlaunch.gateway.upstream import Answer, Call, NoSink, Upstream
from softlaunch.gateway.watch import ClientWatch
from softlaunch.gateway.wire import ClientGoneError, Headers, Receive, Send
from softlaunch.ledger.request_log import BreakerTripRecord, RequestRecord, TextRecord
from softlaunch.policy.model import GatewayPolicy
from softlaunch.policy.route import Arm, Route

_OPINION_SECONDS = 30.0
"""How long the other arm may take to say whether a refused request was at fault; the log waits for it."""


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
    awaits_opinion: bool = False

    def call(self, variant: Variant) -> Call:
        """The request as a call to a variant."""
        serving = self.route.serving
        is_first = variant is self.choice.variant and self.choice.arm in {Arm.STABLE, Arm.CANDIDATE}
        headers = self.request.headers if is_first else without_idempotency_key(self.request.headers)
        return Call(variant, self.request.body, time_limits(serving.gateway), serving.texts.keep, headers)

    @property
    def other(self) -> Variant | None:
        """The variant that the other arm of a split would have answered with, where there is one."""
        if self.choice.arm is Arm.CANDIDATE:
            return self.route.stable
        return self.route.candidate if self.weight_percent > 0 else None


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
        occasion = occasion_of(request, unit, route.serving.unit, self._log.now())
        choice = choose(route, unit, request.request_id, candidate_allowed=allowed, occasion=occasion)
        token, started_at = self._log.begin(request.app)
        weight_percent = route.weight_percent if allowed else 0.0
        exchange = Exchange(request, served, route, choice, weight_percent, token, started_at, time.perf_counter())
        sink = ClientSink(send, self._headers(exchange, choice.arm, choice.variant), route.serving.gateway.idle)
        try:
            if request.body.get("stream") is True:
                sink.keep_alive(route.serving.gateway.heartbeat)
            if await self._answer(exchange, sink, receive):
                self._mirror(exchange)
        finally:
            await sink.quiet()
            if not exchange.awaits_opinion:
                self._close(exchange)

    def _headers(self, exchange: Exchange, arm: Arm, variant: Variant) -> Headers:
        return own_headers(exchange.request.request_id, variant.short, arm if self._tell_arm else None)

    async def _answer(self, exchange: Exchange, sink: ClientSink, receive: Receive) -> bool:
        """Whether the client got an answer; a row is logged in any case."""
        try:
            async with ClientWatch(receive, lambda: sink.is_over):
                shown, fell_back = await self._ask(exchange, sink)
        except ClientGoneError:
            left = exchange.first or _abandoned(exchange)
            self._record(exchange, left, excused=left.outcome is RequestOutcome.REQUEST_AT_FAULT)
            return False
        answer = exchange.first or shown
        if answer.outcome is RequestOutcome.REQUEST_AT_FAULT and not answer.streamed:
            self._settle_fault(exchange, answer, shown, fell_back=fell_back)
        else:
            self._record(exchange, answer, fell_back=fell_back)
        await sink.finish(shown)
        return answer.attempts > 0 or fell_back

    async def _ask(self, exchange: Exchange, sink: ClientSink) -> tuple[Answer, bool]:
        """The answer to show, and whether stable gave it in the candidate's place.

        Any failure of the candidate is tried on stable, a refusal of the request too: only the other arm's answer tells
        whether the request or the arm was at fault.
        """
        choice, route = exchange.choice, exchange.route
        answer = await self._upstream.ask(exchange.call(choice.variant), sink)
        if choice.arm is not Arm.CANDIDATE:
            self._note_outcome(exchange, answer, candidate=False)
            return answer, False
        fell_back = False
        shown = exchange.first = answer
        if not answer.given and not answer.streamed and route.serving.gateway.fallback:
            sink.headers = self._headers(exchange, Arm.STABLE, route.stable)
            shown = await self._upstream.ask(exchange.call(route.stable), sink)
            fell_back = shown.given or shown.streamed
            self._note_outcome(exchange, shown, candidate=False)
        self._note_outcome(exchange, answer, candidate=True, stood_in_for=fell_back)
        return shown, fell_back

    def _settle_fault(self, exchange: Exchange, answer: Answer, shown: Answer, *, fell_back: bool) -> None:
        """Whose fault a refused request was: decided by the other arm, for both arms alike.

        A fallback has decided it already. Otherwise a copy that nobody sees is put to the other arm, and the row waits
        for it; where none can be made the request is excused.
        """
        other = exchange.other
        decided = shown is not answer
        if decided or other is None or not self._may_be_asked(exchange):
            self._record(exchange, answer, fell_back=fell_back, excused=not fell_back)
            return
        exchange.awaits_opinion = True
        self.mirrors.start(self._hear_other_arm(exchange, answer, other), exchange.request.size)

    def _may_be_asked(self, exchange: Exchange) -> bool:
        has_room = self.mirrors.has_room(exchange.request.size)
        if not has_room:
            self._metrics.mirror_dropped(exchange.request.app)
        return has_room and exchange.served.candidate_allowed()

    async def _hear_other_arm(self, exchange: Exchange, answer: Answer, other: Variant) -> None:
        try:
            call = exchange.call(other)
            limits = replace(call.limits, total=min(call.limits.total, _OPINION_SECONDS))
            opinion = await self._upstream.ask(replace(call, limits=limits), NoSink())
            self._record(exchange, answer, excused=not opinion.given)
        finally:
            self._close(exchange)

    def _note_outcome(self, exchange: Exchange, answer: Answer, *, candidate: bool, stood_in_for: bool = False) -> None:
        """Tell the breaker, while a candidate is served."""
        breaker, route = exchange.served.breaker, exchange.route
        if exchange.weight_percent <= 0:
            return
        failed = stood_in_for or answer.outcome in ARM_FAILURES or answer.outcome in UNUSABLE
        policy = route.serving.gateway.breaker
        if not breaker.note(candidate=candidate, failed=failed, policy=policy, now=time.monotonic()):
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
            # before the request's own is closed: the log tells of both or none
            token, started_at = self._log.begin(request.app)
            copy = replace(
                exchange,
                choice=replace(exchange.choice, arm=arm, variant=variant, copies=()),
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

    def _record(
        self,
        exchange: Exchange,
        answer: Answer,
        *,
        fell_back: bool = False,
        mirrored: bool = False,
        excused: bool = False,
    ) -> None:
        request, route, choice, facts = exchange.request, exchange.route, exchange.choice, answer.facts
        self._metrics.answered(request.app, choice.arm, answer)
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
            named_unit=choice.named_unit,
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
            excused=excused,
            finish_reason=answer.finish_reason,
            attempts=answer.attempts,
            request_size=size_before_answers(request.body),
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


@lru_cache(maxsize=1024)
def time_limits(policy: GatewayPolicy) -> TimeLimits:
    """The limits of a policy; an older one's single limit bounds them all."""
    most = policy.timeout or math.inf
    return TimeLimits(
        connect=min(policy.connect, most),
        first_token=min(policy.first_token, most),
        idle=min(policy.idle, most),
        total=min(policy.total, most),
    )
