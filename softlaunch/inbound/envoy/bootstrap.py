"""The bootstrap of an Envoy that routes one app: a listener, the arms' clusters, and where its control plane is."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from softlaunch.inbound.envoy.names import (
    ARM_HEADER,
    CONTROL_CLUSTER,
    COPIES,
    PROCESSOR_CLUSTER,
    REQUEST_HEADER,
    VARIANT_HEADER,
    VARIANT_OF,
    cluster_name,
    layer_name,
    log_name,
)
from softlaunch.inbound.envoy.route_files import routes_path
from softlaunch.inbound.envoy.routes import added
from softlaunch.policy.route import Arm, Serving
from softlaunch.policy.router import RouterPolicy

Json = dict[str, Any]
_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_CONNECTION_MANAGER = f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTPS = 443
_BY_NAME = {"type": "STRICT_DNS", "dns_lookup_family": "V4_PREFERRED"}
"""By itself Envoy only tries IPv6 where a name has such an address, as localhost always has for it."""
_TRIES = 5
"""Entries and bodies for a process that isn't there go to the next one."""
_BOUNDS = 61
"""From a millisecond to ten minutes."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are: what Envoy listens on, its admin page, its control planes, and the folder of the routes."""

    listen: tuple[str, int]
    admin: tuple[str, int]
    controls: Sequence[tuple[str, int]]
    """Each of them tells the same; a connection that is lost is made to the next one."""
    routes: Path
    processors: Sequence[tuple[str, int]] = ()
    """Where bodies are rewritten, if not in the control planes."""
    node: str = ""
    """What names this Envoy among others; left out, the app."""
    trusted: Path = Path("/etc/ssl/certs/ca-certificates.crt")
    """Certificates that vouch for the arms' https addresses."""


def bootstrap(app: str, serving: Serving, router: RouterPolicy, places: Places) -> Json:
    """A whole configuration, for `envoy -c`. It has no secret in it."""
    return {
        "node": {"id": places.node or f"{app}-envoy", "cluster": "softlaunch"},
        "admin": {"address": _address(places.admin)},
        "bootstrap_extensions": [_typed("envoy.bootstrap.internal_listener", "bootstrap.internal_listener.v3")],
        "layered_runtime": {"layers": [runtime_layer(app)]},
        "stats_flush_interval": "1s",
        "stats_config": {"histogram_bucket_settings": [fine_histograms()]},
        "static_resources": {
            "listeners": [_listener(app, serving, places), *(_copies(app, serving, arm) for arm in COPIES)],
            "clusters": _clusters(app, router, places),
        },
    }


def fine_histograms() -> Json:
    """Bounds a quarter apart for our clusters' times: Envoy's own put most answers of a model into one bucket."""
    bounds = [round(1.25**place, 3) for place in range(_BOUNDS)]
    return {"match": {"prefix": "cluster.softlaunch-"}, "buckets": bounds}


def _typed(name: str, package: str, kind: str = "InternalListener", **more: Any) -> Json:
    return {"name": name, "typed_config": {"@type": f"{_EXTENSIONS}.{package}.{kind}", **more}}


def _address(place: tuple[str, int]) -> Json:
    return {"socket_address": {"address": place[0], "port_value": place[1]}}


def _grpc(cluster: str) -> Json:
    """A service; a connection that is lost is tried again each second, and not, as by default, each half minute."""
    again = {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}}
    return {"envoy_grpc": {"cluster_name": cluster, "retry_policy": again}}


def runtime_layer(app: str) -> Json:
    """Where an app's weights come from. An Envoy that starts without its control plane waits a second, then serves."""
    source = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [_grpc(CONTROL_CLUSTER)]}
    config = {"resource_api_version": "V3", "initial_fetch_timeout": "1s", "api_config_source": source}
    return {"name": layer_name(app), "rtds_layer": {"name": layer_name(app), "rtds_config": config}}


def _manager(app: str, serving: Serving, routing: Json, copies: Arm | None = None) -> Json:
    """The filter chain of a listener: the given routes, and an access log that its control plane takes."""
    header = serving.unit.header.lower()
    log = {
        "common_config": {
            "log_name": log_name(app, copies),
            "transport_api_version": "V3",
            "grpc_service": _grpc(CONTROL_CLUSTER),
            "buffer_flush_interval": "0.25s",
            "grpc_stream_retry_policy": {"num_retries": _TRIES},
        },
        "additional_request_headers_to_log": [header, REQUEST_HEADER],
        "additional_response_headers_to_log": ["content-type"],
    }
    manager = {
        "@type": _CONNECTION_MANAGER,
        "stat_prefix": layer_name(app) if copies is None else cluster_name(app, copies),
        "stream_idle_timeout": "0s",
        "http_filters": [_typed("envoy.filters.http.router", "filters.http.router.v3", "Router")],
        "access_log": [
            _typed("envoy.access_loggers.http_grpc", "access_loggers.grpc.v3", "HttpGrpcAccessLogConfig", **log)
        ],
        **routing,
    }
    return {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}


