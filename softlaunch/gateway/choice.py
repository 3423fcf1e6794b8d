"""Which arm answers a request: pure functions of the request, the route, and whether its lease holds."""

from dataclasses import dataclass

from softlaunch.core.split import (
    SplitMethod,
    drawn_afresh,
    is_sampled,
    takes_candidate,
    takes_candidate_in_envoy,
    unit_hash,
)
from softlaunch.core.variant import Variant
from softlaunch.policy.route import Arm, Route


@dataclass(slots=True)
class Choice:
    """The arm that answers, its variant, the unit's pseudonym, and the copies to make (shadow, control).

    `named_unit` is the pseudonym of what the request names, where `unit` is that on one occasion.
    """

    arm: Arm
    variant: Variant
    unit: int
    copies: tuple[Arm, ...] = ()
    named_unit: int | None = None


def choose(route: Route, unit: str, request_id: str, *, candidate_allowed: bool, occasion: str | None = None) -> Choice:
    """The arm for a unit; everything is stable unless the candidate is allowed (its lease holds, no breaker).

    With an `occasion` the arm is that of the unit on this occasion.
    """
    pseudonym, named = unit_hash(unit, route.serving.salt), None
    if occasion is not None:
        pseudonym, named = drawn_afresh(pseudonym, occasion), pseudonym
    if route.candidate is None or route.release_id is None or not candidate_allowed:
        return Choice(Arm.STABLE, route.stable, pseudonym, named_unit=named)
    if is_candidates(route, unit, pseudonym):
        copies = (Arm.CONTROL,) if is_sampled(request_id, route.control_percent) else ()
        return Choice(Arm.CANDIDATE, route.candidate, pseudonym, copies, named)
    return Choice(Arm.STABLE, route.stable, pseudonym, _copies_of_stable(route, request_id), named)


def is_candidates(route: Route, unit: str, pseudonym: int) -> bool:
    """Whether a unit lies within the candidate's share, as whatever serves the app splits it; false without one."""
    if route.release_id is None:
        return False
    if route.serving.split is SplitMethod.ENVOY:
        return takes_candidate_in_envoy(unit, route.serving.salt, route.release_id, route.weight_percent)
    return takes_candidate(pseudonym, route.release_id, route.weight_percent)


def _copies_of_stable(route: Route, request_id: str) -> tuple[Arm, ...]:
    """A copy to the candidate and, of some of these requests, one to stable too: how much it varies by itself."""
    if not is_sampled(request_id, route.shadow_percent):
        return ()
    return (Arm.SHADOW, Arm.CONTROL) if is_sampled(request_id, route.control_percent) else (Arm.SHADOW,)
