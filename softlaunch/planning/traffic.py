"""The traffic that a plan is made for: measured from the request log, stated by a person, or both."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import beta, norm

from softlaunch.edges.telemetry.interface import Telemetry
from softlaunch.errors import SoftlaunchError
from softlaunch.gates.observations import NONE, Floats, Observations
from softlaunch.gates.planner import observations
from softlaunch.policy.model import RATED_METRICS, Metric
from softlaunch.reports.wording import show_duration
from softlaunch.store.database import Database
from softlaunch.store.traffic_rate import TrafficRate, read_scores, read_traffic_rate

_STATED = 4000  # values that stand for a stated distribution
_SMALLEST, _LARGEST = 1e-12, 1e12  # of what a latency in ms or a cost in dollars can be
_QUALITY_DEVIATION = 0.2
_MOST_UNNAMED = 0.5
_OPTIONS = {
    Metric.ERRORS: "--error-rate",
    Metric.UNUSABLE: "--unusable-rate",
    Metric.LATENCY: "--latency-ms",
    Metric.COST: "--cost-usd",
    Metric.QUALITY: "--quality",
    Metric.HALLUCINATION: "--hallucination-rate",
    Metric.SATISFACTION: "--satisfaction",
}


class NoTrafficError(SoftlaunchError):
    """Nothing is known of an app's traffic."""


def option_for(metric: Metric) -> str:
    """The option that states a metric's level."""
    return _OPTIONS[metric]