def _listener(app: str, serving: Serving, places: Places) -> Json:
    source = {"resource_api_version": "V3", "path_config_source": {"path": str(routes_path(places.routes, app))}}
    routing = {"rds": {"route_config_name": layer_name(app), "config_source": source}}
    chain = _manager(app, serving, routing)
    return {"name": layer_name(app), "address": _address(places.listen), "filter_chains": [chain]}


def _copies(app: str, serving: Serving, arm: Arm) -> Json:
    """A listener inside this Envoy, which copies go through so that each is logged with its own arm."""
    answering = COPIES[arm]
    said = added({ARM_HEADER: arm, VARIANT_HEADER: f"%REQ({VARIANT_OF[answering]})%"})
    timeout = f"{serving.gateway.total:g}s"
    action = {"cluster": cluster_name(app, answering), "timeout": timeout}
    route = {"name": str(arm), "match": {"prefix": "/"}, "route": action, "request_headers_to_add": said}
    host = {"name": str(arm), "domains": ["*"], "routes": [route]}
    chain = _manager(app, serving, {"route_config": {"name": str(arm), "virtual_hosts": [host]}}, arm)
    return {"name": cluster_name(app, arm), "internal_listener": {}, "filter_chains": [chain]}


def _clusters(app: str, router: RouterPolicy, places: Places) -> list[Json]:
    arms = [_arm(app, arm, router, places.trusted) for arm in (Arm.STABLE, Arm.CANDIDATE)]
    back = [_endpoint(cluster_name(app, arm), _inside(cluster_name(app, arm))) for arm in COPIES]
    spoken = [_control(CONTROL_CLUSTER, places.controls)]
    if router.rewrite:
        spoken.append(_control(PROCESSOR_CLUSTER, places.processors or places.controls))
    return [*arms, *back, *spoken]


def _endpoint(name: str, *addresses: Json, **more: Any) -> Json:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}]
    return {
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        **more,
    }


def _inside(listener: str) -> Json:
    return {"envoy_internal_address": {"server_listener_name": listener}}


def _control(name: str, places: Sequence[tuple[str, int]]) -> Json:
    """Connections that are given up within two seconds of silence: nothing that was sent before may arrive late."""
    alive = {"connection_keepalive": {"interval": "1s", "timeout": "1s"}}
    spoken = {"@type": f"type.googleapis.com/{_HTTP}", "explicit_http_config": {"http2_protocol_options": alive}}
    more: Json = {**_BY_NAME, "typed_extension_protocol_options": {_HTTP: spoken}}
    return _endpoint(name, *map(_address, places), **more) | {"connect_timeout": "1s"}


def _arm(app: str, arm: Arm, router: RouterPolicy, trusted: Path) -> Json:
    """Where an arm answers; with `rewrite`, behind the processor of bodies."""
    url = router.address(candidate=arm is Arm.CANDIDATE)
    secure = url.scheme == "https"
    host, port = url.host or "", url.port or (_HTTPS if secure else 80)
    more: Json = {**_BY_NAME}
    if secure:
        more["transport_socket"] = _tls(host.strip("[]"), trusted)
    if router.rewrite:
        filters = [processor(failing_open=arm is Arm.STABLE), _codec()]
        spoken: Json = {"@type": f"type.googleapis.com/{_HTTP}", "http_filters": filters}
        spoken |= {"explicit_http_config": {"http_protocol_options": {}}}
        more["typed_extension_protocol_options"] = {_HTTP: spoken}
    return _endpoint(cluster_name(app, arm), _address((host.strip("[]"), port)), **more)


def _tls(host: str, trusted: Path) -> Json:
    """A connection to a host that proves to be it: by itself Envoy takes any certificate."""
    kind = "IP_ADDRESS" if _is_address(host) else "DNS"
    named = {"san_type": kind, "matcher": {"exact": host}}
    checked = {"trusted_ca": {"filename": str(trusted)}, "match_typed_subject_alt_names": [named]}
    common = {"validation_context": checked}
    sni = {} if kind == "IP_ADDRESS" else {"sni": host}
    package = "transport_sockets.tls.v3"
    return _typed("envoy.transport_sockets.tls", package, "UpstreamTlsContext", common_tls_context=common, **sni)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _codec() -> Json:
    return _typed("envoy.filters.http.upstream_codec", "filters.http.upstream_codec.v3", "UpstreamCodec")


def processor(*, failing_open: bool) -> Json:
    """The filter that hands bodies to the processor; what fails goes on to stable, never to a candidate."""
    mode = {"request_header_mode": "SEND", "request_body_mode": "BUFFERED", "response_header_mode": "SKIP"}
    return _typed(
        "envoy.filters.http.ext_proc",
        "filters.http.ext_proc.v3",
        "ExternalProcessor",
        grpc_service=_grpc(PROCESSOR_CLUSTER)
        | {"retry_policy": {"num_retries": _TRIES, "retry_on": "connect-failure,refused-stream"}},
        failure_mode_allow=failing_open,
        message_timeout="2s",
        processing_mode=mode,
        mutation_rules={"allow_all_routing": True},
    )
