"""What a person says of the traffic that a plan is made for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import beta, norm

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Floats

SMALLEST, LARGEST = 1e-12, 1e12
"""What a latency in ms or a cost in dollars can be."""
_STATED = 4000  # values that stand for a stated distribution
_QUALITY_DEVIATION = 0.2


@dataclass(frozen=True, slots=True)
class Stated:
    """What a person says of the traffic; None leaves it to the request log."""

    requests_per_hour: float | None = None
    requests_per_user: float | None = None
    levels: Mapping[Metric, Floats] = field(default_factory=dict)
    shares: Mapping[Metric, float] = field(default_factory=dict)
    regular_users: float | None = None
    user_correlation: float | None = None

    def __post_init__(self) -> None:
        """Refuse figures that no traffic has."""
        _check("--requests-per-hour", self.requests_per_hour, 0.001, 1e12)
        _check("--requests-per-user", self.requests_per_user, 1, 1e9)
        _check("--regular-users", self.regular_users, 1, 1e12)
        _check("--user-correlation", self.user_correlation, 0, 0.95)
        for metric, share in self.shares.items():
            _check(f"the share of answers with {metric.value}", share, 0, 1)

    @property
    def says_who_comes(self) -> bool:
        """Whether how users come and go was said."""
        return self.requests_per_user is not None or self.regular_users is not None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said."""
        return self == Stated()


def _check(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:  # NaN is in no range
        raise SoftlaunchError(f"{name} is {value:g}: expected a number from {least:g} to {most:g}")


def rate_values(rate: float) -> Floats:
    """Zeros and ones with this share of ones, to within one in 4,000. Raises SoftlaunchError outside of [0, 1]."""
    _check("a rate", rate, 0, 1)
    return (np.arange(_STATED) < round(rate * _STATED)).astype(np.float64)


def spread_values(median: float, high: float) -> Floats:
    """Log-normal values with this median and 95th percentile, in the metric's unit. Raises SoftlaunchError."""
    _check("a median", median, SMALLEST, LARGEST)
    _check("a 95th percentile", high, median, LARGEST)
    deviation = np.log(high / median) / norm.ppf(0.95)
    return np.asarray(median * np.exp(deviation * norm.ppf(_places())))


def score_values(mean: float) -> Floats:
    """Scores in [0, 1] with this mean: Beta, of standard deviation 0.2 or what the mean allows.

    Raises SoftlaunchError for a mean outside of [0, 1].
    """
    _check("a mean score", mean, 0, 1)
    deviation = min(_QUALITY_DEVIATION, 0.8 * np.sqrt(mean * (1 - mean)))
    if deviation == 0:
        return np.full(_STATED, mean)
    size = mean * (1 - mean) / deviation**2 - 1
    return np.asarray(beta.ppf(_places(), mean * size, (1 - mean) * size))


def _places() -> Floats:
    return (np.arange(_STATED) + 0.5) / _STATED
