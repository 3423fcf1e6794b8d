"""The traffic that a plan is made for: measured from the request log, stated by a person, or both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import beta, norm

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.formatting import show_duration
from softlaunch.core.live_metrics import SCORED, Metric
from softlaunch.core.verdict import Per
from softlaunch.forecast.adjusted import adjusted_visits
from softlaunch.forecast.first_visits import FirstVisits
from softlaunch.forecast.gate_paths import observations
from softlaunch.forecast.user_habits import (
    Habits,
    count_regulars,
    imagine_arrivals,
    imagine_visits,
    measured_habits,
    visit_lengths,
)
from softlaunch.gates.observations import NONE, Events, Floats, Observations, Window
from softlaunch.gates.telemetry import PAST_ROWS, Telemetry
from softlaunch.gates.visits import VisitRule
from softlaunch.ledger.traffic_rate import TrafficRate, read_scores, read_traffic_rate
from softlaunch.policy.gating import GatePolicy
from softlaunch.store.database import Database

_STATED = 4000  # values that stand for a stated distribution
_SMALLEST, _LARGEST = 1e-12, 1e12  # of what a latency in ms or a cost in dollars can be
_QUALITY_DEVIATION = 0.2
_MOST_UNNAMED = 0.5
_OPTIONS = [metric.plan_option for metric in Metric if not metric.compares_copies]


class NoTrafficError(SoftlaunchError):
    """Nothing is known of an app's traffic."""


@dataclass(frozen=True, slots=True)
class Users:
    """How many distinct users so many requests come from, by straight lines on logarithmic scales."""

    points: tuple[tuple[float, float], ...] = ((1, 1), (1e12, 1e12))

    @classmethod
    def at_a_rate(cls, requests_per_user: float) -> "Users":
        """Users who make so many requests each, however long one waits."""
        return cls(((1, 1), (requests_per_user * (1 + 1e-9), 1 + 1e-12), (1e12, 1e12 / requests_per_user)))

    @classmethod
    def regulars(cls, users: float, requests_per_visit: float) -> "Users":
        """So many users and no others, who come at random."""
        visits = np.geomspace(1 / requests_per_visit, 30 * users, 40)
        seen = -users * np.expm1(-visits / users)
        points = [
            (float(requests_per_visit * came), float(max(known, 1.0))) for came, known in zip(visits, seen, strict=True)
        ]
        return cls((*points, (60 * users * requests_per_visit, float(users)), (1e12, float(users))))

    def at_most(self, users: float) -> "Users":
        """The same where there are no more users than these."""
        last = self.points[-1][0]
        return Users((*self.points, (20 * last, users), (40 * last, users)))

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

    `shares` are the shares of requests in which a metric is seen, 1 where not named; `habits` say how users come back,
    and `visits` what stable's did in their first visits, by metric; where not named, each request is one. `note` says
    where the figures are from. `past` are stable's requests of a longer time, where sessions are to be found in them,
    and `requests_per_session` what somebody said.
    """

    requests_per_second: float
    users: Users = field(default_factory=Users)
    stable: Mapping[Metric, Observations] = field(default_factory=dict)
    shares: Mapping[Metric, float] = field(default_factory=dict)
    note: str = ""
    habits: Habits = field(default_factory=Habits)
    visits: Mapping[Metric, FirstVisits] = field(default_factory=dict)
    past: Events | None = None
    requests_per_session: float | None = None

    def first_visits(self, metric: Metric) -> FirstVisits:
        """What stable's users did in their first visits."""
        return self.visits.get(metric) or FirstVisits.alone(self.stable.get(metric, NONE).values)

    def drawn_afresh(self, redraw: float | str) -> "Traffic":
        """The same where each user's arm is drawn anew after so many seconds, or in each conversation.

        What counts as a user is then one in such a time: there are always others.
        """
        a_user = self.habits.requests_per_visit
        if isinstance(redraw, float):
            requests = max(self.requests_per_second * redraw, 1.0)
            a_user = max(requests / float(self.users.among(np.array([requests]))[0]), 1.0)
        habits = replace(self.habits, regular_users=None)
        return replace(self, users=Users.at_a_rate(min(a_user, _LARGEST)), habits=habits)


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


