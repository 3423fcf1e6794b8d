"""A look at a test in the ledger, and its analysis as JSON values, as `--json` prints it, and back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from softlaunch.ab.analysis import Analysis, MetricResult, Past, change
from softlaunch.ab.estimate import Difference
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Interval
from softlaunch.store.tables import AbLookRow


@dataclass(frozen=True, slots=True)
class RecordedLook:
    """A look at a test as the ledger records it.

    `planned_end` counts the planned ends from 1, 0 is a look in between; `choice` and `reason` are empty for those.
    """

    number: int
    planned_end: int
    choice: str
    reason: str
    analysis: Mapping[str, Any]
    looked_at: datetime


def to_json(analysis: Analysis) -> dict[str, Any]:
    """The analysis as JSON values."""
    return {
        "units": list(analysis.units),
        "split_p": analysis.split_p,
        "missing": [metric.value for metric in analysis.missing],
        "metrics": [_result_json(result) for result in analysis.metrics],
        "savings": [_result_json(result) for result in analysis.savings],
    }


def _result_json(result: MetricResult) -> dict[str, Any]:
    return {
        "metric": result.metric.value,
        "change": change(result),
        **asdict(result.difference),
        **{name: _bounds(getattr(result, name)) for name in ("interval", "anytime", "equal_interval")},
        "p_value": result.p_value,
        "past_share": result.past_share,
        "saved_variance": result.saved_variance,
    }


def _bounds(interval: Interval) -> list[float]:
    return [interval.lower, interval.upper]


def from_json(held: Mapping[str, Any]) -> Analysis:
    """The analysis that was kept."""
    return Analysis(
        metrics=tuple(_result(one) for one in held["metrics"]),
        savings=tuple(_result(one) for one in held["savings"]),
        units=(held["units"][0], held["units"][1]),
        split_p=held["split_p"],
        missing=tuple(Metric.reported(name) for name in held["missing"]),
    )


def _result(held: Mapping[str, Any]) -> MetricResult:
    units = held["units"][0], held["units"][1]
    difference = Difference(held["value"], held["error"], held["freedom"], held["mean_a"], held["mean_b"], units)
    intervals = {name: Interval(*held[name]) for name in ("interval", "anytime", "equal_interval")}
    return MetricResult(
        metric=Metric.reported(held["metric"]),
        difference=difference,
        p_value=held["p_value"],
        past_share=held["past_share"],
        saved_variance=held["saved_variance"],
        **intervals,
    )


def past(analysis: Analysis) -> dict[Metric, Past]:
    """What a later look needs to know of this one."""
    return {
        one.metric: Past(one.difference.z, one.difference.information) for one in analysis.metrics + analysis.savings
    }


def record_look(session: Session, release_id: str, look: RecordedLook) -> None:
    """Record a look; its number is the test's own, so that none is recorded twice."""
    session.add(
        AbLookRow(
            release_id=release_id,
            number=look.number,
            planned_end=look.planned_end,
            choice=look.choice,
            reason=look.reason,
            analysis=dict(look.analysis),
            looked_at=look.looked_at,
        )
    )


def read_looks(session: Session, release_id: str) -> tuple[RecordedLook, ...]:
    """Every look at a test, in their order."""
    rows = session.exec(select(AbLookRow).where(AbLookRow.release_id == release_id).order_by(col(AbLookRow.number)))
    return tuple(
        RecordedLook(row.number, row.planned_end, row.choice, row.reason, dict(row.analysis), row.looked_at)
        for row in rows
    )
