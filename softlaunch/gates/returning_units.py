"""What users show who come back: the evidence of a stage, and how its budget is divided over them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Per
from softlaunch.gates.observations import NO_EVENTS, Events, Window
from softlaunch.gates.rules import GateRule
from softlaunch.gates.sessions import SessionStreams, Stream
from softlaunch.gates.stage_evidence import StageEvidence
from softlaunch.gates.unit_entries import PASSING_BY, RETURNING, Way
from softlaunch.gates.visits import VisitRule, returning

_ONE_SESSION = VisitRule(most=1, pause=43_200.0, age=86_400.0)
"""A visit of sessions is one, so that nobody waits for a second; in long rounds up to eight without a day's pause."""
OFTEN = 0.05
"""The share of requests by users who were seen before from which on an app's users come back."""

SUSPICIOUS = 2.0
"""Odds of harm against none at which a gate doesn't pass by a margin that its stage widened, if harm looks larger than
the policy accepts. They are reached by chance at some time in at most half of fine candidates, which wait until they
fall again."""


@dataclass(slots=True, eq=False)
class Harmed:
    """Harm that one way of looking has shown: its size in the margin's unit, and where it was seen."""

    harm: float
    way: Way
    is_tail: bool


@dataclass(slots=True, eq=False)
class Returning:
    """Evidence of all requests of a stage, whoever made them.

    `evidence` is that of the requests and one for each rated metric, by stream, and the same of sessions and of users'
    periods where gates count these; `sessions` are those that go on, which aren't dumped. `comes_back` says whether
    users did before the stage, which divides the budget.
    """

    evidence: dict[Stream, StageEvidence]
    comes_back: bool
    sessions: SessionStreams = field(default_factory=SessionStreams)

    @classmethod
    def begin(
        cls,
        rules: Sequence[GateRule],
        share: float,
        history: Window,
        sessions: SessionStreams | None = None,
        longer: Window | None = None,
    ) -> Self:
        """Without evidence, knowing stable's visits from before the stage. `history.requests` must be known.

        `sessions` are those of gates that count any, of which none goes on, and `longer` a history in which to look for
        sessions, if it isn't the same.
        """
        requests = history.requests or NO_EVENTS
        rule = VisitRule.learn(requests)
        begun = cls({}, returning(requests) > OFTEN, sessions or SessionStreams())
        for stream, margins in _streams(rules).items():
            past = begun.past(stream, history, longer)
            begun.evidence[stream] = StageEvidence.begin(
                share, margins, rule if stream.per is Per.REQUEST else _ONE_SESSION, past, stream.reach
            )
        return begun

    def past(self, stream: Stream, history: Window, longer: Window | None = None) -> Events:
        """What a stream was before the stage, on stable."""
        return stream.events(history) if stream.per is Per.REQUEST else self.sessions.past(stream, longer or history)

    def past_visits(self, metric: Metric, history: Window, longer: Window | None = None) -> Window:
        """Stable's visits of before the stage as a window of one observation each."""
        one = self.evidence_of(metric)
        past = one.first_visits(self.past(self.stream(metric), history, longer))
        return Window(one.share, {}, {metric: past[metric]})

    def parts(self, metric: Metric) -> Mapping[Way, float]:
        """How a gate's budget is divided: over sessions as if nobody came back; the first tells the most."""
        per_request = self.stream(metric).per is Per.REQUEST
        return RETURNING if self.comes_back and per_request else PASSING_BY

    def update(self, window: Window) -> Window:
        """Fold in one window; returns the first visits that are over, as a window of one observation each."""
        candidate, stable, sessions = {}, {}, self.sessions.take(window)
        for stream, one in self.evidence.items():
            for metric, visits in one.update(_events(window, stream, sessions), window.until).items():
                candidate[metric], stable[metric] = visits.candidate, visits.stable
        return Window(window.candidate_share, candidate, stable)

    def remember(self, windows: Iterable[Window]) -> None:
        """Learn again which units were booked, from windows that were folded in before the state was dumped."""
        for window in windows:
            sessions = self.sessions.take(window)
            for stream, one in self.evidence.items():
                one.remember(_events(window, stream, sessions), window.until)

    def recall(self, other: Self) -> None:
        """Know whom the same evidence knows elsewhere."""
        self.sessions.recall(other.sessions)
        for stream, one in self.evidence.items():
            one.recall(other.evidence[stream])

    def evidence_of(self, metric: Metric) -> StageEvidence:
        """Where a metric's evidence is."""
        return self.evidence[self.stream(metric)]

    def stream(self, metric: Metric) -> Stream:
        """The values that a metric's gate reads."""
        known = (stream for stream, one in self.evidence.items() if metric in one.channels)
        return next(known, Stream(Per.REQUEST))

    def harmed(self, rule: GateRule) -> Harmed | None:
        """The harm that was shown of a metric, in whichever way."""
        one, parts = self.evidence_of(rule.metric), self.parts(rule.metric)
        for way, (bets, part) in one.processes(rule.metric).items():
            if bets.log_evidence < -math.log(rule.alpha * parts[way] * part):
                continue
            harm, _ = one.channels[rule.metric].harm(bets)
            if harm > rule.material:
                return Harmed(harm, way, is_tail=False)
            if one.channels[rule.metric].is_slower(bets):
                return Harmed(harm, way, is_tail=True)
        return None

    def suspected(self, rule: GateRule) -> Harmed | None:
        """Material harm that the stage's units show by odds of `SUSPICIOUS` to one or more: too few to be sure."""
        one = self.evidence_of(rule.metric)
        for way in (Way.VISIT, Way.FIRST):
            bets, _ = one.processes(rule.metric)[way]
            harm, _ = one.channels[rule.metric].harm(bets)
            if harm > rule.material and bets.log_evidence >= math.log(SUSPICIOUS):
                return Harmed(harm, way, is_tail=False)
        return None

    def log_evidence(self, metric: Metric) -> float:
        """Log of the largest e-value of a metric, each less the price of its part of the budget."""
        processes, parts = self.evidence_of(metric).processes(metric).items(), self.parts(metric)
        return max(bets.log_evidence + math.log(parts[way] * part) for way, (bets, part) in processes)

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "comes_back": self.comes_back,
            "books": {stream.name: one.dump() for stream, one in self.evidence.items()},
        }

    @classmethod
    def load(cls, state: Mapping[str, Any], rules: Sequence[GateRule], sessions: SessionStreams | None = None) -> Self:
        """What was dumped by these gates; units that were booked have to be remembered before an update."""
        held = state["books"]
        streams = _streams(rules)
        evidence = {one: StageEvidence.load(held[one.name], of) for one, of in streams.items() if one.name in held}
        return cls(evidence, state["comes_back"], sessions or SessionStreams())


def _streams(rules: Sequence[GateRule]) -> dict[Stream, dict[Metric, float]]:
    """The margins of the metrics that are known with the request, and of each that comes later by itself."""
    streams: dict[Stream, dict[Metric, float]] = {}
    for rule in rules:
        streams.setdefault(Stream.of(rule), {})[rule.metric] = rule.material
    return streams


def _events(window: Window, stream: Stream, sessions: Mapping[Stream, Events]) -> Events:
    return stream.events(window) if stream.per is Per.REQUEST else sessions[stream]
