"""Sessions: what a unit did between two pauses, as one event. What gates count that aren't per request.

A session is over `timeout` after its last request, or `longest` after its first, or when its unit appears on the other
arm. It then becomes one event, at that moment, of the same unit and of the arm of its first request: whether anything
in it failed, its latency and cost in all, its mean rating. Which requests it holds, when it is over and what it is
depend on the requests alone and not on when somebody looked. Units stay what is drawn: a unit of many sessions is
evidence once a way, as one of many requests is (a cluster; Deng, Lu and Litz 2017, on randomising by user and
analysing by session).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Per
from softlaunch.gates.observations import NO_EVENTS, Events, Flags, Floats, Units, Window
from softlaunch.gates.rules import GateRule
from softlaunch.policy.units import SessionPolicy


@dataclass(frozen=True, slots=True)
class SessionRule:
    """When a session is over: `timeout` seconds after its last request, or `longest` after its first."""

    timeout: float
    longest: float

    @classmethod
    def of(cls, policy: SessionPolicy, per: Per) -> Self:
        """What a policy takes together. A user's period is a session that no pause ends."""
        return cls(math.inf, policy.user_period) if per is Per.USER else cls(policy.timeout, policy.longest)

    def over(self, began: Floats, latest: Floats) -> Floats:
        """When sessions are over that began and went on then, in epoch seconds; all of shape (n,)."""
        return np.asarray(np.minimum(latest + self.timeout, began + self.longest))


def _shape(metrics: int) -> np.dtype[np.void]:
    """A session. `held` is each metric's sum, or largest value where it counts events, over `counts` requests."""
    return np.dtype(
        [
            ("unit", np.int64),
            ("candidate", np.bool_),
            ("began", np.float64),
            ("latest", np.float64),
            ("over", np.float64),
            ("requests", np.float64),
            ("held", np.float64, (metrics,)),
            ("counts", np.float64, (metrics,)),
        ]
    )


@dataclass(slots=True, eq=False)
class Sessions:
    """Gathers each unit's requests, or ratings, until its session is over; `open` are those that go on, by unit."""

    rule: SessionRule
    metrics: tuple[Metric, ...]
    open: NDArray[np.void] = field(init=False)

    def __post_init__(self) -> None:
        """No session goes on."""
        self.open = np.empty(0, _shape(len(self.metrics)))

    def take(self, events: Events, now: float) -> Events:
        """Fold in everything up to `now` (epoch seconds); returns the sessions that were over before it, in order."""
        goes_on = self._goes_on(np.unique(events.units))
        sessions, others = self._grown(events, self.open[goes_on]), self.open["over"] >= now
        ended = np.concatenate([self.open[~(goes_on | others)], sessions[sessions["over"] < now]])
        rest, grown = self.open[others & ~goes_on], sessions[sessions["over"] >= now]
        self.open = np.insert(rest, np.searchsorted(rest["unit"], grown["unit"]), grown) if len(grown) else rest
        return self._events(ended)

    def _goes_on(self, units: Units) -> Flags:
        """Which of the open sessions are of these units, ascending."""
        first, last = (np.searchsorted(self.open["unit"], units, side) for side in ("left", "right"))
        marks = np.zeros(len(self.open) + 1, np.int64)
        np.add.at(marks, first, 1)
        np.add.at(marks, last, -1)
        return np.asarray(marks.cumsum()[:-1] > 0)

    def whole(self, events: Events) -> Events:
        """The sessions of these events of which neither the beginning nor the end can be missing; none goes on then.

        One that had begun before the events did would have shown within its timeout.
        """
        return self.seen_whole(events)[0]

    def seen_whole(self, events: Events) -> tuple[Events, Floats, Floats]:
        """The same, with how many seconds each lasted until it was over, and its requests; both of shape (n,)."""
        if not len(events):
            return NO_EVENTS, np.empty(0), np.empty(0)
        known_since = float(events.at.min()) + (self.rule.timeout if math.isfinite(self.rule.timeout) else 0.0)
        sessions = self._grown(events, self.open[:0])
        whole = sessions[(sessions["began"] >= known_since) & (sessions["over"] < float(events.at.max()))]
        whole = whole[np.lexsort((whole["unit"], whole["over"]))]
        return self._events(whole), whole["over"] - whole["began"], whole["requests"]

    def _grown(self, events: Events, before: NDArray[np.void]) -> NDArray[np.void]:
        """Sessions of before with what was done now, and those of now, unit by unit; a unit's in order of time."""
        rows = np.concatenate([before, self._alone(events)])
        rows = rows[np.lexsort((rows["latest"], rows["unit"]))]  # what goes on before what was done now
        start = self._starts(rows)
        length = np.diff(start, append=len(rows))
        sessions = rows[start]
        if not len(rows):
            return sessions
        sessions["latest"] = rows["latest"][start + length - 1]
        session = np.repeat(np.arange(len(start)), length)
        sessions["requests"] = np.bincount(session, rows["requests"], len(start))
        sessions["counts"] = _added(rows["counts"], session, len(start))
        for column, metric in enumerate(self.metrics):
            values = rows["held"][:, column]
            if metric.is_event:
                sessions["held"][:, column] = np.maximum.reduceat(values, start)
            else:
                sessions["held"][:, column] = np.bincount(session, values, len(start))
        sessions["over"] = self.rule.over(sessions["began"], sessions["latest"])
        strays = np.flatnonzero(
            (sessions["unit"][1:] == sessions["unit"][:-1]) & (sessions["began"][1:] < sessions["over"][:-1])
        )
        sessions["over"][strays] = sessions["began"][strays + 1]
        return sessions

    def _alone(self, events: Events) -> NDArray[np.void]:
        """Each request as a session of its own."""
        rows = np.zeros(len(events), _shape(len(self.metrics)))
        rows["unit"], rows["candidate"] = events.units, events.candidate
        rows["began"] = rows["latest"] = events.at
        rows["requests"] = 1.0
        for column, metric in enumerate(self.metrics):
            values = events.values.get(metric)
            if values is not None:
                known = ~np.isnan(values)
                rows["held"][:, column] = np.where(known, values, 0.0)
                rows["counts"][:, column] = known
        return rows

    def _starts(self, rows: NDArray[np.void]) -> Units:
        """Places of the rows with which a session begins."""
        unit, arm, began, latest = rows["unit"], rows["candidate"], rows["began"], rows["latest"]
        begins = np.ones(len(rows), np.bool_)
        begins[1:] = (unit[1:] != unit[:-1]) | (arm[1:] != arm[:-1]) | (latest[1:] >= latest[:-1] + self.rule.timeout)
        start = np.flatnonzero(begins)
        ends = np.append(start[1:], len(rows))
        if len(rows):
            for first, end in np.stack([start, ends], 1)[latest[ends - 1] >= began[start] + self.rule.longest].tolist():
                _cut(begins, began, latest, (first, end), self.rule.longest)
        return np.flatnonzero(begins)

    def _events(self, over: NDArray[np.void]) -> Events:
        over = over[np.lexsort((over["unit"], over["over"]))]
        known, values = over["counts"] > 0, {}
        for column, metric in enumerate(self.metrics):
            held = over["held"][:, column]
            is_mean = not (metric.is_event or metric.is_relative)
            whole = held / np.maximum(over["counts"][:, column], 1) if is_mean else held
            values[metric] = np.where(known[:, column], whole, np.nan)
        return Events(over["over"].copy(), over["unit"].copy(), over["candidate"].copy(), values)

    def recall(self, other: Self) -> None:
        """Know what other sessions of the same rule know."""
        self.open = other.open


