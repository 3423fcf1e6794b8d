"""A request under way, and the row that the log gets of it."""

import time
from dataclasses import dataclass, replace

from softlaunch.core.api import Api
from softlaunch.core.prices import cost_usd
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.variant import Variant, embeds_alike
from softlaunch.gateway.calls import Answer, Call
from softlaunch.gateway.choice import Choice
from softlaunch.gateway.forwarding import without_idempotency_key
from softlaunch.gateway.protocols.context import context_of
from softlaunch.gateway.requests import AppRequest
from softlaunch.gateway.table import AppRoute
from softlaunch.gateway.threads import Marking, Pinned
from softlaunch.ledger.request_log import RequestRecord, TextRecord
from softlaunch.policy.route import Arm, Route


@dataclass(slots=True)
class RequestContext:
    """A request under way: what was asked, the route and the arm in force when it came, and the log's token for it.

    The route is frozen here: a change while the request runs concerns the next one. `weight_percent` is the weight that
    was really in force: zero while the candidate isn't allowed, whatever the route says.
    """

    request: AppRequest
    app_route: AppRoute
    route: Route
    choice: Choice
    weight_percent: float
    token: int
    started_at: float
    began: float
    pinned: bool = False
    """Whether nobody but its variant can answer: its provider has what it continues."""
    place: int = 0
    """Which of its variant's fallback models has what it continues, counted from 1; 0 is the variant's own model."""
    in_evidence: bool = True
    """Whether the split chose its arm; where a thread did, the request says nothing about the split's arms."""
    marking: Marking | None = None
    first: Answer | None = None
    recorded: bool = False
    recorded_later: bool = False
    """Its row waits for another answer."""
    keeps_text: bool = False
    """Whether the texts of it and of its answer are written."""

    def call(self, variant: Variant) -> Call:
        """The request as a call to a variant, with the calls to its fallback models."""
        is_first = variant is self.choice.variant and self.choice.arm in {Arm.STABLE, Arm.CANDIDATE}
        headers = self.request.headers if is_first else without_idempotency_key(self.request.headers)
        call = Call(
            self.request.protocol,
            variant.at(self.place) if self.place else variant,
            self.request.body,
            self.app_route.limits,
            self.keeps_text,
            headers,
            None if self.marking is None else self.marking.of(variant, self.place).apply,
        )
        return call if self.pinned or not variant.fallbacks else self._with_fallbacks(call)

    def _with_fallbacks(self, call: Call) -> Call:
        headers, marking = without_idempotency_key(call.headers), self.marking
        fallbacks = [
            replace(
                call,
                variant=fallback,
                headers=headers,
                rewrite=None if marking is None else marking.of(call.variant, place).apply,
            )
            for place, fallback in enumerate(call.variant.in_place, start=1)
            if can_stand_in(fallback, call.variant, call.protocol.api)
        ]
        return replace(call, fallbacks=fallbacks)

    @property
    def other(self) -> Variant | None:
        """The variant that the other arm of a split would have answered with, where there is one."""
        if self.pinned:
            return None
        if self.choice.arm is Arm.CANDIDATE:
            return self.route.stable
        return self.route.candidate if self.weight_percent > 0 else None


def in_thread(context: RequestContext, known: str | None, pinned: Pinned | None) -> RequestContext:
    """A request whose answer its provider keeps, or that continues one.

    What is continued is answered by the variant that has it, and by nobody else: no fallback, no copies. Where that
    isn't the variant that the split would have chosen, the request is no evidence about the split's arms.
    """
    request, route = context.request, context.route
    ids = {} if known is None or pinned is None or pinned.own == known else {pinned.own: known}
    context.marking = Marking(
        request.app,
        route.serving.salt,
        request.key,
        context.choice.variant.short,
        ids,
        keeps=request.protocol.keeps_thread(request.body),
    )
    if pinned is None:
        return context
    context.pinned, context.place = True, pinned.place
    context.request = replace(request, body=request.protocol.continuing(request.body, pinned.own))
    choice = replace(context.choice, copies=())
    if pinned.variant.digest != choice.variant.digest:
        arm = Arm.CANDIDATE if pinned.variant is route.candidate else Arm.STABLE
        choice = replace(choice, arm=arm, variant=pinned.variant)
        context.in_evidence, context.weight_percent = False, 0.0
    context.choice = choice
    return context


def row_of(
    context: RequestContext, answer: Answer, gateway_id: str, *, fell_back: bool, mirrored: bool, excused: bool
) -> RequestRecord:
    """The row of a request and its answer in the log."""
    request, route, choice, facts = context.request, context.route, context.choice, answer.facts
    fallback = answer.answered_by or (choice.variant.at(context.place).model if context.place else None)
    return RequestRecord(
        request_id=request.request_id,
        gateway_id=gateway_id,
        app=request.app,
        release_id=route.release_id if context.in_evidence else None,
        stage=route.stage,
        route_revision=route.revision,
        weight_percent=context.weight_percent,
        arm=choice.arm,
        mirrored=mirrored,
        variant_digest=choice.variant.digest,
        unit=choice.unit,
        named_unit=choice.named_unit,
        started_at=context.started_at,
        status=answer.status,
        outcome=answer.outcome,
        latency_ms=answer.latency_ms,
        first_token_ms=answer.first_token_ms,
        input_tokens=facts.usage.input_tokens,
        output_tokens=facts.usage.output_tokens,
        cached_tokens=facts.usage.cached_tokens,
        cost_usd=cost_usd(fallback or choice.variant.model, facts.usage),
        resolved_model=facts.resolved_model,
        fingerprint=facts.fingerprint,
        streamed=request.streamed,
        fell_back=fell_back,
        excused=excused,
        finish_reason=answer.finish_reason,
        attempts=answer.attempts,
        request_size=request.protocol.size_before_answers(request.body),
        api=request.protocol.api,
        answered_by=None if fallback is None else fallback.name,
        **answer.told,
    )


def can_stand_in(fallback: Variant, variant: Variant, api: Api) -> bool:
    """Whether a fallback model takes requests of an API; vectors of another model wouldn't mix with the variant's."""
    serves = api in fallback.model.served_apis
    return serves and (api is not Api.EMBEDDINGS or embeds_alike(fallback, variant))


def abandoned(context: RequestContext) -> Answer:
    """What is left of a request whose client went away; 499 is nginx's status for it."""
    elapsed_ms = (time.perf_counter() - context.began) * 1000
    return Answer(context.request.protocol, status=499, outcome=RequestOutcome.CLIENT_GONE, latency_ms=elapsed_ms)


def texts_of(context: RequestContext, answer: Answer, row: RequestRecord) -> TextRecord:
    """What is kept of the words of a request and its answer; a database takes no NUL."""
    texts, body = context.route.serving.texts, context.request.body
    question = context.request.protocol.question(body)
    besides = context_of(body, question) if texts.context else None
    return TextRecord(
        row.request_id,
        row.arm,
        row.app,
        question.replace("\x00", ""),
        answer.text.replace("\x00", ""),
        row.started_at + texts.retention,
        besides and besides.replace("\x00", ""),
        texts.until_judged,
    )