def measure(
    database: Database,
    telemetry: Telemetry,
    app: str,
    stable_digest: str,
    now: float,
    stated: Stated,
    gates: Sequence[GatePolicy] = (),
) -> Traffic:
    """The app's own recent traffic, with what was stated in the place of what was measured.

    For `gates` that are adjusted for what was asked, measured visits are as they will see them; gates that count
    sessions take a longer look back. Raises NoTrafficError where neither says how many requests there are.
    """
    with database.read() as session:
        rate = read_traffic_rate(session, app, now)
        scored = {metric: read_scores(session, app, stable_digest, metric.value) for metric in SCORED.values()}
    if rate is None and stated.requests_per_hour is None:
        raise NoTrafficError(
            f"{app} has had no traffic in the last seven days; state it: --requests-per-hour, and for each gate the "
            f"level of stable: {', '.join(_OPTIONS)} (with --rating-share and --scored-share where not "
            "every answer is)"
        )
    history = telemetry.history(app, stable_digest, now)
    values = {**history.stable, **{metric: _observed(rows) for metric, rows in scored.items()}}
    seen = {metric: known for metric, known in values.items() if len(known)}
    measured = {} if rate is None else {Metric(name): share for name, share in rate.shares.items() if name in _NAMES}
    per_second = rate.requests / rate.seconds if rate is not None else 0.0
    if stated.requests_per_hour is not None:
        per_second = stated.requests_per_hour / 3600
    everything = max((len(seen[metric]) for metric in seen if not metric.is_rated), default=1)
    covered = {metric: len(values) / everything for metric, values in seen.items() if not metric.is_rated}
    levels = _with_usable_answers(stated.levels, seen)
    known = Traffic(
        requests_per_second=per_second,
        stable={**seen, **{metric: observations(values) for metric, values in levels.items()}},
        shares={**covered, **measured, **dict.fromkeys(levels, 1.0), **stated.shares},
        note=_note(rate, stated),
    )
    traffic = _with_users(known, rate, history, stated)
    if rate is None or stated.says_who_comes:
        return replace(traffic, requests_per_session=stated.requests_per_user)
    if any(gate.per is not Per.REQUEST for gate in gates):
        past = telemetry.history(app, stable_digest, now, PAST_ROWS).requests
        traffic = replace(traffic, past=past and _without(past, stated.levels))
    if stated.user_correlation is not None:
        return traffic
    adjusted = adjusted_visits(gates, history, comes_back=traffic.habits.comes_back)
    measured_ones = {metric: visits for metric, visits in adjusted.items() if metric not in stated.levels}
    return replace(traffic, visits={**traffic.visits, **measured_ones})


def _without(past: Events, stated: Mapping[Metric, Floats]) -> Events:
    """Requests without what was said to be otherwise."""
    return replace(past, values={metric: column for metric, column in past.values.items() if metric not in stated})


def _with_users(known: Traffic, rate: TrafficRate | None, history: Window, stated: Stated) -> Traffic:
    """The traffic with who makes it: as measured, unless somebody said otherwise."""
    is_measured = rate is not None and not stated.says_who_comes
    if rate is not None and is_measured:
        came = Events(rate.at, rate.units, np.zeros(rate.requests, np.bool_))
        users = Users(tuple((float(a), float(b)) for a, b in rate.users))
        regulars = count_regulars(users.points)
        users = users if regulars is None else users.at_most(regulars)
    else:
        per_user, regulars = stated.requests_per_user or 1.0, stated.regular_users
        came = imagine_arrivals(known.requests_per_second, per_user, regulars)
        users = Users.at_a_rate(per_user) if regulars is None else Users.regulars(regulars, per_user)
    visits = _visits_of(history) if is_measured else {}
    correlation = stated.user_correlation
    if correlation is None and Metric.LATENCY in visits:
        found = visits[Metric.LATENCY]
        correlation = found.correlation(np.log(np.maximum(found.values, _SMALLEST)))
    habits = measured_habits(came, regulars, correlation)
    if not habits.comes_back:
        return replace(known, users=users, habits=habits)
    lengths = visit_lengths(came)
    imagined = {
        metric: imagine_visits(seen.values, lengths, habits.correlation, known.shares.get(metric, 1.0))
        for metric, seen in known.stable.items()
        if metric not in visits or metric in stated.levels or stated.user_correlation is not None
    }
    return replace(known, users=users, habits=habits, visits={**visits, **imagined})


def _visits_of(history: Window) -> dict[Metric, FirstVisits]:
    """First visits of the past by metric, where its requests are known one by one."""
    if history.requests is None:
        return {}
    rule = VisitRule.learn(history.requests)
    streams = {metric: (history.requests, column) for metric, column in history.requests.values.items()}
    streams |= {metric: (events, events.values[metric]) for metric, events in history.ratings.items()}
    found = {metric: FirstVisits.of_events(events, column, rule) for metric, (events, column) in streams.items()}
    return {metric: visits for metric, visits in found.items() if len(visits)}


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
