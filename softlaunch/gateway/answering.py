"""Answering a request: choose the arm, ask, fall back, log, copy."""

import time
from dataclasses import dataclass, replace

from softlaunch.core.request_outcome import ARM_FAILURES, UNUSABLE, RequestOutcome
from softlaunch.core.variant import Variant
from softlaunch.gateway.answer_checks import AnswerChecks
from softlaunch.gateway.calls import Answer, Call, NoSink
from softlaunch.gateway.choice import choose
from softlaunch.gateway.client_sink import ClientSink, ClientWatch
from softlaunch.gateway.fallback_chain import FallbackChain, limited
from softlaunch.gateway.forwarding import Told, without_idempotency_key
from softlaunch.gateway.http.cycle import HttpCycle
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.log import LogSink
from softlaunch.gateway.metrics import Metrics
from softlaunch.gateway.mirrors import Mirrors
from softlaunch.gateway.pinning import Pinning
from softlaunch.gateway.request_context import RequestContext, abandoned, in_thread, row_of
from softlaunch.gateway.requests import AppRequest
from softlaunch.gateway.table import AppRoute
from softlaunch.gateway.texts import keeps_text, text_of
from softlaunch.gateway.threads import Threads
from softlaunch.gateway.units import Units, is_inside, occasion_of, unit_of
from softlaunch.gateway.upstream import Upstream
from softlaunch.gateway.wire import ClientGoneError
from softlaunch.ledger.request_log import BreakerTripRecord, RequestRecord
from softlaunch.policy.route import Arm, Route

_SECOND_ANSWER_SECONDS = 30.0
"""How long the other arm may take to say whether a refused request was at fault; the log waits for it."""


@dataclass(frozen=True, slots=True)
class Records:
    """What is kept of each request: rows of the log, counts, and what was told of its answer."""

    log: LogSink
    metrics: Metrics
    checks: AnswerChecks


