"""The routes of an app as Envoy reads them from a file: by whom units are drawn, and what requests say of themselves.

The file changes with a release and with its weights. It never sends anybody to a candidate by itself: the route whose
units are drawn is closed until the runtime layer opens it, which Envoy forgets when nobody renews it.
"""

import re
from collections.abc import Mapping
from typing import Any

from softlaunch.core.split import SHARES, envoy_shares
from softlaunch.inbound.envoy.names import (
    APP_HEADER,
    ARM_HEADER,
    OUTSIDE,
    RELEASE_HEADER,
    REQUEST_HEADER,
    VARIANT_HEADER,
    VARIANT_OF,
    cluster_name,
    drawn_name,
    layer_name,
    open_key,
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
        routes = [_drawn(route, {}, timeout), _stable(route, "stable", timeout)]
    else:
        header = route.only.header.lower() or route.serving.unit.header.lower()
        inside = "|".join(re.escape(value) for value in route.only.values)
        matched = {"name": header, "string_match": {"safe_regex": {"regex": f"(?:{inside})"}}}
        routes = [_drawn(route, {"headers": [matched]}, timeout), _stable(route, OUTSIDE, timeout)]
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
    """The route whose units are drawn by the weight and whose requests are copied, open while the layer says so."""
    shares = envoy_shares(route.weight_percent)
    weights = {Arm.STABLE: (route.stable, SHARES - shares), Arm.CANDIDATE: (route.candidate, shares)}
    clusters = [
        {
            "name": cluster_name(route.app, arm),
            "weight": weight,
            "request_headers_to_add": added({ARM_HEADER: arm, VARIANT_HEADER: variant.digest}),
        }
        for arm, (variant, weight) in weights.items()
        if variant is not None
    ]
    closed = {"numerator": 0, "denominator": "HUNDRED"}
    opened = {"prefix": "/", "runtime_fraction": {"default_value": closed, "runtime_key": open_key(route)}, **match}
    action = {
        "timeout": timeout,
        "hash_policy": [{"header": _hashed(route)}],
        "weighted_clusters": {"use_hash_policy": True, "clusters": clusters},
        "request_mirror_policies": [_copied(route.app, arm, each) for arm, each in copied_percents(route).items()],
    }
    return {"name": drawn_name(route), "match": opened, "route": action}


def copied_percents(route: Route) -> dict[Arm, float]:
    """Which share of requests is copied, by the copy's arm: to stable only once everybody meets the candidate."""
    everybody = envoy_shares(route.weight_percent) == SHARES
    copies = {Arm.SHADOW: route.shadow_percent, Arm.CONTROL: route.control_percent if everybody else 0.0}
    return {arm: percent for arm, percent in copies.items() if percent > 0}


def _hashed(route: Route) -> Json:
    """The unit's header, behind the salt and the release: what `core.split.envoy_key` makes of it."""
    before = f"{route.serving.salt}:{route.release_id}:".replace("\\", "\\\\")
    rewrite = {"pattern": {"regex": "^(.*)$"}, "substitution": before + "\\1"}
    return {"header_name": route.serving.unit.header.lower(), "regex_rewrite": rewrite}


def _copied(app: str, arm: Arm, percent: float) -> Json:
    share = {"numerator": envoy_shares(percent), "denominator": "TEN_THOUSAND"}
    return {"cluster": cluster_name(app, arm), "runtime_fraction": {"default_value": share}}
