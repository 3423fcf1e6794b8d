"""Which variant an application is to use for a unit, and for how long: pure functions of the route and its lease."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from softlaunch.gateway.choice import Choice, choose
from softlaunch.gateway.table import AppRoute
from softlaunch.gateway.units import epoch_of, unit_of_conversation
from softlaunch.policy.limited import OnlyPolicy
from softlaunch.policy.route import Route
from softlaunch.policy.units import UnitPolicy, UnitSource

CONVERSATION = "conversation"
"""The attribute that names the conversation, where arms are drawn afresh in each."""
FLAG_SET = "softlaunch"
"""The set of flags that apps are, as OpenFeature's metadata for telemetry name it."""


class Reason(StrEnum):
    """Why a variant was chosen, in OpenFeature's words."""

    STATIC = "STATIC"
    """No split is in force for whoever asks: there is no release, nobody watches it, or its stage is for others."""
    SPLIT = "SPLIT"


@dataclass(frozen=True, slots=True)
class Asked:
    """On whose behalf an application asks: the unit as it names it, and what it says besides."""

    unit: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The variant for a unit; it may be kept for `keep_seconds`, and never longer than the candidate's lease.

    `weight_percent` is the weight that was really in force: zero while no candidate may be shown to the unit.
    """

    route: Route
    choice: Choice
    reason: Reason
    weight_percent: float
    keep_seconds: float


def why_not_evaluated(route: Route, *, are_backends: bool) -> str:
    """Why an app's route can't be evaluated apart from its requests, and what to do; empty where it can be.

    `are_backends`: whoever asks has shown a key that only backends have.
    """
    unit = route.serving.unit
    if unit.pin is not None:
        return (
            f"the policy of {route.app} pins conversations to the variant that they began on, which only a gateway "
            "does, that sees their requests: let a gateway serve the app, or take unit.pin out"
        )
    if unit.signed_by is not None and not are_backends:
        return (
            f"the units of {route.app} are signed, for not every client is trusted to name them: set "
            "SOFTLAUNCH_CONFIG_KEYS, and give these keys to backends alone"
        )
    return ""


def evaluate(app_route: AppRoute, asked: Asked, request_id: str, now: float, longest_seconds: float) -> Evaluation:
    """The arm of a unit, as a gateway would choose it for a request at `now` (epoch seconds).

    `longest_seconds` bounds how long it may be kept where no release does.
    """
    route, policy = app_route.route, app_route.route.serving.unit
    unit = unit_named(policy, asked.unit)
    inside = is_inside(route.only, asked)
    left = app_route.lease_left()
    allowed = inside and left > 0
    occasion = occasion_at(policy, asked.attributes.get(CONVERSATION), now)
    choice = choose(route, unit, request_id, candidate_allowed=allowed, occasion=occasion)
    keep = longest_seconds if route.candidate is None else min(longest_seconds, left or route.lease_seconds)
    if isinstance(policy.redraw, float):
        keep = min(keep, policy.redraw - now % policy.redraw)
    reason = Reason.SPLIT if allowed and route.weight_percent > 0 else Reason.STATIC
    return Evaluation(route, choice, reason, route.weight_percent if allowed else 0.0, keep)


def unit_named(policy: UnitPolicy, name: str) -> str:
    """A unit as gateways know it, by the name that an application gives: a conversation's is hashed there too."""
    return unit_of_conversation(name) if policy.source is UnitSource.CONVERSATION else name


def occasion_at(policy: UnitPolicy, conversation: object, now: float) -> str | None:
    """On which occasion a unit asks, where its arm is drawn afresh on each; None where it isn't."""
    if isinstance(policy.redraw, float):
        return epoch_of(policy.redraw, now)
    if policy.redraw is None or not isinstance(conversation, str) or not conversation.strip():
        return None
    return unit_of_conversation(conversation)


def is_inside(only: OnlyPolicy | None, asked: Asked) -> bool:
    """Whether a stage is for whoever asks: by the unit's name, or by the attribute that is named as the header."""
    if only is None:
        return True
    if not only.header:
        return asked.unit in only.values
    wanted = only.header.lower()
    said = (value for name, value in asked.attributes.items() if name.lower() == wanted)
    return any(isinstance(value, str) and value.strip() in only.values for value in said)
