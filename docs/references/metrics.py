"""The reference of metrics: what gates judge, and what evals score by."""

from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

from references.markdown import NOTE, code, table
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.live_metrics import Metric as LiveMetric
from softlaunch.core.live_metrics import Source
from softlaunch.metrics.interface import AnyMetric, Metric
from softlaunch.metrics.registry import METRICS

_LIVE = """
Gates judge these, of live traffic. A margin in points is a difference, one in percent is relative to stable.
*Recorded as* names the column of files for `softlaunch gates replay`. [Gates](../guide/gates.md) says what a verdict
means.
"""
_NAMED = f"""
An app has others of its own, which its policy declares under `metrics`; their incident is
[`{IncidentKind.GATE_NAMED_METRIC}`](../../{IncidentKind.GATE_NAMED_METRIC.runbook}), page. See
[named metrics](../guide/named-metrics.md).
"""
_COLUMNS = ("metric", "what it is", "better is", "margin in", "measured", "recorded as", "incident")
_WHERE = {
    Source.REQUESTS: "of each request, in every stage",
    Source.RATINGS: "by users' ratings, in stages in which users see the answer",
    Source.SCORES: "by scores that you send, in stages in which users see the answer",
    Source.REPORTS: "as your app reports it, in stages in which users see the answer",
    Source.COPIES: "of the texts of copies, in the shadow stage",
}
_OFFLINE = """
Evals score answers from 0 to 1, where 1 is best. A case or a policy names a metric as `NAME` or as
`NAME:KEY=VALUE,KEY=VALUE`, with values that hold commas in double quotes. Each metric also takes `label`, which is
what reports call it. An answer that a metric cannot score is *unscored*, which is neither right nor wrong.
[Plugins](../plugins.md) says how a package brings metrics of its own.
"""


def lines() -> Iterator[str]:
    """The page."""
    yield NOTE
    yield "# Metrics"
    yield ""
    yield "## Of live traffic"
    yield _LIVE
    yield from table(_COLUMNS, map(_live, LiveMetric))
    yield _NAMED
    yield "## Of an eval"
    yield _OFFLINE
    for name, kind in METRICS.items():
        yield from _offline(name, kind)


def _live(metric: LiveMetric) -> tuple[str, ...]:
    entry, kind = metric.entry, IncidentKind.of_metric(metric)
    return (
        code(metric.value),
        entry.meaning,
        "higher" if metric.higher_is_better else "lower",
        "%" if metric.is_relative else "points",
        _WHERE[entry.source],
        code(entry.column) if entry.column else "-",
        f"[{code(kind.value)}](../../{kind.runbook}), {kind.severity}",
    )


def _offline(name: str, kind: type[AnyMetric]) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    yield (kind.__doc__ or "").strip().replace("\n    ", "\n") + "\n"
    if not issubclass(kind, Metric):
        yield "It asks a model, which the policy's `eval.judge` or the metric's own key names.\n"
    fields = {key: field for key, field in kind.model_fields.items() if key != "label"}
    if fields:
        rows = [(code(key), field.description or "", _default(field)) for key, field in fields.items()]
        yield from table(("key", "what it says", "left out"), rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    default: Any = field.get_default(call_default_factory=True)
    if default is None or default in ("", (), [], {}):
        return "none"
    return code(str(default).lower() if isinstance(default, bool) else default)
