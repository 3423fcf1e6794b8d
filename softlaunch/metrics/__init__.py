"""Metrics of answers: what they read, the score they give, and how they are named."""

from softlaunch.metrics.asking import AskingMetric, Helpers, PairMetric
from softlaunch.metrics.folding import normalise
from softlaunch.metrics.interface import ACCURACY, AnyMetric, Metric, MetricError, Sample, Score, Spent, ToolCall
from softlaunch.metrics.numbers import last_number
from softlaunch.metrics.registry import METRICS, MetricSpec, metric_names, parse_metric

__all__ = [
    "ACCURACY",
    "METRICS",
    "AnyMetric",
    "AskingMetric",
    "Helpers",
    "Metric",
    "MetricError",
    "MetricSpec",
    "PairMetric",
    "Sample",
    "Score",
    "Spent",
    "ToolCall",
    "last_number",
    "metric_names",
    "normalise",
    "parse_metric",
]
