"""What gates may ask of metrics that don't come from the gateways' request log: no more than their source can tell."""

from collections.abc import Sequence

from softlaunch.core.answer_checks import BITS
from softlaunch.core.documents import KeyedError
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Per, Role
from softlaunch.policy.gating import Adjustment, GatePolicy
from softlaunch.policy.sources import SourcesPolicy
from softlaunch.policy.units import UnitPolicy


def check_sources(sources: SourcesPolicy, gates: Sequence[GatePolicy], unit: UnitPolicy) -> None:
    """Raise KeyedError where a metric of another source has no gate, or a gate asks what its source can't tell."""
    judged = {gate.metric for gate in gates}
    for place, metric in enumerate(sources.prometheus.metrics if sources.prometheus else ()):
        if metric.metric not in judged:
            where = ("sources", "prometheus", "metrics", place, "metric")
            raise KeyedError(f"{metric.metric} has no gate, so it is never used; add one", *where)
    if sources.otlp is not None and unit.redraw is not None:
        raise KeyedError("spans name the unit that an arm was drawn for; leave it out", "unit", "redraw")
    for place, gate in enumerate(gates):
        _is_counted(gate, place, sources)
        if sources.sql is not None:
            _is_in_a_view(gate, place)
        if sources.received is not None and gate.metric not in sources.counted:
            _is_in_spans(gate, place)
        if sources.access_log is not None and gate.metric not in sources.counted:
            _is_in_an_access_log(gate, place)


def _is_counted(gate: GatePolicy, place: int, sources: SourcesPolicy) -> None:
    """Counters tell how many requests there were, and of none whose it is or what it is like."""
    if gate.metric in sources.counted and gate.per is not Per.REQUEST:
        raise KeyedError("counters don't tell whose requests they count; leave it out", "gates", place, "per")
    if gate.metric in sources.counted and gate.adjust_for:
        raise KeyedError("counters don't tell what requests are like; leave it out", "gates", place, "adjust_for")
    if gate.predicted_by and sources.counted & {gate.metric, gate.predicted_by}:
        raise KeyedError(
            "counters don't tell which answer a value belongs to; leave it out", "gates", place, "predicted_by"
        )


def _is_in_a_view(gate: GatePolicy, place: int) -> None:
    """A view has columns for what every app knows of its requests."""
    if gate.metric in BITS:
        raise KeyedError(
            f"{gate.metric} comes from the gateway's checks of answers, which a view doesn't have; leave it out",
            *("gates", place, "metric"),
        )
    if set(gate.adjust_for) - {Adjustment.OWN_PAST}:
        raise KeyedError("a view doesn't tell what requests are like; leave it out", "gates", place, "adjust_for")


def _is_in_spans(gate: GatePolicy, place: int) -> None:
    """No text of a span is read, and an access log has none."""
    if (gate.metric in BITS or gate.metric.compares_copies) and gate.role is not Role.MUTED:
        raise KeyedError(
            f"{gate.metric} needs texts, which neither spans nor an access log bring; leave it out, or make it muted",
            *("gates", place, "metric"),
        )
    if Adjustment.REQUEST_SIZE in gate.adjust_for:
        raise KeyedError("spans don't tell how large a request was; leave it out", "gates", place, "adjust_for")


def _is_in_an_access_log(gate: GatePolicy, place: int) -> None:
    """A router sees statuses and times."""
    if gate.metric in {Metric.COST, Metric.UNUSABLE} and gate.role is not Role.MUTED:
        raise KeyedError(
            f"{gate.metric} isn't in an access log; take it from Prometheus, leave it out, or make it muted",
            *("gates", place, "metric"),
        )
    if gate.metric.is_rated and gate.role is not Role.MUTED:
        raise KeyedError(
            f"{gate.metric} is said of an answer, by its id, which users of an Envoy never see; take it from "
            "Prometheus, leave it out, or make it muted",
            *("gates", place, "metric"),
        )
