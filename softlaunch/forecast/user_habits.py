"""How users come and go: measured from when they came, or imagined from what a person says of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softlaunch.forecast.first_visits import FirstVisits, seconds_until_over
from softlaunch.gates.observations import Events, Floats, Units
from softlaunch.gates.returning_units import OFTEN
from softlaunch.gates.visits import VisitRule, returning

_NEWEST = 3000  # requests from which a stage learns how users come back
_IMAGINED = 3000  # requests
IMAGINED_PAUSE = 30.0
"""Seconds between the requests of a visit that is imagined."""
_LONGEST_IMAGINED = 100.0  # requests
_VISITS = 1200  # that stand for all
_ENOUGH_TO_COUNT = 200  # requests
_SATURATED = 0.35
_DAY = 86400.0
_LIKENESS = 0.3
"""The correlation of a user's requests that is assumed where nothing is known."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How users come back, as far as gates care.

    `comes_back` says whether enough of them do to divide a gate's budget otherwise. A visit lasts `visit_seconds` until
    it is over; `correlation`, in [0, 1), is that of the requests of one. `visits_per_day` are those of a user, None
    where too short a time was seen. `regular_users` are all users that there are, None where others keep coming.
    """

    comes_back: bool = False
    requests_per_visit: float = 1.0
    visit_seconds: float = VisitRule().pause
    correlation: float = 0.0
    visits_per_day: float | None = None
    regular_users: float | None = None


def measured_habits(came: Events, regular_users: float | None, correlation: float | None = None) -> Habits:
    """The habits of users who came like this, in order of time; a correlation that isn't known is guessed."""
    newest = _newest(came)
    if returning(newest) <= OFTEN:
        return Habits(regular_users=regular_users)
    rule = VisitRule.learn(newest)
    lengths = visit_lengths(came)
    return Habits(
        comes_back=True,
        requests_per_visit=float(lengths.mean()),
        visit_seconds=seconds_until_over(newest, rule),
        correlation=_LIKENESS if correlation is None else correlation,
        visits_per_day=_visits_per_day(came, rule, regular_users),
        regular_users=regular_users,
    )


def visit_lengths(came: Events) -> Units:
    """Requests of first visits among the newest requests, shape (visits,)."""
    newest = _newest(came)
    return FirstVisits.of_events(newest, np.zeros(len(newest)), VisitRule.learn(newest)).lengths


def _newest(came: Events) -> Events:
    return came.only(np.arange(max(0, len(came) - _NEWEST), len(came)))


def _visits_per_day(came: Events, rule: VisitRule, regular_users: float | None) -> float | None:
    days = float(came.at[-1] - came.at[0]) / _DAY
    if regular_users is None and days < 1:
        return None
    order = np.lexsort((came.at, came.units))
    units, at = came.units[order], came.at[order]
    begins = np.append(True, (units[1:] != units[:-1]) | (np.diff(at) >= rule.pause))
    visits = np.ceil(np.bincount(np.cumsum(begins) - 1) / rule.most).sum()  # what goes on is the next visit
    users = len(np.unique(units)) if regular_users is None else regular_users
    return float(visits / users / max(days, 1 / _DAY))


def count_regulars(distinct: Sequence[tuple[float, float]]) -> float | None:
    """About how many users there are, where hardly any new ones come; None where they do.

    `distinct` says how many users the first so many requests came from, at each doubling. Of N users who come evenly,
    `N (1 - exp(-x))` were seen: twice as many requests show `1 + exp(-x / 2)` times as many users.
    """
    known = dict(distinct)
    doubled = [requests for requests in known if requests >= _ENOUGH_TO_COUNT and requests / 2 in known]
    if not doubled:
        return None
    last = max(doubled)
    grown = known[last] / known[last / 2] - 1
    if grown >= _SATURATED:
        return None
    return max(known[last] / (1 - grown**2), *known.values())


def imagine_arrivals(per_second: float, requests_per_visit: float, regular_users: float | None) -> Events:
    """Requests of users who make so many in a visit, and come again at random where there are only so many of them."""
    rng = np.random.default_rng(17)
    lengths = _whole(min(requests_per_visit, _LONGEST_IMAGINED), rng)
    begins = rng.uniform(0, _IMAGINED / max(per_second, 1e-6), len(lengths))
    users = (
        np.arange(len(lengths)) if regular_users is None else rng.integers(0, max(1, int(regular_users)), len(begins))
    )
    visit = np.repeat(np.arange(len(lengths)), lengths)
    within = rng.exponential(IMAGINED_PAUSE, len(visit)).cumsum()
    at = begins[visit] + within - within[np.cumsum(lengths) - lengths][visit]
    order = np.argsort(at, kind="stable")
    return Events(at[order], users[visit][order].astype(np.int64), np.zeros(len(at), np.bool_))


def _whole(mean: float, rng: np.random.Generator) -> Units:
    count = max(1, round(_IMAGINED / mean))
    return np.asarray(np.floor(mean) + (rng.random(count) < mean % 1), dtype=np.int64)


def imagine_visits(values: Floats, lengths: Units, correlation: float, share: float = 1.0) -> FirstVisits:
    """Visits of these lengths whose requests have these values and this correlation of normal scores.

    A metric that is seen in a `share` of requests is seen in some requests of a visit only.
    """
    rng = np.random.default_rng(19)
    lengths = np.resize(lengths, _VISITS)
    if share < 1:
        lengths = rng.binomial(lengths, share)
        lengths = lengths[lengths > 0]
    if not (len(values) and len(lengths)):
        return FirstVisits.alone(values)
    own, usual = rng.normal(size=len(lengths)), rng.normal(size=int(lengths.sum()))
    likely = np.sqrt(correlation) * np.repeat(own, lengths) + np.sqrt(1 - correlation) * usual
    place = (np.argsort(np.argsort(likely)) + 0.5) / len(likely)  # so that all values are as frequent as they were
    return FirstVisits.of_lengths(np.sort(values)[(place * len(values)).astype(np.int64)], lengths)
