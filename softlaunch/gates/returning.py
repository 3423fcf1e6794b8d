"""What users show who come back: the books of a stage, and how its budget is divided over them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from softlaunch.gates.book import Book
from softlaunch.gates.gate import GateRule
from softlaunch.gates.observations import NO_EVENTS, Events, Window
from softlaunch.gates.visits import VisitRule, returning
from softlaunch.gates.ways import PASSING_BY, RETURNING, Way
from softlaunch.policy.model import RATED_METRICS, Metric

_REQUESTS = "requests"
OFTEN = 0.05
"""The share of requests by users who were seen before from which on an app's users come back."""

SUSPICIOUS = 2.0
"""Odds of harm against none at which a gate doesn't pass by a margin that its stage widened. They are reached by chance
at some time in at most half of fine candidates, which wait until they fall again."""


@dataclass(slots=True, eq=False)
class Harmed:
    """Harm that one way of looking has shown: its size in the margin's unit, and where it was seen."""

    harm: float
    way: Way
    is_tail: bool


@dataclass(slots=True, eq=False)
class Returning:
    """Evidence of all requests of a stage, whoever made them.

    `books` are that of the requests and one for each rated metric, by name. `comes_back` says whether users did before
    the stage, which divides the budget.
    """

    books: dict[str, Book]
    comes_back: bool

    @classmethod
    def begin(cls, rules: Sequence[GateRule], share: float, history: Window) -> Self:
        """Without evidence, knowing stable's visits from before the stage. `history.requests` must be known."""
        requests = history.requests or NO_EVENTS
        rule = VisitRule.learn(requests)
        books = {
            name: Book.begin(share, margins, rule, _events(history, name)) for name, margins in _streams(rules).items()
        }
        return cls(books, returning(requests) > OFTEN)

    def past_visits(self, metric: Metric, history: Window) -> Window:
        """Stable's visits of before the stage as a window of one observation each."""
        book = self.book(metric)
        past = book.first_visits(_events(history, self._name(metric)))
        return Window(book.share, {}, {metric: past[metric]})

    @property
    def parts(self) -> Mapping[Way, float]:
        """How each gate's budget is divided."""
        return RETURNING if self.comes_back else PASSING_BY

    def update(self, window: Window) -> Window:
        """Fold in one window; returns the first visits that are over, as a window of one observation each."""
        candidate, stable = {}, {}
        for name, book in self.books.items():
            for metric, visits in book.update(_events(window, name), window.until).items():
                candidate[metric], stable[metric] = visits
        return Window(window.candidate_share, candidate, stable)

    def remember(self, windows: Iterable[Window]) -> None:
        """Learn again which units were booked, from windows that were folded in before the state was dumped."""
        for window in windows:
            for name, book in self.books.items():
                book.remember(_events(window, name), window.until)

    def recall(self, other: Self) -> None:
        """Know whom the same evidence knows elsewhere."""
        for name, book in self.books.items():
            book.recall(other.books[name])

    def book(self, metric: Metric) -> Book:
        """Where a metric's evidence is."""
        return self.books[self._name(metric)]

    def _name(self, metric: Metric) -> str:
        return metric.value if metric.value in self.books else _REQUESTS

    def harmed(self, rule: GateRule) -> Harmed | None:
        """The harm that was shown of a metric, in whichever way."""
        book = self.book(rule.metric)
        for way, (bets, part) in book.processes(rule.metric).items():
            if bets.log_evidence < -math.log(rule.alpha * self.parts[way] * part):
                continue
            harm, _ = book.channels[rule.metric].harm(bets)
            if harm > rule.material:
                return Harmed(harm, way, is_tail=False)
            if book.channels[rule.metric].is_slower(bets):
                return Harmed(harm, way, is_tail=True)
        return None

    def suspected(self, rule: GateRule) -> Harmed | None:
        """The harm that the stage's units show by odds of `SUSPICIOUS` to one or more, which is too few to be sure."""
        book = self.book(rule.metric)
        for way in (Way.VISIT, Way.FIRST):
            bets, _ = book.processes(rule.metric)[way]
            harm, _ = book.channels[rule.metric].harm(bets)
            if harm > 0 and bets.log_evidence >= math.log(SUSPICIOUS):
                return Harmed(harm, way, is_tail=False)
        return None

    def log_evidence(self, metric: Metric) -> float:
        """Log of the largest e-value of a metric, each less the price of its part of the budget."""
        processes = self.book(metric).processes(metric).items()
        return max(bets.log_evidence + math.log(self.parts[way] * part) for way, (bets, part) in processes)

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "comes_back": self.comes_back,
            "books": {name: book.dump() for name, book in self.books.items()},
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Self:
        """What was dumped; units that were booked have to be remembered before an update."""
        return cls({name: Book.load(held) for name, held in state["books"].items()}, state["comes_back"])


def _streams(rules: Sequence[GateRule]) -> dict[str, dict[Metric, float]]:
    """The margins of the metrics that are known with the request, and of each that comes later by itself."""
    streams: dict[str, dict[Metric, float]] = {}
    for rule in rules:
        name = rule.metric.value if rule.metric in RATED_METRICS else _REQUESTS
        streams.setdefault(name, {})[rule.metric] = rule.material
    return streams


def _events(window: Window, name: str) -> Events:
    if name == _REQUESTS:
        return window.requests or NO_EVENTS
    return window.ratings.get(Metric(name), NO_EVENTS)
