"""A comparison as a document for programs: the outcome, and each metric in its own unit."""

from typing import Any

from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.evals.statistics.report import ArmTotals, EvalReport, MetricComparison

OUTCOMES = {
    Outcome.PASS: "pass",
    Outcome.FAIL: "fail",
    Outcome.INCONCLUSIVE: "inconclusive",
    Outcome.ERROR: "inconclusive",
    Outcome.REVIEW: "review",
}
"""What a whole comparison comes to, for programs: one that could not judge is inconclusive, and its reason says why."""


def to_document(report: EvalReport) -> dict[str, Any]:
    """The report without its cases. Differences are the candidate's value minus stable's."""
    return {
        "outcome": OUTCOMES[report.outcome],
        "reason": report.reason,
        "confidence": report.confidence,
        "n_cases": report.paired_cases,
        "left_out_cases": report.left_out_cases,
        "flickering_cases": report.flickering_cases,
        "repeats": report.repeats,
        "metrics": [
            *(_metric(one) for one in report.metrics),
            *(_unjudged(name, unscored) for name, unscored in report.unjudged.items()),
        ],
        "gates": [_gate(verdict) for verdict in report.verdicts],
        "stable": _arm(report.stable),
        "candidate": _arm(report.candidate),
    }


_FIGURES = (
    "name",
    "outcome",
    "finding",
    "stable",
    "candidate",
    "difference",
    "lower",
    "upper",
    "margin",
    "margin_relative",
    "higher_is_better",
    "minimum_detectable",
    "n_cases",
    "n_unscored",
    "method",
    "compares",
    "beside",
)


def _metric(one: MetricComparison) -> dict[str, Any]:
    return {
        "name": one.metric,
        "outcome": one.outcome.value,
        "finding": one.finding.value,
        "stable": one.stable,
        "candidate": one.candidate,
        "difference": one.difference,
        "lower": one.bounds.lower,
        "upper": one.bounds.upper,
        "margin": one.margin * abs(one.unit),
        "margin_relative": one.margin if one.relative else None,
        "higher_is_better": one.higher_is_better,
        "minimum_detectable": one.estimate.minimum_detectable * abs(one.unit),
        "n_cases": one.estimate.cases,
        "n_unscored": one.unscored,
        "method": one.estimate.method,
        "compares": one.what,
        "beside": {other.name: {"stable": other.stable, "candidate": other.candidate} for other in one.beside},
    }


def _unjudged(name: str, unscored: int) -> dict[str, Any]:
    """A metric that no case has a value of in both arms: everything that isn't known is null."""
    return {
        **dict.fromkeys(_FIGURES),
        "name": name,
        "outcome": OUTCOMES[Outcome.ERROR],
        "n_cases": 0,
        "n_unscored": unscored,
    }


def _gate(verdict: Verdict) -> dict[str, Any]:
    return {"name": verdict.gate, "outcome": verdict.outcome.value, "reason": verdict.reason}


def _arm(totals: ArmTotals) -> dict[str, Any]:
    return {
        "calls": totals.calls,
        "scored": totals.scored,
        "unscored": totals.unscored,
        "errors": dict(totals.errors),
        "cost_usd": totals.cost_usd,
        "latency_p50_ms": totals.latency_p50_ms,
        "latency_p95_ms": totals.latency_p95_ms,
    }
