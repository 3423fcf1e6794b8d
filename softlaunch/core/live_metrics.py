"""What can be judged of live traffic, and which way is worse."""

from enum import StrEnum


class Metric(StrEnum):
    """What the gates of live traffic can judge."""

    ERRORS = "errors"
    UNUSABLE = "unusable"
    """Of the answers that came, those that serve nobody: empty, withheld by a filter, not in the form asked for."""
    LATENCY = "latency"
    COST = "cost"
    QUALITY = "quality"
    HALLUCINATION = "hallucination"
    SATISFACTION = "satisfaction"
    AGREEMENT = "agreement"
    """How alike the answers to one live request are: the copy's and the user's, beside stable's own two."""
    PREFERENCE = "preference"
    """How often judges prefer the copy's answer to the user's, ties counting half; stable's own two are at 50 %."""


class Direction(StrEnum):
    """Which way is worse."""

    LOWER_IS_BETTER = "lower_is_better"
    HIGHER_IS_BETTER = "higher_is_better"


DIRECTIONS = {
    Metric.ERRORS: Direction.LOWER_IS_BETTER,
    Metric.UNUSABLE: Direction.LOWER_IS_BETTER,
    Metric.LATENCY: Direction.LOWER_IS_BETTER,
    Metric.COST: Direction.LOWER_IS_BETTER,
    Metric.HALLUCINATION: Direction.LOWER_IS_BETTER,
    Metric.QUALITY: Direction.HIGHER_IS_BETTER,
    Metric.SATISFACTION: Direction.HIGHER_IS_BETTER,
    Metric.AGREEMENT: Direction.HIGHER_IS_BETTER,
    Metric.PREFERENCE: Direction.HIGHER_IS_BETTER,
}
RATED_METRICS = frozenset({Metric.QUALITY, Metric.HALLUCINATION, Metric.SATISFACTION})
"""Metrics that come as ratings of answers that users saw; copies, which nobody sees, have none."""
COPY_METRICS = frozenset({Metric.AGREEMENT, Metric.PREFERENCE})
"""Metrics of the texts of copies, so of the shadow stage alone."""
AB_METRICS = frozenset({Metric.QUALITY, Metric.SATISFACTION})
"""Metrics that can decide an A/B test."""
RELATIVE_METRICS = frozenset({Metric.LATENCY, Metric.COST})
EVENT_METRICS = frozenset({Metric.ERRORS, Metric.UNUSABLE, Metric.HALLUCINATION})
"""Metrics that either happen or don't, so that a gate also counts the events one by one."""