@dataclass(frozen=True, slots=True)
class Users:
    """How many distinct users so many requests come from, by straight lines on logarithmic scales."""

    points: tuple[tuple[float, float], ...] = ((1, 1), (1e12, 1e12))

    @classmethod
    def at_a_rate(cls, requests_per_user: float) -> "Users":
        """Users who make so many requests each, however long one waits."""
        return cls(((1, 1), (requests_per_user * (1 + 1e-9), 1 + 1e-12), (1e12, 1e12 / requests_per_user)))

    def among(self, requests: Floats) -> Floats:
        """Distinct users among so many requests; beyond what was seen the last slope goes on."""
        at, seen = np.log(np.array(self._extended()).T)
        return np.asarray(np.exp(np.interp(np.log(np.maximum(requests, 1e-9)), at, seen)))

    def needed(self, users: Floats) -> Floats:
        """Requests until so many distinct users came; infinite where they never do."""
        at, seen = np.log(np.array(self._extended()).T)
        wanted = np.log(np.maximum(users, 1e-9))
        with np.errstate(invalid="ignore"):
            found = np.exp(np.interp(wanted, seen, at, right=np.inf))
        return np.asarray(np.where(wanted > seen[-1], np.inf, found))

    def _extended(self) -> list[tuple[float, float]]:
        """The points, each with more users than the one before, from far below the first to far beyond the last."""
        rising = [self.points[0]]
        for requests, users in self.points[1:]:
            if users > rising[-1][1] and requests > rising[-1][0]:
                rising.append((requests, users))
        low = (rising[0][0] * 1e-12, rising[0][1] * 1e-12)
        last = self.points[-1]
        slope = 1.0
        if len(self.points) > 1:
            first = self.points[-2]
            slope = float(np.clip(np.log(last[1] / first[1]) / np.log(last[0] / first[0]), 0.0, 1.0))
        beyond = (last[0] * 1e9, last[1] * 1e9**slope)
        return [low, *rising, *([beyond] if beyond[1] > rising[-1][1] else [])]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is known: requests of users per second, who makes them, and stable's values by metric.

    `shares` are the shares of requests in which a metric is seen, 1 where not named; `note` says where the figures
    are from.
    """

    requests_per_second: float
    users: Users = field(default_factory=Users)
    stable: Mapping[Metric, Observations] = field(default_factory=dict)
    shares: Mapping[Metric, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Stated:
    """What a person says of the traffic; None leaves it to the request log."""

    requests_per_hour: float | None = None
    requests_per_user: float | None = None
    levels: Mapping[Metric, Floats] = field(default_factory=dict)
    shares: Mapping[Metric, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse figures that no traffic has."""
        _check("--requests-per-hour", self.requests_per_hour, 0.001, 1e12)
        _check("--requests-per-user", self.requests_per_user, 1, 1e9)
        for metric, share in self.shares.items():
            _check(f"the share of answers with {metric.value}", share, 0, 1)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said."""
        return self == Stated()


def _check(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:  # NaN is in no range
        raise SoftlaunchError(f"{name} is {value:g}: expected a number from {least:g} to {most:g}")


def measure(
    database: Database, telemetry: Telemetry, app: str, stable_digest: str, now: float, stated: Stated
) -> Traffic:
    """The app's own recent traffic, with what was stated in the place of what was measured.

    Raises NoTrafficError where neither says how many requests there are.
    """
    with database.read() as session:
        rate = read_traffic_rate(session, app, now)
        scored = {
            metric: read_scores(session, app, stable_digest, metric.value)
            for metric in (Metric.QUALITY, Metric.HALLUCINATION)
        }
    if rate is None and stated.requests_per_hour is None:
        raise NoTrafficError(
            f"{app} has had no traffic in the last seven days; state it: --requests-per-hour, and for each gate the "
            f"level of stable: {', '.join(_OPTIONS.values())} (with --rating-share and --scored-share where not "
            "every answer is)"
        )
    history = dict(telemetry.history(app, stable_digest, now).stable)
    history |= {metric: _observed(rows) for metric, rows in scored.items()}
    seen = {metric: values for metric, values in history.items() if len(values)}
    measured = {} if rate is None else {Metric(name): share for name, share in rate.shares.items() if name in _NAMES}
    users = Users() if rate is None else Users(tuple((float(a), float(b)) for a, b in rate.users))
    per_second = rate.requests / rate.seconds if rate is not None else 0.0
    if stated.requests_per_hour is not None:
        per_second = stated.requests_per_hour / 3600
    if stated.requests_per_user is not None:
        users = Users.at_a_rate(stated.requests_per_user)
    everything = max((len(seen[metric]) for metric in seen if metric not in RATED_METRICS), default=1)
    covered = {metric: len(values) / everything for metric, values in seen.items() if metric not in RATED_METRICS}
    levels = _with_usable_answers(stated.levels, seen)
    return Traffic(
        requests_per_second=per_second,
        users=users,
        stable={**seen, **{metric: observations(values) for metric, values in levels.items()}},
        shares={**covered, **measured, **dict.fromkeys(levels, 1.0), **stated.shares},
        note=_note(rate, stated),
    )


def _with_usable_answers(
    stated: Mapping[Metric, Floats], seen: Mapping[Metric, Observations]
) -> Mapping[Metric, Floats]:
    """What was stated; who tells how much fails, and nothing of answers that serve nobody, has none of these."""
    if Metric.ERRORS not in stated or Metric.UNUSABLE in {**stated, **seen}:
        return stated
    return {**stated, Metric.UNUSABLE: rate_values(0.0)}


_NAMES = frozenset(metric.value for metric in Metric)


def _observed(rows: list[tuple[int, float]]) -> Observations:
    if not rows:
        return NONE
    units, values = zip(*rows, strict=True)
    return Observations.of(np.array(units, dtype=np.int64), np.array(values, dtype=np.float64))


def _note(rate: TrafficRate | None, stated: Stated) -> str:
    parts = []
    if rate is not None:
        parts.append(f"its newest {rate.requests:,} requests ({show_duration(rate.seconds)} of traffic)")
    if not stated.is_empty:
        parts.append("stated figures")
    said = " and ".join(parts)
    if rate is not None and rate.unnamed > _MOST_UNNAMED:
        said += (
            f"; {rate.unnamed:.0%} of the newest name nobody, so that a user may meet another arm with each: send "
            "'user' or 'safety_identifier' with them, or say in the policy's 'unit' where the name stands"
        )
    return said


def rate_values(rate: float) -> Floats:
    """Zeros and ones with this share of ones, to within one in 4,000. Raises SoftlaunchError outside of [0, 1]."""
    _check("a rate", rate, 0, 1)
    return (np.arange(_STATED) < round(rate * _STATED)).astype(np.float64)


def spread_values(median: float, high: float) -> Floats:
    """Log-normal values with this median and 95th percentile, in the metric's unit. Raises SoftlaunchError."""
    _check("a median", median, _SMALLEST, _LARGEST)
    _check("a 95th percentile", high, median, _LARGEST)
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
