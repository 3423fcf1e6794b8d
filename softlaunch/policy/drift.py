"""The part of a policy that is about prompt drift: the same prompt serving worse than it did."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.quantities import Duration, Margin, MarginKind
from softlaunch.policy.part import Part


class DriftPolicy(Part):
    """The monthly check of the production variant against its frozen baseline."""

    margin: Margin = Margin(MarginKind.RELATIVE, 0.05)
    """How much quality the variant may lose: '5 %' of the baseline's value, or '3 points'."""
    refusals: Margin = Margin(MarginKind.POINTS, 0.05)
    """How much the share of refusals may move in either direction."""
    amounts: Margin = Margin(MarginKind.RELATIVE, 0.25)
    """How much length, latency and cost may move before the report mentions it."""
    repeats: Annotated[int, Field(ge=1, le=20)] = 3
    """How often each case is asked. With two or more, the noise of the outputs themselves is measured."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence of every change that the check reports."""
    trend: Duration = 182 * 86400.0
    """How far back the trend of live traffic is analyzed."""
    refresh_due: Duration = 120 * 86400.0
    """Age at which a prompt is due for a refresh; three to six months is usual."""
    golden_set_due: Duration = 182 * 86400.0
    """Age at which a golden set is due for a review."""

    @model_validator(mode="after")
    def _has_units(self) -> Self:
        if self.refusals.kind is not MarginKind.POINTS:
            raise KeyedError(f"it is written in points, like '5 points', not '{self.refusals}'", "refusals")
        if self.amounts.kind is not MarginKind.RELATIVE:
            raise KeyedError(f"it is written like '25 %', not '{self.amounts}'", "amounts")
        return self
