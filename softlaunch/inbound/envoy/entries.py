"""Entries of Envoy's access log as calls of an app: whose each is, how it ended, and how long it took."""

import hashlib
from typing import Any

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.usage import NO_USAGE
from softlaunch.gateway.refusals import ProviderError, classify
from softlaunch.inbound.envoy.names import REQUEST_HEADER, app_and_copy, arm_of_cluster, drawn_weight
from softlaunch.inbound.otlp.attributes import Attributes
from softlaunch.inbound.otlp.call_spans import CallSpan
from softlaunch.inbound.otlp.names import APP, ARM, COPY_OF, UNIT, WEIGHT

_FLAGS = (
    ("downstream_connection_termination", RequestOutcome.CLIENT_GONE, 499),
    ("downstream_remote_reset", RequestOutcome.CLIENT_GONE, 499),
    ("upstream_request_timeout", RequestOutcome.TOTAL_TIMEOUT, 504),
    ("upstream_max_stream_duration_reached", RequestOutcome.TOTAL_TIMEOUT, 504),
    ("duration_timeout", RequestOutcome.TOTAL_TIMEOUT, 504),
    ("stream_idle_timeout", RequestOutcome.IDLE_TIMEOUT, 504),
    ("upstream_connection_failure", RequestOutcome.CONNECT, 503),
    ("no_healthy_upstream", RequestOutcome.CONNECT, 503),
    ("upstream_overflow", RequestOutcome.CONNECT, 503),
    ("dns_resolution_failure", RequestOutcome.CONNECT, 503),
    ("upstream_connection_termination", RequestOutcome.CUT, 502),
    ("upstream_remote_reset", RequestOutcome.CUT, 502),
    ("upstream_protocol_error", RequestOutcome.MALFORMED, 502),
    ("downstream_protocol_error", RequestOutcome.REQUEST_AT_FAULT, 400),
)
"""What Envoy says of a request that ended otherwise than by an answer, and the status that gateways log for it."""
_FAILED, _BODY = 400, 200


def call_key(node: str, stream: str) -> str:
    """What names a request in the request log: 48 hexadecimal digits of an Envoy's name and its id of the request."""
    return hashlib.blake2b(f"{node}\x00{stream}".encode(), digest_size=24).hexdigest()


def read_entry(entry: Any, node: str, log: str, header: str) -> CallSpan | None:
    """A call as an entry tells of it; None for a log of somebody else. `header` names the unit.

    The weight that its unit was drawn by is in the name of its route, whichever control plane hears of it.
    """
    app, copy = app_and_copy(log)
    if not app:
        return None
    common, request = entry.common_properties, entry.request
    began = common.start_time.seconds + common.start_time.nanos / 1e9
    took = _longest(common)
    outcome, status = _outcome(common.response_flags, entry.response.response_code.value)
    headers = _named(request.request_headers)
    named = headers.get(REQUEST_HEADER, "")
    key = call_key(node, named if named and copy is None else f"{copy}-{common.stream_id}-{began}")
    arm = copy or arm_of_cluster(app, common.upstream_cluster)
    own: dict[str, str | float] = {APP: app, UNIT: headers.get(header) or key}
    own[WEIGHT] = drawn_weight(app, common.route_name)
    if arm is not None:
        own[ARM] = str(arm)
    if copy is not None:
        own[COPY_OF] = call_key(node, named)
    streamed = "text/event-stream" in _named(entry.response.response_headers).get("content-type", "")
    return _call(key, (began, began + took), own, (outcome, status), _first_ms(common) if streamed else None)


def _call(
    key: str, times: tuple[float, float], own: Attributes, ended: tuple[RequestOutcome, int], first_ms: float | None
) -> CallSpan:
    """What an access log says of a call; it knows neither tokens nor models."""
    return CallSpan(
        trace_id=key[:32],
        span_id=key[32:],
        began=times[0],
        ended=times[1],
        own=own,
        names={},
        outcome=ended[0],
        status=ended[1],
        usage=NO_USAGE,
        asked_model="",
        resolved_model=None,
        fingerprint=None,
        finish_reason=None,
        first_token_ms=first_ms,
        streamed=first_ms is not None,
        api=None,
    )


def _named(pairs: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in pairs}


def _seconds(duration: Any) -> float:
    return float(duration.seconds + duration.nanos / 1e9)


def _longest(common: Any) -> float:
    """From the first byte of the request to the last one of the answer, as far as it came."""
    return max(
        _seconds(one)
        for one in (common.time_to_last_downstream_tx_byte, common.time_to_last_upstream_rx_byte, common.duration)
    )


def _first_ms(common: Any) -> float:
    """When the first byte of the answer came, in milliseconds from the request's first."""
    return _seconds(common.time_to_first_upstream_rx_byte) * 1000


def _outcome(flags: Any, status: int) -> tuple[RequestOutcome, int]:
    """The outcome, and the status that the client saw or that stands for what happened."""
    for name, outcome, stands_for in _FLAGS:
        if getattr(flags, name):
            is_cut = outcome is RequestOutcome.CUT and status >= _FAILED
            return (RequestOutcome.CONNECT if is_cut else outcome), status or stands_for
    if status >= _FAILED:
        return classify(status, ProviderError(None, "", "")).outcome, status
    if status < _BODY:
        return RequestOutcome.CLIENT_GONE, 499
    return RequestOutcome.ANSWERED, status
