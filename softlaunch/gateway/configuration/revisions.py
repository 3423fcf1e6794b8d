"""What a call counts for that an application made by a known revision of the route; no arm is taken on trust."""

from dataclasses import dataclass

from softlaunch.core.split import unit_hash
from softlaunch.gateway.choice import is_candidates
from softlaunch.gateway.configuration.evaluation import Asked, is_inside, unit_named
from softlaunch.policy.route import Arm, Route

_SETTLING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Told:
    """What an application tells of a call: for whom, on which arm, since when (epoch seconds), by which weight.

    Without a weight it is the route's.
    """

    unit: str
    arm: Arm
    began: float
    weight_percent: float | None


def weight_by_revision(told: Told, route: Route, until: float) -> float | None:
    """The weight of a call by this route, which was in force `until` then; None where the candidate isn't the unit's.

    Zero is no evidence: so counts who hadn't heard of a change for longer than the lease.
    """
    named = unit_named(route.serving.unit, told.unit)
    takes = _is_inside(told, route) and is_candidates(route, named, unit_hash(named, route.serving.salt))
    if told.arm is Arm.CANDIDATE and not takes:
        return None
    is_stale = told.began > until + route.lease_seconds + _SETTLING_SECONDS
    return 0.0 if is_stale else _weight(told, route, takes_candidate=takes)


def _is_inside(told: Told, route: Route) -> bool:
    """Whether the unit is one that the stage is for; where a header says who is, the application is believed."""
    return bool(route.only and route.only.header) or is_inside(route.only, Asked(told.unit, {}))


def _weight(told: Told, route: Route, *, takes_candidate: bool) -> float:
    """The weight that was in force for the unit.

    What was answered by stable though the split says otherwise had none: whoever served it saw the lease run out. Nor
    has who is outside of a limited stage; where a header says who is, the application has to.
    """
    if told.arm is Arm.STABLE and takes_candidate:
        return 0.0
    if told.weight_percent is not None:
        return min(told.weight_percent, route.weight_percent)
    if route.only is None or told.arm is Arm.CANDIDATE:
        return route.weight_percent
    return 0.0 if route.only.header or told.unit not in route.only.values else route.weight_percent
