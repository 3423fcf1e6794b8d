"""When units are evidence: the four ways, how a budget is divided over them, and the rounds in which it is spent.

*First*: each unit once a stage, by its first request, for immediate harm. *Visit*: each unit once a stage, by the mean
of its first visit. *Rounds*: each unit once a round, so that harm which begins late is seen in the rounds after it;
*long rounds* gather more requests of each unit, for harm that is small and steady.

Within one of these processes a unit enters once, so its arm is a fresh draw of the hash. Between them the same draw is
used again: they are e-processes in different filtrations, which may be neither averaged nor multiplied under continuous
looks (Choe & Ramdas 2024, arXiv 2402.09698). So the budget is divided: by the union bound, the chance that any of them
ever exceeds one over its own part is at most the whole.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, assert_never

from scipy.special import zeta

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Per
from softlaunch.gates.bets import Bets
from softlaunch.gates.visits import Entries, Visits


class Way(StrEnum):
    """When a unit is evidence."""

    FIRST = "first"
    VISIT = "visit"
    ROUND = "round"
    LONG = "long"

    @property
    def words(self) -> str:
        """Whose harm it is, for a reason."""
        match self:
            case Way.FIRST:
                return " in users' first requests"
            case Way.VISIT:
                return " in users' first visits"
            case Way.ROUND | Way.LONG:
                return " lately, in users who came back"
            case _:
                assert_never(self)

    def words_per(self, per: Per) -> str:
        """The same of a gate that counts these: first visits are of one session, or of one period."""
        if per is Per.REQUEST or self in {Way.ROUND, Way.LONG}:
            return self.words
        return f" in users' first {per.counted.removeprefix('user ')}"


RETURNING = {Way.FIRST: 0.22, Way.VISIT: 0.28, Way.ROUND: 0.35, Way.LONG: 0.15}
"""Parts of a gate's budget where users come back."""
PASSING_BY = {Way.FIRST: 0.75, Way.VISIT: 0.13, Way.ROUND: 0.09, Way.LONG: 0.03}
"""Parts of a gate's budget where hardly anybody does."""
_DECAY = 1.25
ENOUGH_CANDIDATES = 10
"""Candidate's units that a round needs before it tells anything."""
_OLDER = 1.5


def round_part(number: int) -> float:
    """The part of its kind's budget that a round may spend, counted from one; all of them add up to one."""
    return float(number**-_DECAY / zeta(_DECAY))


@dataclass(slots=True, eq=False)
class Once:
    """Visits of which each unit has one a stage, and the bets on them."""

    visits: Visits
    bets: dict[Metric, Bets]


@dataclass(slots=True, eq=False)
class Rounds:
    """Rounds of one length: the bets of the one that runs, and of the one before it.

    A round ends when most of what comes is of units that it has booked already, or when it has grown old: both are
    decided on all requests without regard to arms.
    """

    visits: Visits
    bets: dict[Metric, Bets]
    old: float
    number: int = 1
    began: float = -math.inf
    used: int = 0
    ignored: int = 0
    booked: int = 0
    last: dict[Metric, Bets] = field(default_factory=dict)

    def count(self, entries: Entries) -> None:
        """Take in what a window brought."""
        self.used += entries.used
        self.ignored += entries.ignored
        self.booked += len(entries)

    def turn(self, share: float, now: float, fresh: dict[Metric, Bets]) -> None:
        """Begin the next round, with fresh bets, if it is time."""
        enough = self.ignored >= self.used and share * self.booked >= ENOUGH_CANDIDATES
        saturated = enough or self.ignored >= 4 * max(self.used, 1)
        if not saturated and self.booked < self.old:
            return
        if not saturated:
            self.old *= _OLDER
        self.visits.restart()
        self.number, self.began = self.number + 1, now
        self.used = self.ignored = self.booked = 0
        self.last, self.bets = self.bets, fresh

    def dump(self) -> dict[str, Any]:
        """The state as JSON values, without the units."""
        return {
            "old": self.old,
            "number": self.number,
            "began": self.began if math.isfinite(self.began) else None,
            "counts": [self.used, self.ignored, self.booked],
            "bets": dump_bets(self.bets),
            "last": dump_bets(self.last),
        }


def dump_bets(bets: Mapping[Metric, Bets]) -> dict[str, Any]:
    """Each metric's bets as JSON values."""
    return {metric.value: one.dump() for metric, one in bets.items()}
