"""The evidence that the units of one stream of events leave over a stage, in each of the four ways."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.bets import Bets, Known
from softlaunch.gates.channels import MagnitudeChannels, ShareChannels, make_channels
from softlaunch.gates.e_process import fits_share
from softlaunch.gates.observations import Events, Flags, Floats, Observations
from softlaunch.gates.unit_entries import ENOUGH_CANDIDATES, Once, Rounds, Way, dump_bets, round_part
from softlaunch.gates.visits import ByUnit, Entries, VisitRule, Visits

Channel = ShareChannels | MagnitudeChannels
KnownColumns = dict[Metric, dict[str, Known]]


_LONGER = 8
_OLD, _LONG_OLD = 150.0, 1200.0
_PRIOR = 10.0
_ENOUGH_HEARD = 50.0


@dataclass(slots=True, eq=False)
class StageEvidence:
    """The evidence of one stream of events, all requests or all ratings of one metric, in one stage.

    `share` is the probability that a unit is the candidate's. Where only some requests are rated, perhaps unequally
    often in the two arms, the share of what was heard so far takes its place. `begun` are the stage's first values of
    magnitudes of which nothing is known from before it, until they are enough.
    """

    share: float
    rule: VisitRule
    channels: dict[Metric, Channel]
    first: Once
    visit: Once
    short: Rounds
    long: Rounds
    known: dict[Way, KnownColumns]
    heard: dict[Way, list[float]] = field(default_factory=lambda: {way: [0.0, 0.0] for way in Way})
    begun: dict[Metric, Floats] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, share: float, margins: Mapping[Metric, float], rule: VisitRule, history: Events, reach: float = 0.0
    ) -> Self:
        """Nothing yet, with knowledge of what visits of stable were like before the stage."""
        channels = {metric: make_channels(metric, margin, history, reach) for metric, margin in margins.items()}
        evidence = cls._blank(share, rule, channels)
        seen = evidence._by_unit(history)
        for way, known in evidence.known.items():
            evidence._learn(Visits(evidence._rule(way), evidence.columns).take(seen, math.inf), known)
        return evidence

    @classmethod
    def _blank(cls, share: float, rule: VisitRule, channels: dict[Metric, Channel]) -> Self:
        columns = sum(len(channel.names) for channel in channels.values())
        learnt = (Way.FIRST, Way.ROUND, Way.LONG)  # first visits are like any other of their length
        return cls(
            share,
            rule,
            channels,
            Once(Visits(rule.first, columns), _fresh(channels)),
            Once(Visits(rule, columns), _fresh(channels)),
            Rounds(Visits(rule, columns), _fresh(channels), _OLD / share),
            Rounds(Visits(rule.times(_LONGER), columns), _fresh(channels), _LONG_OLD / share),
            {way: {metric: channel.known() for metric, channel in channels.items()} for way in learnt},
        )

    def _rule(self, way: Way) -> VisitRule:
        return {Way.FIRST: self.rule.first, Way.LONG: self.rule.times(_LONGER)}.get(way, self.rule)

    @property
    def columns(self) -> int:
        """How many columns an entry has."""
        return sum(len(channel.names) for channel in self.channels.values())

    @property
    def _is_rated(self) -> bool:
        return any(metric.is_rated for metric in self.channels)

    def first_visits(self, history: Events) -> dict[Metric, Observations]:
        """Stable's visits of before the stage, one observation each."""
        over = Visits(self.rule, self.columns).take(self._by_unit(history), math.inf)
        return {metric: observed.stable for metric, observed in self._observed_visits(over).items()}

    def update(self, events: Events, now: float) -> dict[Metric, ByArm[Observations]]:
        """Fold in everything up to `now`; returns the first visits that are over."""
        seen = self._by_unit(events)
        booked = {
            Way.FIRST: self.first.visits.take(seen, now),
            Way.VISIT: self.visit.visits.take(seen, now),
            Way.ROUND: self.short.visits.take(seen, now),
            Way.LONG: self.long.visits.take(seen, now),
        }
        for way, entries in booked.items():
            self._bet(entries, way)
        for rounds, entries in ((self.short, booked[Way.ROUND]), (self.long, booked[Way.LONG])):
            rounds.count(entries)
            rounds.turn(self.share, now, _fresh(self.channels))
        for way, known in self.known.items():
            self._learn(booked[way], known)
        self._teach(events, now)
        return self._observed_visits(booked[Way.VISIT])

    def _teach(self, events: Events, now: float) -> None:
        """Let channels that know no slow request of before the stage learn it from the first ones, of both arms."""
        for metric, channel in self.channels.items():
            if isinstance(channel, MagnitudeChannels) and not channel.knows_tails:
                values = np.concatenate([self.begun.pop(metric, np.empty(0)), events.measured(metric)])
                self.channels[metric] = taught = channel.taught(values, now)
                if not taught.knows_tails:
                    self.begun[metric] = values

    def _observed_visits(self, over: Entries) -> dict[Metric, ByArm[Observations]]:
        units, arm = np.arange(len(over)), over.candidate
        found = {}
        for metric in self.channels:
            values = self._values(metric, over)
            found[metric] = ByArm(Observations.of(units[arm], values[arm]), Observations.of(units[~arm], values[~arm]))
        return found

    def remember(self, events: Events, now: float) -> None:
        """Learn again which units were booked, from events that were bet on before; bets nothing."""
        seen = self._by_unit(events)
        for once in (self.first, self.visit):
            once.visits.take(seen, now)
        for rounds in (self.short, self.long):
            since = events if rounds.began <= -math.inf else events.only(events.at >= rounds.began)
            rounds.visits.take(self._by_unit(since), now)

    def recall(self, other: Self) -> None:
        """Know whom another object with the same evidence knows."""
        self.first.visits.recall(other.first.visits)
        self.visit.visits.recall(other.visit.visits)
        self.short.visits.recall(other.short.visits)
        self.long.visits.recall(other.long.visits)

    def _by_unit(self, events: Events) -> ByUnit:
        nothing = np.full(len(events), np.nan)
        tables = [
            channel.columns(events.values.get(metric, nothing), events.at) for metric, channel in self.channels.items()
        ]
        return ByUnit.of(events, np.concatenate(tables, axis=1))

    def _place(self, metric: Metric) -> slice:
        """Where a metric's columns are in a table of entries."""
        before = list(self.channels)[: list(self.channels).index(metric)]
        start = sum(len(self.channels[other].names) for other in before)
        return slice(start, start + len(self.channels[metric].names))

    def _entries(self, metric: Metric, entries: Entries) -> tuple[Flags, dict[str, Floats]]:
        """The arms and columns of the entries in which a metric was measured."""
        table = entries.means[:, self._place(metric)]
        measured = ~np.isnan(table[:, 0])
        return entries.candidate[measured], dict(zip(self.channels[metric].names, table[measured].T, strict=True))

    def _bet(self, entries: Entries, way: Way) -> None:
        if not len(entries):
            return
        bets, known = self._bets_of(way), self.known[Way.ROUND if way is Way.VISIT else way]
        for metric, channel in self.channels.items():
            arm, columns = self._entries(metric, entries)
            share = self._share_of(arm, way)
            if share is not None:
                channel.bet(bets[metric], columns, known[metric], arm, share)
            self.heard[way][0] += float(arm.sum())
            self.heard[way][1] += float((~arm).sum())

    def _bets_of(self, way: Way) -> Mapping[Metric, Bets]:
        of_way = {
            Way.FIRST: self.first.bets,
            Way.VISIT: self.visit.bets,
            Way.ROUND: self.short.bets,
            Way.LONG: self.long.bets,
        }
        return of_way[way]

    def _share_of(self, arm: Flags, way: Way) -> float | None:
        """The probability that an entry of this window is the candidate's; None where that isn't what was in force."""
        if self._is_rated:
            return self._observed(way)
        candidates = float(arm.sum())
        return self.share if fits_share(candidates, len(arm) - candidates, self.share) else None

    def _observed(self, way: Way) -> float | None:
        """The candidate's share of what was heard, as known before this window; None before enough was."""
        candidate, stable = self.heard[way]
        if candidate + stable < _ENOUGH_HEARD:
            return None
        return float(np.clip((candidate + _PRIOR * self.share) / (candidate + stable + _PRIOR), 1e-4, 1 - 1e-4))

    def _learn(self, entries: Entries, known: KnownColumns) -> None:
        if not len(entries):
            return
        for metric in self.channels:
            _, columns = self._entries(metric, entries)
            for name, column in known[metric].items():
                column.add(np.exp(columns[name]) if name == "log" else columns[name])

    def _values(self, metric: Metric, entries: Entries) -> Floats:
        """Each visit's mean of a metric in its own unit; NaN where it wasn't measured."""
        column = entries.means[:, self._place(metric).start]
        if metric.is_relative:
            return np.exp(column)
        return 1 - column if metric.higher_is_better else column

    def processes(self, metric: Metric) -> dict[Way, tuple[Bets, float]]:
        """The bets on a metric in each way, and the part of that way's budget that they may spend."""
        return {
            Way.FIRST: (self.first.bets[metric], 1.0),
            Way.VISIT: (self.visit.bets[metric], 1.0),
            Way.ROUND: (self.short.bets[metric], round_part(self.short.number)),
            Way.LONG: (self.long.bets[metric], round_part(self.long.number)),
        }

    def contradicts(self, metric: Metric, margin: float) -> float | None:
        """Harm of the last rounds that is beyond the margin by more than a standard error; None where there is none."""
        for bets in (self.short.bets[metric], self.short.last.get(metric)):
            if bets is None:
                continue
            candidates = bets.means(self.channels[metric].names[0]).candidate.count
            harm, error = self.channels[metric].harm(bets)
            if candidates >= ENOUGH_CANDIDATES and harm - error > margin:
                return harm
        return None

    def dump(self) -> dict[str, Any]:
        """The state as JSON values, without the units that were booked: `remember` learns these again."""
        return {
            "share": self.share,
            "rule": [self.rule.most, self.rule.pause, self.rule.age],
            "channels": {metric.value: channel.dump() for metric, channel in self.channels.items()},
            "first": dump_bets(self.first.bets),
            "visit": dump_bets(self.visit.bets),
            "round": self.short.dump(),
            "long": self.long.dump(),
            "known": {way.value: _dumped(known) for way, known in self.known.items()},
            "heard": {way.value: counts for way, counts in self.heard.items()},
            "begun": {metric.value: values.tolist() for metric, values in self.begun.items()},
        }

    @classmethod
    def load(cls, state: Mapping[str, Any], metrics: Iterable[Metric]) -> Self:
        """What was dumped of these metrics."""
        known_as = {metric.value: metric for metric in metrics}
        channels = {known_as[name]: _channel(known_as[name], held) for name, held in state["channels"].items()}
        evidence = cls._blank(state["share"], VisitRule(*state["rule"]), channels)
        evidence.first.bets, evidence.visit.bets = _bets(channels, state["first"]), _bets(channels, state["visit"])
        for rounds, held in ((evidence.short, state["round"]), (evidence.long, state["long"])):
            rounds.old, rounds.number = held["old"], held["number"]
            rounds.began = -math.inf if held["began"] is None else held["began"]
            rounds.used, rounds.ignored, rounds.booked = held["counts"]
            rounds.bets, rounds.last = _bets(channels, held["bets"]), _bets(channels, held["last"])
        for way, known in evidence.known.items():
            _fill(known, state["known"][way.value])
        evidence.heard = {Way(way): list(counts) for way, counts in state["heard"].items()}
        evidence.begun = {known_as[name]: np.array(values) for name, values in state["begun"].items()}
        return evidence


def _fresh(channels: Mapping[Metric, Channel]) -> dict[Metric, Bets]:
    return {metric: Bets(channel.weights) for metric, channel in channels.items()}


def _channel(metric: Metric, state: Mapping[str, Any]) -> Channel:
    if not metric.is_relative:
        return ShareChannels(metric, state.get("reach", 0.0))
    slow, slowest, beyond = (math.inf if edge is None else edge for edge in state["edges"])
    since = -math.inf if state["since"] is None else state["since"]
    return MagnitudeChannels(metric, state["margin"], (slow, slowest, beyond), state["floor"], since)


def _bets(channels: Mapping[Metric, Channel], state: Mapping[str, Any]) -> dict[Metric, Bets]:
    return {
        metric: Bets.load(channel.weights, state[metric]) for metric, channel in channels.items() if metric in state
    }


def _dumped(known: KnownColumns) -> dict[str, Any]:
    return {
        metric.value: {name: column.dump() for name, column in columns.items()} for metric, columns in known.items()
    }


def _fill(known: KnownColumns, state: Mapping[str, Any]) -> None:
    for metric, columns in known.items():
        for name, held in state[metric.value].items():
            columns[name].fill(held)