def _cut(begins: Flags, began: Floats, latest: Floats, piece: tuple[int, int], longest: float) -> None:
    """Mark where sessions begin that follow one another without a pause, because each is as long as it may be."""
    first, end = piece
    while True:
        first = first + int(np.searchsorted(latest[first:end], began[first] + longest))
        if first >= end:
            return
        begins[first] = True


def _added(rows: Floats, place: Units, count: int) -> Floats:
    """Rows, shape (n, columns), added up by place one after the other, so that how they are cut changes no digit."""
    columns = [np.bincount(place, rows[:, column], count) for column in range(rows.shape[1])]
    return np.stack(columns, axis=1) if columns else np.zeros((count, 0))


@dataclass(frozen=True, slots=True)
class Stream:
    """What gates look at together, per request, session or user: what a request tells at once, or one rated metric.

    `reach` is how far beyond [0, 1] its values may lie.
    """

    per: Per
    rated: Metric | None = None
    reach: float = 0.0

    @classmethod
    def of(cls, rule: GateRule) -> Self:
        """The stream that a gate reads."""
        return cls(rule.per, rule.metric if rule.metric.is_rated else None, rule.reach)

    @property
    def name(self) -> str:
        """`requests`, `sessions`, `satisfaction`, `satisfaction per session`."""
        return self.per.counted if self.rated is None else f"{self.rated.value}{self.per.words}"

    def events(self, window: Window) -> Events:
        """The requests or ratings that it is made of."""
        if self.rated is None:
            return window.requests or NO_EVENTS
        return window.ratings.get(self.rated, NO_EVENTS)


@dataclass(slots=True, eq=False)
class SessionStreams:
    """The sessions of a stage by stream, as far as its gates count any.

    Ratings come later than what they are of, by a clock of their own: what one unit says without a pause of `timeout`
    is one session's.
    """

    by_stream: dict[Stream, Sessions] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: Sequence[GateRule], policy: SessionPolicy) -> Self:
        """None of which any goes on."""
        metrics: dict[Stream, list[Metric]] = {}
        for rule in rules:
            if rule.per is not Per.REQUEST:
                metrics.setdefault(Stream.of(rule), []).append(rule.metric)
        return cls({one: Sessions(SessionRule.of(policy, one.per), tuple(of)) for one, of in metrics.items()})

    def take(self, window: Window) -> Mapping[Stream, Events]:
        """Fold in a window; returns the sessions that are over, by stream."""
        return {stream: held.take(stream.events(window), window.until) for stream, held in self.by_stream.items()}

    def remember(self, windows: Iterable[Window]) -> None:
        """Learn again what goes on."""
        for window in windows:
            self.take(window)

    def recall(self, other: Self) -> None:
        """Know what goes on elsewhere with the same gates."""
        for stream, held in self.by_stream.items():
            held.recall(other.by_stream[stream])

    def past(self, stream: Stream, history: Window) -> Events:
        """The sessions of stable's past that are known from their beginning to their end."""
        held = self.by_stream[stream]
        return Sessions(held.rule, held.metrics).whole(stream.events(history))
