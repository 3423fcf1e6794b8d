"""Scoring an answer by the metrics of its case."""

from collections.abc import Sequence

from softlaunch.evals.case import Case
from softlaunch.evals.metrics import AnyMetric, Metric, MetricError, Sample, Score


def score_with(metric: AnyMetric, sample: Sample) -> Score:
    """One metric that is worked out on the spot; one that must ask somebody leaves the answer unscored."""
    if not isinstance(metric, Metric):
        return Score(None, f"{metric.name} asks a model, and nobody gave it one")
    try:
        return metric.score(sample)
    except Exception as error:  # a metric of somebody's own can raise anything, and one answer must not end an eval
        raise_if_ours(error)
        return Score(None, f"{metric.name} failed: {type(error).__name__}: {error}")


def raise_if_ours(error: Exception) -> None:
    """A score outside [0, 1] is a mistake in the metric that somebody must mend, not a property of the answer."""
    if isinstance(error, MetricError):
        raise error


def accuracy(case: Case, sample: Sample) -> Score:
    """The mean score of a case's own metrics; unscored where any of them is, or where the case has none."""
    return mean_of([score_with(metric, sample) for metric in case.own_metrics])


def mean_of(scores: Sequence[Score]) -> Score:
    """The mean of several scores, with the reasons of those that are not perfect."""
    reason = "; ".join(dict.fromkeys(score.reason for score in scores if score.reason and score.value != 1))
    values = [score.value for score in scores if score.value is not None]
    if not scores or len(values) < len(scores):
        return Score(None, reason or "no metric of its own")
    return Score(sum(values) / len(values), reason)
