"""Conversations that stay on the variant that they began on, where the policy's `unit.pin` says so.

Where one began is written by the log's thread, and read by every gateway with its routes: no request waits for either.
A gateway that hasn't read of a conversation yet, within about half a second of its first request, takes it for a new
one. The split draws the same arm for it then, unless the weight changes at that moment.
"""

from dataclasses import replace

from softlaunch.core.api import Api
from softlaunch.core.variant import Variant
from softlaunch.gateway.choice import Choice
from softlaunch.gateway.log import LogSink
from softlaunch.gateway.pins import Pins
from softlaunch.gateway.request_context import RequestContext
from softlaunch.gateway.table import AppRoute
from softlaunch.gateway.units import names_thread
from softlaunch.ledger.pins import Pin
from softlaunch.ledger.request_log import PinRecord
from softlaunch.policy.route import Arm


class Pinning:
    """Puts requests where their conversations began, and notes where those of new ones begin."""

    def __init__(self, pins: Pins, log: LogSink) -> None:
        self._pins = pins
        self._log = log

    def place(self, context: RequestContext) -> None:
        """Let a request be answered where its conversation began; it begins here where nothing is known of it.

        Where the split would answer by another variant, or the conversation began under another split, on either side
        of it, the request is no evidence: those who came before a candidate had a share are all on stable, and would
        be compared with those who came since.
        """
        request, choice = context.request, context.choice
        if not (request.protocol.has_texts and names_thread(request, context.route.serving.unit)):
            return
        pin = self._pins.find(request.app, choice.unit, context.started_at)
        variant = None if pin is None else variant_of(pin, context.app_route, request.protocol.api)
        if pin is None:
            self._begin(context, choice.variant, context.route.release_id)
            return
        if variant is None:  # rolled back, or replaced otherwise: stable at once
            variant = context.route.stable
            self._begin(context, variant, None)
        moved = variant.digest != choice.variant.digest
        is_split = 0 < context.weight_percent < 100
        if moved:
            context.choice = _moved(choice, variant, context.route.candidate)
        if moved or (is_split and (pin.release_id, pin.stage) != (context.route.release_id, context.route.stage)):
            context.choice = replace(context.choice, copies=())
            context.in_evidence, context.weight_percent = False, 0.0

    def _begin(self, context: RequestContext, variant: Variant, release_id: str | None) -> None:
        route, unit = context.route, context.choice.unit
        expires_at = context.started_at + route.serving.unit.pin_limit
        pin = Pin(variant.digest, release_id, route.stage, expires_at)
        self._pins.note(route.app, unit, pin)
        self._log.put(PinRecord(route.app, unit, pin.digest, pin.release_id, pin.stage, pin.expires_at))


def variant_of(pin: Pin, app_route: AppRoute, api: Api) -> Variant | None:
    """Who answers in a conversation with this pin, None where its variant must not serve any more.

    While a candidate isn't allowed, because its lease ran out or a breaker tripped, its conversations are stable's.
    """
    route, candidate = app_route.route, app_route.route.candidate
    if pin.digest == route.stable.digest:
        return route.stable
    if candidate is not None and pin.digest == candidate.digest and pin.release_id == route.release_id:
        return candidate if app_route.candidate_allowed(api) else route.stable
    variant = app_route.retired.get(pin.digest)
    return variant if variant is not None and api in variant.model.served_apis else None


def _moved(choice: Choice, variant: Variant, candidate: Variant | None) -> Choice:
    arm = Arm.CANDIDATE if variant is candidate else Arm.STABLE
    return replace(choice, arm=arm, variant=variant)
