"""What an app's runtime layer says: that its candidate may be met, and for how long without another word."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from softlaunch.core.split import envoy_shares
from softlaunch.gateway.table import AppRoute
from softlaunch.inbound.envoy.names import open_key
from softlaunch.inbound.envoy.routes import copied_percents
from softlaunch.policy.route import Route

_ALWAYS = 100


@dataclass(frozen=True, slots=True)
class Layer:
    """The layer of an app: empty where stable serves alone, which is what an Envoy does without one.

    `until` is when the lease is over, on this process's monotonic clock: Envoy forgets the layer by itself then.
    """

    app: str
    revision: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    until: float = 0.0


def layer_of(app: str, served: AppRoute | None, now: float) -> Layer:
    """What an Envoy is to do for an app at `now` (monotonic). An app that no Envoy routes has no revision."""
    if served is None or served.route.serving.router is None:
        return Layer(app)
    route = served.route
    left = served.lease_left()
    if left <= 0 or not served.candidate_allowed():
        return Layer(app, route.revision)
    values = _values(route)
    return Layer(app, route.revision, values, now + left) if values else Layer(app, route.revision)


def _values(route: Route) -> dict[str, Any]:
    """What opens the candidate's route where there is anything to meet on it."""
    is_used = envoy_shares(route.weight_percent) > 0 or copied_percents(route)
    return {open_key(route): _ALWAYS} if is_used else {}