class Answering:
    """The handler of requests to models."""

    def __init__(
        self,
        upstream: Upstream,
        records: Records,
        threads: Threads,
        limits: Limits,
        *,
        show_arm: bool = False,
    ) -> None:
        self._upstream = upstream
        self._models = FallbackChain(upstream)
        self._threads = threads
        self._log = records.log
        self._metrics = records.metrics
        self.checks = records.checks
        self._limits = limits
        self._show_arm = show_arm
        self._units = Units(records.metrics)
        self._pinning = Pinning(threads.pins, records.log)
        self.mirrors = Mirrors(limits)

    async def answer(self, request: AppRequest, app_route: AppRoute, cycle: HttpCycle) -> None:
        """Answer one request and log it; the user's answer waits for nothing but its provider."""
        route = app_route.route
        known = request.protocol.thread(request.body)
        pinned = None if known is None else await self._threads.find(known, app_route, request.key)
        unit = self._units.of(request, route.serving.unit)
        inside = is_inside(request, unit, route.only)
        allowed = inside and app_route.candidate_allowed(request.protocol.api)
        if request.protocol.api not in app_route.candidate_apis:
            self._metrics.kept_on_stable(request.app, request.protocol.api)
        occasion = self._occasion(request, unit, route)
        choice = choose(route, unit, request.request_id, candidate_allowed=allowed, occasion=occasion)
        token, started_at = self._log.begin(request.app)
        weight_percent = route.weight_percent if allowed else 0.0
        context = RequestContext(
            request, app_route, route, choice, weight_percent, token, started_at, time.perf_counter()
        )
        if route.serving.unit.pin is not None and pinned is None:
            self._pinning.place(context)
        if pinned is not None or request.protocol.keeps_thread(request.body):
            context = in_thread(context, known, pinned)
        choice = context.choice
        context.keeps_text = keeps_text(route, choice, judged=inside)
        told = self._told(request, choice.arm, choice.variant)
        sink = ClientSink(cycle, told, route.serving.gateway.idle, request.protocol.error_event)
        try:
            if request.streamed:
                sink.keep_alive(route.serving.gateway.heartbeat)
            if await self._answer(context, sink, cycle):
                self._mirror(context)
        finally:
            if request.streamed:
                await sink.quiet()
            if not context.recorded_later:
                self._close(context)

    async def pass_on(self, request: AppRequest, app_route: AppRoute, cycle: HttpCycle) -> None:
        """Answer a request that asks no model: by the arm that would, or by stable; neither logged nor judged."""
        route = app_route.route
        unit = unit_of(request, route.serving.unit)
        occasion = self._occasion(request, unit, route)
        allowed = is_inside(request, unit, route.only) and app_route.candidate_allowed(request.protocol.api)
        choice = choose(route, unit, request.request_id, candidate_allowed=allowed, occasion=occasion)
        limits = app_route.limits
        with ClientWatch(cycle, lambda: False):
            answer = await self._upstream.ask(
                Call(request.protocol, choice.variant, request.body, limits, headers=request.headers), NoSink()
            )
            if not answer.given and choice.variant is not route.stable and route.serving.gateway.fallback:
                headers = without_idempotency_key(request.headers)
                answer = await self._upstream.ask(
                    Call(request.protocol, route.stable, request.body, limits, headers=headers), NoSink()
                )
        lines = self._told(request, choice.arm, choice.variant).lines(answer.passed)
        await cycle.respond(answer.status, [*answer.headers, *answer.passed], answer.body, lines)

    def _occasion(self, request: AppRequest, unit: str, route: Route) -> str | None:
        policy = route.serving.unit
        return None if policy.redraw is None else occasion_of(request, unit, policy, self._log.now())

    def _told(self, request: AppRequest, arm: Arm, variant: Variant) -> Told:
        told = Told(request.request_id, variant.short, arm if self._show_arm else None)
        if variant.parameters is not None:
            told.settings = variant.parameters.settings_header
        return told

    async def _answer(self, context: RequestContext, sink: ClientSink, cycle: HttpCycle) -> bool:
        """Whether the client got an answer; a row is logged in any case."""
        try:
            with ClientWatch(cycle, lambda: sink.is_over):
                shown, fell_back = await self._ask(context, sink)
        except ClientGoneError:
            left = context.first or abandoned(context)
            self._record(context, left, excused=left.outcome is RequestOutcome.REQUEST_AT_FAULT)
            return False
        answer = context.first or shown
        if answer.outcome is RequestOutcome.REQUEST_AT_FAULT and not answer.streamed:
            self._attribute_fault(context, answer, shown, fell_back=fell_back)
        elif answer.is_pending and self._has_room(context):
            context.recorded_later = True
            self.mirrors.start(self._await_pending(context, answer), context.request.size)
        elif self.checks.has_form(answer) and self.mirrors.has_room(context.request.size):
            context.recorded_later = True
            self.mirrors.start(self._await_form(context, answer, fell_back=fell_back), context.request.size)
        else:
            self._record(context, answer, fell_back=fell_back)
        await sink.finish(shown)
        return answer.attempts > 0 or fell_back

    async def _ask(self, context: RequestContext, sink: ClientSink) -> tuple[Answer, bool]:
        """The answer to show, and whether stable gave it in the candidate's place.

        Any failure of the candidate is tried on stable, a refusal of the request too: only the other arm's answer tells
        whether the request or the arm was at fault.
        """
        choice, route = context.choice, context.route
        answer = await self._models.ask(context.call(choice.variant), sink)
        if choice.arm is not Arm.CANDIDATE and choice.variant is route.stable:
            self._note_outcome(context, answer, candidate=False)
            return answer, False
        fell_back = False
        shown = context.first = answer
        if not (answer.given or answer.streamed or context.pinned) and route.serving.gateway.fallback:
            sink.told = self._told(context.request, Arm.STABLE, route.stable)
            shown = await self._models.ask(context.call(route.stable), sink)
            fell_back = shown.given or shown.streamed
            self._note_outcome(context, shown, candidate=False)
        self._note_outcome(context, answer, candidate=True, stood_in_for=fell_back)
        return shown, fell_back

    def _attribute_fault(self, context: RequestContext, answer: Answer, shown: Answer, *, fell_back: bool) -> None:
        """Whose fault a refused request was: decided by the other arm, for both arms alike.

        A fallback has decided it already. Otherwise a copy that nobody sees is put to the other arm, and the row waits
        for it; where none can be made the request is excused.
        """
        other = context.other
        decided = shown is not answer
        if decided or other is None or not self._may_be_asked(context):
            self._record(context, answer, fell_back=fell_back, excused=not fell_back)
            return
        context.recorded_later = True
        self.mirrors.start(self._ask_other_arm(context, answer, other), context.request.size)

    def _may_be_asked(self, context: RequestContext) -> bool:
        return self._has_room(context) and context.app_route.candidate_allowed()

    def _has_room(self, context: RequestContext) -> bool:
        has_room = self.mirrors.has_room(context.request.size)
        if not has_room:
            self._metrics.mirror_dropped(context.request.app)
        return has_room

    async def _await_pending(self, context: RequestContext, answer: Answer) -> None:
        """The row of an answer that its provider works on in the background: its own latency, usage and outcome."""
        try:
            whole = await self._models.follow(context.call(context.choice.variant), answer)
            await self.checks.check_form(context.request.app, whole)
            self._record(context, whole)
        finally:
            self._close(context)

    async def _await_form(self, context: RequestContext, answer: Answer, *, fell_back: bool) -> None:
        """The row of an answer that has to fit a schema."""
        try:
            await self.checks.check_form(context.request.app, answer)
            self._record(context, answer, fell_back=fell_back)
        finally:
            self._close(context)

    async def _ask_other_arm(self, context: RequestContext, answer: Answer, other: Variant) -> None:
        try:
            second = await self._models.ask(limited(context.call(other), _SECOND_ANSWER_SECONDS), NoSink())
            self._record(context, answer, excused=not second.given)
        finally:
            self._close(context)

    def _note_outcome(
        self, context: RequestContext, answer: Answer, *, candidate: bool, stood_in_for: bool = False
    ) -> None:
        """Let the breaker know, while a candidate is served."""
        breaker, route = context.app_route.breaker, context.route
        if context.weight_percent <= 0:
            return
        failed = stood_in_for or answer.outcome in ARM_FAILURES or answer.outcome in UNUSABLE
        policy = route.serving.gateway.breaker
        if not breaker.note(candidate=candidate, failed=failed, policy=policy, now=time.monotonic()):
            return
        trip = BreakerTripRecord(
            self._log.gateway_id, route.app, route.release_id, route.revision, breaker.reason or "", time.time()
        )
        self._log.put(trip)

    def _mirror(self, context: RequestContext) -> None:
        """Start the copies that were chosen, as far as there is room for them."""
        request, route = context.request, context.route
        if not context.choice.copies or not context.app_route.candidate_allowed():
            return
        for arm in context.choice.copies:
            if not self.mirrors.has_room(request.size):
                self._metrics.mirror_dropped(request.app)
                continue
            variant = route.stable if arm is Arm.CONTROL else route.candidate or route.stable
            # before the request's own is closed: the log holds both or none
            token, started_at = self._log.begin(request.app)
            choice = replace(context.choice, arm=arm, variant=variant, copies=())
            copy = replace(
                context,
                choice=choice,
                keeps_text=keeps_text(route, choice),
                token=token,
                started_at=started_at,
                recorded=False,
            )
            self.mirrors.start(self._copy(copy), request.size)

    async def _copy(self, copy: RequestContext) -> None:
        try:
            answer = await self._models.ask(copy.call(copy.choice.variant), NoSink())
            await self.checks.check_form(copy.request.app, answer)
            self._record(copy, answer, mirrored=True)
        finally:
            self._close(copy)

    def _close(self, context: RequestContext) -> None:
        if not context.recorded:  # we are being shut down, or are wrong somewhere: gates see a gap, not nothing
            self._log.drop(context.request.app)
        self._log.end(context.token)

    def _record(
        self,
        context: RequestContext,
        answer: Answer,
        *,
        fell_back: bool = False,
        mirrored: bool = False,
        excused: bool = False,
    ) -> RequestRecord:
        """Hand an answer to the log, the counts and the checks; returns its row."""
        answer.checks = self.checks.of(context.request, context.choice.variant.digest, answer)
        self._metrics.answered(context.request.app, context.choice.arm, answer)
        gateway_id = self._log.gateway_id
        row = row_of(context, answer, gateway_id, fell_back=fell_back, mirrored=mirrored, excused=excused)
        self._log.put(row)
        context.recorded = True
        if context.keeps_text:
            self._log.put_text(text_of(context, answer, row))
        return row
