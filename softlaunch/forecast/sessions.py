"""What stable's users get in a session, for gates that count sessions: seen whole in the log, or imagined."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Per
from softlaunch.forecast.first_visits import FirstVisits
from softlaunch.forecast.traffic import Traffic
from softlaunch.forecast.user_habits import IMAGINED_PAUSE, imagine_visits
from softlaunch.gates.observations import NONE, Floats
from softlaunch.gates.reference import ENOUGH
from softlaunch.gates.rules import GateRule
from softlaunch.gates.sessions import SessionRule, Sessions
from softlaunch.policy.units import SessionPolicy

_DAY = 86400.0
_IMAGINED = 1200


@dataclass(frozen=True, slots=True, eq=False)
class SessionTraffic:
    """First sessions of stable's users in one metric: their values, as visits of one each.

    The metric is known in a `share` of the sessions, which are over `seconds` after they began and have so many
    `requests`, on average.
    """

    values: FirstVisits
    share: float
    seconds: float
    requests: float


def foresee_sessions(
    traffic: Traffic, rules: tuple[GateRule, ...], policy: SessionPolicy
) -> Mapping[Metric, SessionTraffic]:
    """The sessions of gates that count them, by metric: those of the log where enough were seen from end to end."""
    found = {}
    for rule in rules:
        if rule.per is not Per.REQUEST:
            found[rule.metric] = _seen(traffic, rule, policy) or _imagined(traffic, rule, policy)
    return found


def _seen(traffic: Traffic, rule: GateRule, policy: SessionPolicy) -> SessionTraffic | None:
    """Each user's first session; None where too few were seen. Ratings are too few, and come by their own clock."""
    past = traffic.past
    if past is None or rule.metric.is_rated or rule.metric not in past.values:
        return None
    over, lasted, requests = Sessions(SessionRule.of(policy, rule.per), (rule.metric,)).seen_whole(past)
    first = np.unique(over.units, return_index=True)[1]
    values = over.values[rule.metric][first]
    known = ~np.isnan(values)
    if np.count_nonzero(known) < ENOUGH:
        return None
    seconds, requests_each = float(lasted[first].mean()), float(requests[first].mean())
    return SessionTraffic(FirstVisits.alone(values[known]), float(known.mean()), seconds, requests_each)


def _imagined(traffic: Traffic, rule: GateRule, policy: SessionPolicy) -> SessionTraffic:
    """Sessions of as many requests as users make in a visit, whose values are as correlated as those of a visit."""
    habits, metric = traffic.habits, rule.metric
    requests = traffic.requests_per_session or habits.requests_per_visit
    seconds = min(policy.timeout + (requests - 1) * IMAGINED_PAUSE, policy.longest)
    if rule.per is Per.USER:
        requests *= max((habits.visits_per_day or 0.0) * policy.user_period / _DAY, 1.0)
        seconds = policy.user_period
    share = traffic.shares.get(metric, 1.0)
    lengths = (np.floor(requests) + (np.arange(_IMAGINED) / _IMAGINED < requests % 1)).astype(np.int64)
    visits = imagine_visits(traffic.stable.get(metric, NONE).values, lengths, habits.correlation, share)
    known = 1 - (1 - share) ** requests
    return SessionTraffic(FirstVisits.alone(_counted(metric, visits)), known, seconds, requests)


def _counted(metric: Metric, visits: FirstVisits) -> Floats:
    """What a gate makes of each session's requests, shape (visits,)."""
    if not len(visits):
        return np.empty(0)
    if metric.is_event:
        return np.asarray(np.maximum.reduceat(visits.values, visits.start))
    sums = np.add.reduceat(visits.values, visits.start)
    return np.asarray(sums if metric.is_relative else sums / visits.lengths)
