"""What an app's runtime layer says: the weights in force, and for how long they are without another word."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from softlaunch.core.split import SHARES, envoy_shares
from softlaunch.gateway.table import AppRoute
from softlaunch.inbound.envoy.names import cluster_name, runtime_prefix
from softlaunch.policy.route import Arm, Route


@dataclass(frozen=True, slots=True)
class Layer:
    """The layer of an app: empty where stable serves alone, which is what an Envoy does without one.

    `until` is when the lease is over, on this process's monotonic clock: Envoy forgets the layer by itself then.
    `weight_percent` is the weight that it has units drawn by.
    """

    app: str
    revision: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    weight_percent: float = 0.0
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
    return (
        Layer(app, route.revision, values, route.weight_percent, now + left) if values else Layer(app, route.revision)
    )


def _values(route: Route) -> dict[str, Any]:
    """Weights of the arms, and the shares of requests that are copied, below the route's own prefix."""
    prefix, shares = runtime_prefix(route), envoy_shares(route.weight_percent)
    copies = {Arm.SHADOW: route.shadow_percent, Arm.CONTROL: route.control_percent if shares == SHARES else 0.0}
    copied = {f"{prefix}.{arm}": _fraction(percent) for arm, percent in copies.items() if percent > 0}
    if not shares and not copied:
        return {}
    return {
        f"{prefix}.{cluster_name(route.app, Arm.STABLE)}": SHARES - shares,
        f"{prefix}.{cluster_name(route.app, Arm.CANDIDATE)}": shares,
        **copied,
    }


def _fraction(percent: float) -> dict[str, Any]:
    return {"numerator": envoy_shares(percent), "denominator": "TEN_THOUSAND"}
