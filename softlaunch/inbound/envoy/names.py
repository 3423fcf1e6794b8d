"""The names by which an Envoy and its control plane mean the same: layers, clusters, keys and headers."""

import hashlib

import orjson

from softlaunch.policy.route import Arm, Route

ARM_HEADER, VARIANT_HEADER = "x-softlaunch-arm", "x-softlaunch-variant"
"""What each request says of itself towards the application, whatever a client sent there."""
APP_HEADER, RELEASE_HEADER = "x-softlaunch-app", "x-softlaunch-release"
REQUEST_HEADER = "x-softlaunch-request"
"""The id of a request in this Envoy, which its copies carry too. A client may send the same id of its own again."""
VARIANT_OF = {arm: f"x-softlaunch-{arm}-variant" for arm in (Arm.STABLE, Arm.CANDIDATE)}
"""Both variants, for the copies."""
CONTROL_CLUSTER = "softlaunch-control"
PROCESSOR_CLUSTER = "softlaunch-processor"
OUTSIDE = "outside"
"""The route of those whom a stage isn't open to."""
COPIES = {Arm.SHADOW: Arm.CANDIDATE, Arm.CONTROL: Arm.STABLE}
"""Who answers a copy."""
_LOG = "softlaunch-log"
_DRAWN = "@"


def layer_name(app: str) -> str:
    """The runtime layer of an app, which is also the name of its resource."""
    return f"softlaunch.{app}"


def app_of_layer(name: str) -> str:
    """The inverse; empty for a layer of somebody else."""
    return name.removeprefix("softlaunch.") if name.startswith("softlaunch.") else ""


def cluster_name(app: str, arm: Arm) -> str:
    """The cluster that requests of an arm go to; those of copies lead back into this Envoy, where they are logged."""
    return f"softlaunch-{app}-{arm}"


def arm_of_cluster(app: str, name: str) -> Arm | None:
    """The inverse; None for a cluster of somebody else."""
    return next((arm for arm in Arm if name == cluster_name(app, arm)), None)


def log_name(app: str, arm: Arm | None = None) -> str:
    """The access log of an app's requests, or of the copies to an arm."""
    return f"{_LOG}/{app}/{arm or ''}"


def app_and_copy(name: str) -> tuple[str, Arm | None]:
    """The inverse; no app for a log of somebody else."""
    kind, _, rest = name.partition("/")
    app, _, arm = rest.partition("/")
    return (app, Arm(arm) if arm in {*COPIES} else None) if kind == _LOG else ("", None)


def runtime_prefix(route: Route) -> str:
    """What stands before the key that opens a release, and before the name of its route.

    It holds what the routes' file says of the release, but for its weights: another release, or a stage that is open to
    others, is closed to an Envoy that hasn't read the file yet, and it serves stable until it has.
    """
    only = None if route.only is None else route.only.model_dump(mode="json")
    candidate = None if route.candidate is None else route.candidate.digest
    said = orjson.dumps([route.serving.salt, route.serving.unit.header, route.release_id, only, candidate])
    digest = hashlib.blake2b(said + route.stable.digest.encode(), digest_size=6).hexdigest()
    return f"{layer_name(route.app)}.{digest}"


def open_key(route: Route) -> str:
    """The key of the runtime layer that opens the candidate's route, for as long as the lease holds."""
    return f"{runtime_prefix(route)}.open"


def drawn_name(route: Route) -> str:
    """The route that units are drawn on. It says by which weight, so that each entry of an access log does too."""
    return f"{runtime_prefix(route)}{_DRAWN}{route.weight_percent!r}"


def drawn_weight(app: str, route_name: str) -> float:
    """The inverse: the weight that a request's unit was drawn by, in percent; 0 where it wasn't drawn."""
    said, separator, weight = route_name.rpartition(_DRAWN)
    if not separator or app_of_layer(said).rpartition(".")[0] != app:
        return 0.0
    try:
        return float(weight)
    except ValueError:
        return 0.0
