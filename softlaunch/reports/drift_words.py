"""Figures of a drift check in words: shares in percent, lengths in characters, times and costs in their own units."""

from collections.abc import Mapping
from typing import Any

from softlaunch.core.formatting import show_cost
from softlaunch.drift.judgement import Cause


def show_metric_value(metric: Mapping[str, Any], value: float) -> str:
    """`84.0 %`, `1,240 characters`, `1.2 s`, `$0.0011`."""
    match metric["metric"] if metric["kind"] == "amount" else "":
        case "length":
            return f"{value:,.0f} characters"
        case "latency":
            return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.0f} ms"
        case "cost":
            return show_cost(value)
        case _:
            return f"{value * 100:.1f} %"


def show_metric_name(metric: Mapping[str, Any]) -> str:
    """`accuracy`, or `rubric (muted)` for one that may not alert."""
    return f"{metric['metric']} (muted)" if metric.get("muted") else str(metric["metric"])


def show_title(document: Mapping[str, Any]) -> str:
    """`Drifted`, `Nothing has drifted`, or `Not known` where that can't be said."""
    if document["cause"] == Cause.UNKNOWN:
        return "Not known"
    return "Drifted" if document["drifted"] else "Nothing has drifted"


def show_metric_change(metric: Mapping[str, Any]) -> str:
    """The change with its bounds: in points of a share, in percent of what an amount was."""
    scale, unit = (100.0, "points")
    if metric["kind"] == "amount":
        scale, unit = (100.0 / metric["then"] if metric["then"] else 0.0), "%"
    change, low, high = (metric[key] * scale for key in ("difference", "low", "high"))
    return f"{change:+.1f} {unit} ({low:+.1f} to {high:+.1f})"
