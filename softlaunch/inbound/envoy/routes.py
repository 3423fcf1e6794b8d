"""The routes of an app as Envoy reads them from a file: by whom units are drawn, and what requests say of themselves.

The file changes with a release, not with its weights. It never sends anybody to a candidate by itself: that takes the
runtime layer, which Envoy forgets when nobody renews it.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from softlaunch.core.split import SHARES
from softlaunch.inbound.envoy.names import (
    APP_HEADER,
    ARM_HEADER,
    OUTSIDE,
    RELEASE_HEADER,
    REQUEST_HEADER,
    VARIANT_HEADER,
    VARIANT_OF,
    cluster_name,
    layer_name,
    runtime_prefix,
)
from softlaunch.policy.route import Arm, Route

_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
_ID = "%STREAM_ID%-%START_TIME(%s%9f)%"
Json = dict[str, Any]


def added(headers: Mapping[str, str]) -> list[Json]:
    """Headers that are put on a request in the place of what a client sent."""
    return [
        {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for key, value in headers.items()
    ]


def routes_of(route: Route) -> Json:
    """An app's whole RouteConfiguration. Without a release there is stable alone."""
    timeout = f"{route.serving.gateway.total:g}s"
    if route.candidate is None or route.release_id is None:
        routes = [_stable(route, "stable", timeout)]
    elif route.only is None:
        routes = [_drawn(route, {"prefix": "/"}, timeout)]
    else:
        header = route.only.header.lower() or route.serving.unit.header.lower()
        inside = "|".join(re.escape(value) for value in route.only.values)
        matched = {"name": header, "string_match": {"safe_regex": {"regex": f"(?:{inside})"}}}
        routes = [_drawn(route, {"prefix": "/", "headers": [matched]}, timeout), _stable(route, OUTSIDE, timeout)]
    host = {
        "name": layer_name(route.app),
        "domains": ["*"],
        "request_headers_to_add": added(_said(route)),
        "routes": routes,
    }
    return {"@type": _TYPE, "name": layer_name(route.app), "virtual_hosts": [host]}


def _said(route: Route) -> dict[str, str]:
    said = {
        APP_HEADER: route.app,
        REQUEST_HEADER: _ID,
        VARIANT_OF[Arm.STABLE]: route.stable.digest,
    }
    if route.candidate is not None:
        said |= {VARIANT_OF[Arm.CANDIDATE]: route.candidate.digest, RELEASE_HEADER: route.release_id or ""}
    return said


def _stable(route: Route, name: str, timeout: str) -> Json:
    said = added({ARM_HEADER: Arm.STABLE, VARIANT_HEADER: route.stable.digest})
    action = {"cluster": cluster_name(route.app, Arm.STABLE), "timeout": timeout}
    return {"name": name, "match": {"prefix": "/"}, "route": action, "request_headers_to_add": said}


def _drawn(route: Route, match: Json, timeout: str) -> Json:
    """The route whose units are drawn: everybody to stable, unless the runtime layer says otherwise."""
    prefix = runtime_prefix(route)
    weights = {Arm.STABLE: (route.stable, SHARES), Arm.CANDIDATE: (route.candidate, 0)}
    clusters = [
        {
            "name": cluster_name(route.app, arm),
            "weight": weight,
            "request_headers_to_add": added({ARM_HEADER: arm, VARIANT_HEADER: variant.digest}),
        }
        for arm, (variant, weight) in weights.items()
        if variant is not None
    ]
    policies = [_copied(route.app, prefix, arm) for arm in (Arm.SHADOW, Arm.CONTROL)]
    action = {
        "timeout": timeout,
        "hash_policy": [{"header": _hashed(route)}],
        "weighted_clusters": {"runtime_key_prefix": prefix, "use_hash_policy": True, "clusters": clusters},
        "request_mirror_policies": policies,
    }
    return {"name": prefix, "match": match, "route": action}


def _hashed(route: Route) -> Json:
    """The unit's header, behind the salt and the release: what `core.split.envoy_key` makes of it."""
    before = f"{route.serving.salt}:{route.release_id}:".replace("\\", "\\\\")
    rewrite = {"pattern": {"regex": "^(.*)$"}, "substitution": before + "\\1"}
    return {"header_name": route.serving.unit.header.lower(), "regex_rewrite": rewrite}


def _copied(app: str, prefix: str, arm: Arm) -> Json:
    nobody = {"numerator": 0, "denominator": "TEN_THOUSAND"}
    return {
        "cluster": cluster_name(app, arm),
        "runtime_fraction": {"default_value": nobody, "runtime_key": f"{prefix}.{arm}"},
    }


def routes_path(folder: Path, app: str) -> Path:
    """Where the routes of an app lie."""
    return folder / f"{app}.json"


def write_routes(folder: Path, route: Route) -> bool:
    """Put the routes in their place, at once or not at all; false where they are there already. Raises OSError."""
    path = routes_path(folder, route.app)
    content = orjson.dumps({"resources": [routes_of(route)]}, option=orjson.OPT_INDENT_2)
    if path.is_file() and path.read_bytes() == content:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, written = tempfile.mkstemp(dir=folder, prefix=f".{route.app}-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(written).chmod(0o644)  # Envoy is another user
    Path(written).replace(path)
    return True
