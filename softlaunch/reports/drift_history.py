"""The drift of an app over the months: what its checks found, one after the other, and its live traffic by week."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.drift.trend import WEEK
from softlaunch.policy.drift import DriftPolicy
from softlaunch.reports.band_plot import Mark, Point, band_plot
from softlaunch.reports.drift_words import show_metric_name

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PastCheck:
    """A finished check: when it was made, and its report as the ledger keeps it."""

    at: datetime
    report: Document


@dataclass(frozen=True, slots=True)
class HistoryPlot:
    """A metric over time, and what its scale is."""

    metric: str
    scale: str
    plot: Markup


def check_plots(checks: Sequence[PastCheck], policy: DriftPolicy) -> list[HistoryPlot]:
    """Each metric over the checks, oldest first, that have it twice or more, against the newest baseline's margin.

    Scores are in percent. Amounts are in percent of what they were, because their units differ.
    """
    found: dict[tuple[str, str], list[tuple[float, Document]]] = {}
    for check in checks:
        for one in check.report.get("metrics", ()):
            found.setdefault((one["kind"], one["metric"]), []).append((check.at.timestamp(), one))
    events = list(_drifted(checks))
    plots = [_metric_plot(measured, policy, events) for measured in found.values()]
    return [one for one in plots if one.plot]


def week_plots(checks: Sequence[PastCheck]) -> list[HistoryPlot]:
    """Live ratings and scores by week, as far as the checks looked back, with the weeks in which the level changed."""
    weeks: dict[str, list[Document]] = {}
    changes: dict[str, list[Document]] = {}
    for check in reversed(checks):
        for trend in check.report.get("trends", ()):
            known = weeks.setdefault(trend["metric"], [])
            first = known[0]["begins_at"] if known else float("inf")
            known[:0] = [week for week in trend["weeks"] if week["begins_at"] + WEEK <= first]
            told = changes.setdefault(trend["metric"], [])
            if trend["change"] is not None and _is_another(trend["change"], told):
                told.append(trend["change"])
    plots = [HistoryPlot(name, "percent", _week_plot(name, known, changes[name])) for name, known in weeks.items()]
    return [one for one in plots if one.plot]


def _metric_plot(
    measured: Sequence[tuple[float, Document]], policy: DriftPolicy, events: Sequence[Mark]
) -> HistoryPlot:
    newest = measured[-1][1]
    is_amount = newest["kind"] == "amount"
    points = [_change_point(at, one) if is_amount else _value_point(at, one) for at, one in measured]
    title = f"{show_metric_name(newest)} over the checks"
    plot = band_plot(points, title=title, limits=_limits(newest, policy), events=events)
    scale = "percent more or less than at its baseline" if is_amount else "percent"
    return HistoryPlot(show_metric_name(newest), scale, plot)


def _value_point(at: float, one: Document) -> Point:
    """A score as it was, in the bounds of its change since the baseline."""
    return Point(at, one["then"] + one["low"], one["now"], one["then"] + one["high"])


def _change_point(at: float, one: Document) -> Point:
    then = one["then"] or float("nan")
    return Point(at, one["low"] / then, one["difference"] / then, one["high"] / then)


def _limits(newest: Document, policy: DriftPolicy) -> list[Mark]:
    """The newest baseline, and how far from it the policy lets the metric go."""
    if newest["kind"] == "amount":
        margin = policy.amounts
        return [Mark(0.0, "as at the baseline", "zero"), *(Mark(side * margin.value, str(margin)) for side in (-1, 1))]
    then = newest["then"]
    baseline = Mark(then, "the newest baseline", "zero")
    if newest["kind"] == "answered":
        sides = [Mark(then + side * policy.refusals.value, f"{policy.refusals} from it") for side in (-1, 1)]
        return [baseline, *sides]
    return [baseline, Mark(then - _points(policy.margin, then), f"{policy.margin} less")]


def _points(margin: Margin, of: float) -> float:
    return margin.value if margin.kind is MarginKind.POINTS else margin.value * of


def _drifted(checks: Sequence[PastCheck]) -> Iterator[Mark]:
    """The checks that found drift where the one before them did not."""
    before = False
    for check in checks:
        now = bool(check.report.get("drifted"))
        if now and not before:
            yield Mark(check.at.timestamp(), "drifted", "event")
        before = now


def _is_another(change: Document, told: Sequence[Document]) -> bool:
    """Whether a change isn't one that a later check has told already, a week more or less."""
    return all(abs(change["begins_at"] - one["begins_at"]) > 2 * WEEK for one in told)


def _week_plot(name: str, weeks: Sequence[Document], changes: Sequence[Document]) -> Markup:
    points = [Point(week["begins_at"], week["low"], week["mean"], week["high"]) for week in weeks]
    events = [Mark(change["begins_at"], "another level from here", "event") for change in changes]
    return band_plot(points, title=f"{name} by week", events=events)
