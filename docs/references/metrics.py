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
Gates judge these metrics. A margin in points is a difference; a margin in percent is relative to stable. *Recorded
as* is the column in files for `softlaunch gates replay`. [Gates](../guide/gates.md) explains verdicts.
"""
_NAMED = f"""
An app can declare its own metrics in its policy, under `metrics`; their incident is
[`{IncidentKind.GATE_NAMED_METRIC}`](../../{IncidentKind.GATE_NAMED_METRIC.runbook}), page. See
[named metrics](../guide/named-metrics.md).
"""
_COLUMNS = ("metric", "meaning", "better", "margin in", "measured", "recorded as", "incident")
_WHERE = {
    Source.REQUESTS: "for each request, in every stage",
    Source.RATINGS: "by users' ratings, in stages where users see the answer",
    Source.SCORES: "by scores that judges or your tools send, in stages where users see the answer",
    Source.REPORTS: "by your app's reports, in stages where users see the answer",
    Source.COPIES: "on the texts of copies, in the shadow stage",
}
_OFFLINE = """
Evals score answers from 0 to 1, where 1 is best. A case or a policy names a metric as `NAME` or as
`NAME:KEY=VALUE,KEY=VALUE`; put values that contain commas in double quotes. Each metric also takes `label`, its name in
reports. An answer that a metric cannot score is *unscored*: neither right nor wrong. [Plugins](../plugins.md) explains
how a package adds metrics.
"""


def lines() -> Iterator[str]:
    """The page."""
    yield NOTE
    yield "# Metrics"
    yield ""
    yield "## Live metrics"
    yield _LIVE
    yield from table(_COLUMNS, map(_live, LiveMetric))
    yield _NAMED
    yield "## Eval metrics"
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
        yield "It asks a model, which the policy's `eval.judge` or the metric's own keys name.\n"
    fields = {key: field for key, field in kind.model_fields.items() if key != "label"}
    if fields:
        rows = [(code(key), field.description or "", _default(field)) for key, field in fields.items()]
        yield from table(("key", "description", "default"), rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default: Any = field.get_default(call_default_factory=True)
    if default is None or default in ("", (), [], {}):
        return "none"
    return code(str(default).lower() if isinstance(default, bool) else default)
