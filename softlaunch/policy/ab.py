"""The part of a policy that is about A/B tests."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.live_metrics import Metric
from softlaunch.core.quantities import Duration, Margin, MarginKind
from softlaunch.policy.part import Part

_DECISIVE = tuple(metric.value for metric in Metric if metric.entry.can_decide_ab)


class AbPolicy(Part):
    """A/B tests: how long they run, how sure they are, and what counts as equal."""

    split_percent: Annotated[float, Field(gt=0, lt=100)] = 50.0
    """Share of units that B, the candidate, serves."""
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1)] = (Metric.SATISFACTION, Metric.QUALITY)
    """The metrics that decide: satisfaction, quality, and those declared under `metrics` of which more is better.

    A metric without any data is left out of a test.
    """
    minimum_effect: Margin = Margin(MarginKind.POINTS, 0.02)
    """The smallest difference that the test is planned to detect."""
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    """Probability that two equal variants are found to differ, over all metrics and looks together."""
    power: Annotated[float, Field(ge=0.5, lt=1)] = 0.8
    """Probability of detecting the smallest difference by the planned end."""
    minimum_time: Annotated[Duration, Field(gt=0)] = 7 * 86400.0
    """A test is planned to last at least this long, because weekdays differ from weekends."""
    maximum_time: Annotated[Duration, Field(gt=0)] = 30 * 86400.0
    """An undecided test extends itself up to this length."""
    equal_within: Margin = Margin(MarginKind.POINTS, 0.02)
    """Variants shown to differ by less than this count as equal; then the cheaper or faster one wins."""
    minimum_saving: Margin = Margin(MarginKind.RELATIVE, 0.05)
    """How much cheaper or faster one of two equal variants must be to win."""
    history: Duration = 30 * 86400.0
    """How far back each unit's own earlier values are used to sharpen the comparison; 0 for not at all."""
    sheet_pairs: Annotated[int, Field(ge=1, le=500)] = 30
    """Pairs of answers on the sheet that people read when the figures can't decide."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.maximum_time < self.minimum_time:
            raise KeyedError(f"it comes before minimum_time, which is {self.minimum_time:g} s", "maximum_time")
        if len(set(self.metrics)) != len(self.metrics) or not all(one.entry.can_decide_ab for one in self.metrics):
            known = ", ".join(sorted(_DECISIVE))
            raise KeyedError(
                f"expected {known}, or metrics of the policy's own of which more is better, each once", "metrics"
            )
        points = {"minimum_effect": self.minimum_effect, "equal_within": self.equal_within}
        for key, margin in points.items():
            if margin.kind is MarginKind.RELATIVE:
                raise KeyedError(f"it is written in points, like '2 points', not '{margin}'", key)
        if self.minimum_saving.kind is MarginKind.POINTS:
            raise KeyedError(f"it is written like '5 %', not '{self.minimum_saving}'", "minimum_saving")
        return self
