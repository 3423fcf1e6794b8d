"""A check's report as JSON values: what the ledger keeps, the page draws and `--json` prints."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from softlaunch.drift.figures import DriftFigures
from softlaunch.drift.judgement import Identity, Judgement, Setting
from softlaunch.drift.trend import Trend
from softlaunch.evals.statistics.report import ArmTotals, MetricComparison


def to_document(
    figures: DriftFigures, trends: Sequence[Trend], setting: Setting, judgement: Judgement
) -> dict[str, Any]:
    """Everything that a check found."""
    return {
        "summary": judgement.summary,
        "drifted": bool(judgement.alerts),
        "clear": judgement.is_clear,
        "cause": judgement.cause.value,
        "step": judgement.step.value,
        "remarks": [
            {"weight": one.weight.value, "subject": one.subject, "sentence": one.sentence} for one in judgement.remarks
        ],
        "metrics": [_metric(one, "quality", figures.muted.get(one.metric)) for one in figures.quality]
        + ([_metric(figures.answered, "answered")] if figures.answered else [])
        + [_metric(one, "amount") for one in figures.amounts],
        "outputs": _outputs(figures),
        "cases": figures.cases,
        "then": _totals(figures.then, setting.then),
        "now": _totals(figures.now, setting.now),
        "trends": [_trend(trend) for trend in trends],
        "setting": {
            "frozen_at": None if setting.frozen_at is None else setting.frozen_at.isoformat(),
            "same_variant": setting.same_variant,
            "model": setting.model,
            "floating": setting.floating,
            "pinnable": setting.pinnable,
            "prompt": setting.prompt,
            "prompt_age_seconds": setting.refresh_age,
            "golden_set_age_seconds": setting.golden_set_age,
        },
    }


def _metric(one: MetricComparison, kind: str, muted: str | None = None) -> Mapping[str, Any]:
    bounds = one.bounds
    return {
        "metric": one.metric,
        "kind": kind,
        "muted": muted,
        "then": one.stable,
        "now": one.candidate,
        "difference": one.difference,
        "low": bounds.lower,
        "high": bounds.upper,
        "finding": one.finding.value,
        "method": one.estimate.method,
        "cases": one.estimate.cases,
    }


def _outputs(figures: DriftFigures) -> Mapping[str, Any] | None:
    change = figures.outputs
    if change is None:
        return None
    shown = asdict(change)
    shown["interval"] = None if change.interval is None else [change.interval.lower, change.interval.upper]
    return {**shown, "shown": change.is_shown}


def _totals(totals: ArmTotals, identity: Identity) -> Mapping[str, Any]:
    return {
        "calls": totals.calls,
        "unscored": totals.unscored,
        "errors": dict(totals.errors),
        "cost_usd": totals.cost_usd,
        "latency_p50_ms": totals.latency_p50_ms,
        "models": sorted(identity.models),
        "fingerprints": sorted(identity.fingerprints),
    }


def _trend(trend: Trend) -> Mapping[str, Any]:
    return {
        "metric": trend.metric.value,
        "weeks": [asdict(week) for week in trend.weeks],
        "change": None if trend.change is None else asdict(trend.change),
    }
