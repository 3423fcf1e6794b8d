"""Whose a model call is: app, arm, unit and split. What a span doesn't say is never guessed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from softlaunch.core.prices import cost_usd
from softlaunch.core.split import unit_hash
from softlaunch.core.variant import Variant
from softlaunch.gateway.configuration.evaluation import unit_named
from softlaunch.gateway.configuration.revisions import Told, weight_by_revision
from softlaunch.inbound.otlp.attributes import number_of, text_of
from softlaunch.inbound.otlp.call_spans import CallSpan, request_id
from softlaunch.inbound.otlp.names import ARM, COPY_OF, VARIANT, WEIGHT
from softlaunch.ledger.request_log import RequestRecord
from softlaunch.ledger.timeline import InForce
from softlaunch.policy.route import Arm, Route, Serving
from softlaunch.policy.sources import OtlpPolicy

SETTLING_SECONDS = 5.0
"""An app follows a change of the split within so long; until then a span that doesn't say by which weight its arm was
drawn is no evidence.
"""
AHEAD_SECONDS = 5.0
"""How far an app's clock may be ahead of ours."""
Source = Callable[[Serving], OtlpPolicy | None]
"""Which part of a policy lets calls be taken, and says how long they may take to arrive."""
_SHORTEST_DIGEST = 8
_SPAN_ID = 48
_COPIES = frozenset({Arm.SHADOW, Arm.CONTROL})
_OF_CANDIDATE = frozenset({Arm.CANDIDATE, Arm.SHADOW})


class Lacking(StrEnum):
    """Why a span isn't attributed."""

    APP = "app"
    """It names none, or one that isn't recorded."""
    POLICY = "policy"
    """The app's policy has no `sources.otlp`."""
    UNIT = "unit"
    """It doesn't say by whom its arm was drawn."""
    ARM = "arm"
    """It has neither arm nor variant, or one that isn't known."""
    CANDIDATE = "candidate"
    """It says that a candidate answered, where none was being released."""
    VARIANT = "variant"
    """Its variant is neither stable nor candidate, or isn't that of its arm."""
    SIDE = "side"
    """It says that the candidate answered, and its unit isn't the candidate's by the revision that it names."""
    ORIGINAL = "original"
    """It is a copy, and doesn't say of which request."""
    SPLIT = "split"
    """It began before the first split that this receiver saw."""
    CLOCK = "clock"
    """Its times are missing, run backwards or lie in the future."""
    METRIC = "metric"
    """Of an evaluation: no metric that judges score, or that the policy declares, has its name."""
    VALUE = "value"
    """Of an evaluation: its value isn't one of that metric."""
    REQUEST = "request"
    """Of an evaluation: it doesn't say what it is about."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a call belongs."""

    split: InForce
    arm: Arm
    variant: Variant
    unit: str
    weight_percent: float
    counts_at: float


def of_spans(serving: Serving) -> OtlpPolicy | None:
    """That of spans."""
    return serving.otlp


def place(call: CallSpan, split: InForce | None, now: float, source: Source = of_spans) -> Placed | Lacking:
    """Where a call belongs under the split that was in force when it began."""
    if not 0 < call.began <= call.ended <= now + AHEAD_SECONDS:
        return Lacking.CLOCK
    if split is None:
        return Lacking.SPLIT
    otlp = source(split.route.serving)
    if otlp is None:
        return Lacking.POLICY
    unit = call.unit(split.route.serving.unit.source)
    found = _arm(call, split.route) if unit else Lacking.UNIT
    if isinstance(found, Lacking):
        return found
    return Placed(split, *found, unit, _weight(call, split, unit), otlp.counts_at(call.began, call.ended))


def place_by_revision(
    call: CallSpan, split: InForce, until: float, now: float, source: Source = of_spans
) -> Placed | Lacking:
    """Where a call belongs by the split of the revision that it names, in force `until` then: its arm is drawn again.

    Its unit is known there as the config server knew it that told the revision.
    """
    placed = place(call, split, now, source)
    if isinstance(placed, Lacking):
        return placed
    told = Told(placed.unit, placed.arm, call.began, number_of(call.own, WEIGHT))
    weight = weight_by_revision(told, split.route, until)
    if weight is None:
        return Lacking.SIDE
    return replace(placed, unit=unit_named(split.route.serving.unit, placed.unit), weight_percent=weight)


def _arm(call: CallSpan, route: Route) -> tuple[Arm, Variant] | Lacking:
    named, written = text_of(call.own, VARIANT), text_of(call.own, ARM).lower()
    if written and written not in {*Arm}:
        return Lacking.ARM
    if written:
        arm = Arm(written)
    elif not named:
        return Lacking.ARM
    elif _is(named, route.stable):
        arm = Arm.STABLE
    else:
        arm = Arm.CANDIDATE
    variant = route.candidate if arm in _OF_CANDIDATE else route.stable
    if variant is None:
        return Lacking.CANDIDATE
    if named and not _is(named, variant):
        return Lacking.VARIANT
    is_traced = arm not in _COPIES or len(_copied(call)) == _SPAN_ID
    return (arm, variant) if is_traced else Lacking.ORIGINAL


def _copied(call: CallSpan) -> str:
    """The ids of the span that a copy's request was first told of."""
    return text_of(call.own, COPY_OF).replace("-", "").lower()


def _is(named: str, variant: Variant) -> bool:
    """Whether a name means this variant: its label, or the beginning of its digest."""
    begins = len(named) >= _SHORTEST_DIGEST and variant.digest.startswith(named.lower())
    return begins or named == variant.label


def row_of(call: CallSpan, placed: Placed, receiver: str, *, late: bool) -> RequestRecord:
    """The row of a call. What came too late belongs to no split that gates compare."""
    route, arm, variant = placed.split.route, placed.arm, placed.variant
    is_copy = arm in _COPIES
    about = _copied(call) if is_copy else call.key
    return RequestRecord(
        request_id=request_id(route.app, about[:32], about[32:]),
        gateway_id=receiver,
        app=route.app,
        release_id=route.release_id,
        stage=route.stage,
        route_revision=route.revision,
        weight_percent=0.0 if late else placed.weight_percent,
        arm=arm,
        mirrored=is_copy,
        variant_digest=variant.digest,
        unit=unit_hash(placed.unit, route.serving.salt),
        started_at=placed.counts_at,
        status=call.status,
        outcome=call.outcome,
        latency_ms=(call.ended - call.began) * 1000,
        first_token_ms=call.first_token_ms,
        input_tokens=call.usage.input_tokens,
        output_tokens=call.usage.output_tokens,
        cost_usd=cost_usd(variant.model, call.usage) if call.asked_model in {"", variant.model.model} else None,
        resolved_model=call.resolved_model,
        fingerprint=call.fingerprint,
        streamed=call.streamed,
        fell_back=False,
        finish_reason=call.finish_reason,
        cached_tokens=call.usage.cached_tokens,
        api=call.api,
    )


def _weight(call: CallSpan, split: InForce, unit: str) -> float:
    """The weight that the arm was drawn by: as the app says, or else the split's once every app follows it.

    In a stage for some there is none for those outside, nor where a header says who is inside and the app doesn't.
    """
    said = number_of(call.own, WEIGHT)
    if said is not None:
        return said
    only = split.route.only
    is_inside = only is None or (not only.header and unit in only.values)
    return split.route.weight_percent if is_inside and call.began >= split.since + SETTLING_SECONDS else 0.0
