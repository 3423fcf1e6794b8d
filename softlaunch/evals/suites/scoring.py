"""Scoring an answer by the metrics of its case, within limits on time and memory."""

import pickle
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256

from softlaunch.core.bounded import OURS, BeyondLimitsError, Helper
from softlaunch.evals.suites.case import Case
from softlaunch.metrics import AnyMetric, Metric, MetricError, Sample, Score

LONGEST_TEXT = 20_000_000
"""Characters; an answer that is longer, or has longer texts to compare with, is unscored."""
_QUICK_TEXT = 20_000  # characters over which none of our own metrics takes more than a few milliseconds
_INSTANT_TEXT = 4_000
_LONGEST_REASON = 1_000
_STRIKES = 3  # a pattern that is too slow for so many answers isn't tried on others
_REMEMBERED = 10_000


def score_with(metric: AnyMetric, sample: Sample) -> Score:
    """One metric that is worked out on the spot; one that must ask somebody leaves the answer unscored.

    So does one that takes too long or too much memory, or raises. Raises MetricError for what is no score.
    """
    if not isinstance(metric, Metric):
        return Score(None, f"{metric.name} asks a model, but none was given")
    longest = max(len(text) for text in _texts(sample))
    if longest > LONGEST_TEXT:
        return Score(None, f"{metric.name}: a text of {longest:,} characters, more than {LONGEST_TEXT:,}")
    try:
        return _shortened(_TOO_SLOW.score(metric, sample))
    except Exception as error:  # a metric of somebody's own can raise anything, and one answer must not end an eval
        raise_if_ours(error)
        return _shortened(Score(None, f"{metric.name} failed: {type(error).__name__}: {error}"))


def raise_if_ours(error: Exception) -> None:
    """A score outside [0, 1] is a mistake in the metric that somebody must fix, not a property of the answer."""
    if isinstance(error, MetricError):
        raise error


def accuracy(case: Case, sample: Sample) -> Score:
    """The mean score of a case's own metrics; unscored where any of them is, or where the case has none."""
    return mean_of([score_with(metric, sample) for metric in case.own_metrics])


def is_scored_quickly(case: Case, sample: Sample) -> bool:
    """Whether an answer's accuracy takes well under a millisecond, so that it needs no thread of its own."""
    return all(len(text) <= _INSTANT_TEXT for text in _texts(sample)) and all(
        metric.instant and _is_ours(metric) for metric in case.own_metrics
    )


def mean_of(scores: Sequence[Score]) -> Score:
    """The mean of several scores, with the reasons of those that are not perfect."""
    reason = "; ".join(dict.fromkeys(score.reason for score in scores if score.reason and score.value != 1))
    values = [score.value for score in scores if score.value is not None]
    if not scores or len(values) < len(scores):
        return Score(None, reason or "no metric of its own")
    return Score(sum(values) / len(values), reason)


class _TooSlow:
    """What is known to take too long, so that an eval that looks at its answers again and again doesn't wait again."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._strikes: Counter[tuple[str, object]] = Counter()
        self._lock = threading.Lock()

    def score(self, metric: Metric, sample: Sample) -> Score:
        """The score, or unscored with what it took too much of. Raises what the metric raises."""
        rule = metric.key, sample.expected
        with self._lock:
            known = self._known and self._known.get(_digest(metric, sample))
            if not known and self._strikes[rule] >= _STRIKES:
                known = f"{metric.name}: it was too slow or too large for {_STRIKES} answers, so it isn't tried again"
        if known:
            return Score(None, known)
        try:
            return _within_limits(metric, sample)
        except BeyondLimitsError as error:
            reason = f"{metric.name}: {error}"
        with self._lock:
            self._strikes[rule] += 1
            self._known[_digest(metric, sample)] = reason
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return Score(None, reason)


_TOO_SLOW = _TooSlow()


def _within_limits(metric: Metric, sample: Sample) -> Score:
    """Here, where it is ours and quick; else in a process that can be ended. Raises BeyondLimitsError."""
    ours = _is_ours(metric)
    if ours and all(len(text) <= _QUICK_TEXT for text in _texts(sample)):
        return metric.score(sample)
    try:
        pickle.dumps(metric)
    except Exception:  # a class that only exists in this process, as somebody writes it in a notebook
        return metric.score(sample)
    return (OURS if ours else _of_others()).call(_score, metric, replace(sample, fields=dict(sample.fields)))


def _is_ours(metric: AnyMetric) -> bool:
    return type(metric).__module__.startswith("softlaunch.") and "<locals>" not in type(metric).__qualname__


def _score(metric: Metric, sample: Sample) -> Score:
    return metric.score(sample)


@cache
def _of_others() -> Helper:
    """For metrics of other packages, which may load models, and read what they need."""
    from softlaunch.core.settings import Settings  # which takes longer to load than most evals have use for

    settings = Settings()
    seconds = settings.metric_seconds
    return Helper(cpu_seconds=seconds, wall_seconds=seconds, memory_bytes=int(settings.metric_memory_mb * 2**20))


def _texts(sample: Sample) -> tuple[str, ...]:
    expected = sample.expected if isinstance(sample.expected, str) else ""
    return sample.answer, sample.question, expected, sample.reference or "", sample.context or ""


def _digest(metric: Metric, sample: Sample) -> bytes:
    read = sha256()
    for text in (metric.key, str(sample.expected), *_texts(sample)):
        read.update(f"{len(text)}:".encode() + text.encode("utf-8", "surrogatepass"))
    return read.digest()


def _shortened(score: Score) -> Score:
    if len(score.reason) <= _LONGEST_REASON:
        return score
    return Score(score.value, score.reason[: _LONGEST_REASON - 1] + "…", score.spent)
