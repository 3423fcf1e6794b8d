"""Differences between the arms of a test in words: points of a score, percent of a cost."""

from softlaunch.ab.analysis import MetricResult, change
from softlaunch.core.verdict import Interval


def show_change(result: MetricResult) -> str:
    """`+2.1 points`, or `-30.2 %`: B against A."""
    return f"{change(result) * 100:+.1f} {unit_of(result)}"


def show_range(result: MetricResult, interval: Interval) -> str:
    """`+0.4 to +3.8 points`."""
    return f"{interval.lower * 100:+.1f} to {interval.upper * 100:+.1f} {unit_of(result)}"


def unit_of(result: MetricResult) -> str:
    """`points` of a score, or `%` of a cost."""
    return "%" if result.metric.is_relative else "points"
