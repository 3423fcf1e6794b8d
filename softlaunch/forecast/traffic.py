"""The traffic that a plan is made for: how many requests, of whom, and stable's values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.first_visits import FirstVisits
from softlaunch.forecast.stated import LARGEST
from softlaunch.forecast.user_habits import (
    Habits,
)
from softlaunch.gates.observations import NONE, Events, Floats, Observations


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
        return replace(self, users=Users.at_a_rate(min(a_user, LARGEST)), habits=habits)
