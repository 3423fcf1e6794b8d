"""The traffic that a plan is made for: measured from the request log, stated by a person, or both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.formatting import show_duration
from softlaunch.core.live_metrics import SCORED, Metric
from softlaunch.core.verdict import Per
from softlaunch.forecast.first_visits import FirstVisits
from softlaunch.forecast.gate_paths import observations
from softlaunch.forecast.stated import SMALLEST, Stated, rate_values
from softlaunch.forecast.traffic import Traffic, Users
from softlaunch.forecast.user_habits import (
    count_regulars,
    imagine_arrivals,
    imagine_visits,
    measured_habits,
    visit_lengths,
)
from softlaunch.gates.adjustments import Adjustments
from softlaunch.gates.observations import NONE, Events, Floats, Observations, Window
from softlaunch.gates.telemetry import HISTORY_ROWS, PAST_ROWS, Telemetry
from softlaunch.gates.visits import VisitRule
from softlaunch.ledger.traffic_rate import TrafficRate, read_scores, read_traffic_rate
from softlaunch.policy.gating import GatePolicy
from softlaunch.policy.named_metrics import MetricPolicy
from softlaunch.store.database import Database

_MOST_UNNAMED = 0.5
_OPTIONS = [metric.plan_option for metric in Metric if not metric.compares_copies]


class NoTrafficError(SoftlaunchError):
    """Nothing is known of an app's traffic."""


@dataclass(frozen=True, slots=True)
class TrafficSource:
    """Where an app's own recent traffic is read: its ledger and telemetry, up to `now` in epoch seconds."""

    database: Database
    telemetry: Telemetry
    app: str
    stable_digest: str
    now: float

    def measure(
        self, stated: Stated, gates: Sequence[GatePolicy] = (), declared: Sequence[MetricPolicy] = ()
    ) -> Traffic:
        """The app's traffic, with what was stated in the place of what was measured.

        For `gates` that are adjusted for what was asked, measured visits are as they will see them; gates that count
        sessions take a longer look back. `declared` are the policy's own metrics. Raises NoTrafficError where neither
        says how many requests there are.
        """
        with self.database.read() as session:
            rate = read_traffic_rate(session, self.app, self.now)
            scored = {
                metric: read_scores(session, self.app, self.stable_digest, metric.value)
                for metric in (*SCORED.values(), *(one.metric for one in declared))
            }
        if rate is None and stated.requests_per_hour is None:
            raise NoTrafficError(
                f"{self.app} has had no traffic in the last seven days; state it: --requests-per-hour, and for each "
                f"gate the level of stable: {', '.join(_OPTIONS)} (with --rating-share and --scored-share if not "
                "every answer has a value)"
            )
        history = self._history()
        values = {**history.stable, **{metric: _observed(rows) for metric, rows in scored.items()}}
        seen = {metric: known for metric, known in values.items() if len(known)}
        traffic = _with_users(_known(rate, seen, stated), rate, history, stated)
        if rate is None or stated.says_who_comes:
            return replace(traffic, requests_per_session=stated.requests_per_user)
        if any(gate.per is not Per.REQUEST for gate in gates):
            past = self._history(PAST_ROWS).requests
            traffic = replace(traffic, past=past and _without(past, stated.levels))
        return traffic if stated.user_correlation is not None else _adjusted(traffic, gates, history, stated)

    def _history(self, rows: int = HISTORY_ROWS) -> Window:
        return self.telemetry.history(self.app, self.stable_digest, self.now, rows)


def _known(rate: TrafficRate | None, seen: Mapping[Metric, Observations], stated: Stated) -> Traffic:
    """How many requests there are, stable's values, and the shares of requests in which each is seen."""
    measured = {} if rate is None else {Metric.reported(name): share for name, share in rate.shares.items()}
    per_second = rate.requests / rate.seconds if rate is not None else 0.0
    if stated.requests_per_hour is not None:
        per_second = stated.requests_per_hour / 3600
    everything = max((len(seen[metric]) for metric in seen if not metric.is_rated), default=1)
    covered = {metric: len(values) / everything for metric, values in seen.items() if not metric.is_rated}
    levels = _with_usable_answers(stated.levels, seen)
    return Traffic(
        requests_per_second=per_second,
        stable={**seen, **{metric: observations(values) for metric, values in levels.items()}},
        shares={**covered, **measured, **dict.fromkeys(levels, 1.0), **stated.shares},
        note=_note(rate, stated),
    )


def _adjusted(traffic: Traffic, gates: Sequence[GatePolicy], history: Window, stated: Stated) -> Traffic:
    """The traffic with visits as gates that are adjusted will see them, where their level was measured."""
    adjusted = adjusted_visits(gates, history, comes_back=traffic.habits.comes_back)
    measured = {metric: visits for metric, visits in adjusted.items() if metric not in stated.levels}
    return replace(traffic, visits={**traffic.visits, **measured})


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
        correlation = found.correlation(np.log(np.maximum(found.values, SMALLEST)))
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
            f"; {rate.unnamed:.0%} of the newest name no user, so a user may meet another arm each time: send 'user' "
            "or 'safety_identifier' with them, or set where to find the name in the policy's 'unit'"
        )
    return said


def adjusted_visits(gates: Sequence[GatePolicy], history: Window, *, comes_back: bool) -> dict[Metric, FirstVisits]:
    """Stable's first visits by metric, beside what requests' sizes and streams foretold; none of other gates.

    Where users don't come back a visit is a request. What a unit's own past foretells isn't foreseen: a plan doesn't
    know for how many of the users to come there is one.
    """
    if history.requests is None:
        return {}
    regressions = Adjustments.learn(gates, history.requests).regressions
    requests = Adjustments(regressions).of(history.requests)
    rule = VisitRule.learn(requests)
    columns = {metric: requests.values[metric] for metric in regressions}
    if comes_back:
        return {metric: FirstVisits.of_events(requests, column, rule) for metric, column in columns.items()}
    return {metric: FirstVisits.alone(column[~np.isnan(column)]) for metric, column in columns.items()}
