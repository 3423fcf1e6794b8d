"""Options that state an app's traffic, in place of what was measured, for the commands that plan."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from softlaunch.core.live_metrics import Metric
    from softlaunch.gates.observations import Floats

RequestsPerHour = Annotated[float | None, typer.Option(min=0.001, help="User requests per hour.")]
Satisfaction = Annotated[float | None, typer.Option(min=0, max=1, help="Share of good ratings.")]
RatingShare = Annotated[float | None, typer.Option(min=0, max=1, help="Share of answers that are rated.")]
Quality = Annotated[float | None, typer.Option(min=0, max=1, help="Mean score.")]
ScoredShare = Annotated[float | None, typer.Option(min=0, max=1, help="Share of answers that get scores.")]


def stated_levels(rates: "Mapping[Metric, float | None]", quality: float | None) -> "dict[Metric, Floats]":
    """The values of the metrics whose level was stated: shares of requests, and the mean score."""
    from softlaunch.core.live_metrics import Metric
    from softlaunch.forecast.stated import rate_values, score_values

    levels = {metric: rate_values(rate) for metric, rate in rates.items() if rate is not None}
    return levels if quality is None else {**levels, Metric.QUALITY: score_values(quality)}


def stated_shares(shares: "Mapping[Metric, float | None]") -> "dict[Metric, float]":
    """How many of the requests have a value, for the metrics where that was stated."""
    return {metric: share for metric, share in shares.items() if share is not None}
