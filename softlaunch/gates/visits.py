"""Visits: what a unit did in one go. Each unit is evidence once in a while, by the mean of its visit.

Requests of one user resemble each other, so that they aren't as many pieces of evidence; their mean is one, and a
calmer one than any of them.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from softlaunch.gates.observations import Events, Flags, Floats, Units

_RETURNS_TO_SPEAK_OF = 0.05
_SHORTEST_PAUSE, _LONGEST_PAUSE = 2.0, 600.0
_USUAL_PAUSES = 0.95
_PAUSES_OF_A_VISIT = 4.0
_LATE = 16
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class VisitRule:
    """When a visit is over: after `most` requests, `pause` seconds without one, or `age` seconds in all."""

    most: int = 5
    pause: float = _SHORTEST_PAUSE
    age: float = _PAUSES_OF_A_VISIT * _SHORTEST_PAUSE

    @classmethod
    def learn(cls, history: Events) -> Self:
        """The rule for an app whose users came like this: a pause longer than 19 in 20 of theirs ends a visit.

        Where hardly any request is a return, a visit is one request and ends after the shortest pause.
        """
        pauses = _pauses(history)
        if len(pauses) <= _RETURNS_TO_SPEAK_OF * len(history):
            return cls()
        pause = float(np.clip(np.quantile(pauses, _USUAL_PAUSES), _SHORTEST_PAUSE, _LONGEST_PAUSE))
        return cls(pause=pause, age=_PAUSES_OF_A_VISIT * pause)

    @property
    def first(self) -> "VisitRule":
        """The rule for visits that are a unit's first request alone."""
        return VisitRule(1, self.pause, self.age)

    def times(self, requests: int) -> "VisitRule":
        """A rule for visits of so many times as many requests."""
        return VisitRule(self.most * requests, 2 * self.pause, self.age * requests)


def returning(history: Events) -> float:
    """The share of requests, in [0, 1], that came from a unit which had been seen before."""
    return len(_pauses(history)) / max(len(history), 1)


def _pauses(history: Events) -> Floats:
    order = np.lexsort((history.at, history.units))
    units, at = history.units[order], history.at[order]
    return np.asarray(np.diff(at)[units[1:] == units[:-1]])


@dataclass(frozen=True, slots=True, eq=False)
class ByUnit:
    """Events of a window unit by unit, ascending, each unit's in order of time.

    `units`, `start` and `length` have shape (units,), `at` and `candidate` (n,), and `columns` (n, columns), NaN where
    nothing was measured.
    """

    units: Units
    start: Units
    length: Units
    at: Floats
    candidate: Flags
    columns: Floats

    @classmethod
    def of(cls, events: Events, columns: Floats) -> Self:
        """Sort events."""
        order = np.lexsort((events.at, events.units))
        units, start, length = np.unique(events.units[order], return_index=True, return_counts=True)
        return cls(
            units,
            start.astype(np.int64),
            length.astype(np.int64),
            events.at[order],
            events.candidate[order],
            columns[order],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Visits that are over: the arm of each, shape (n,), and its mean of every column, shape (n, columns).

    NaN stands for none. `used` and `ignored` count the requests of the window that belonged to a visit, and the others:
    those of units that were booked already, or are beyond their visit's end.
    """

    candidate: Flags
    means: Floats
    used: int = 0
    ignored: int = 0

    def __len__(self) -> int:
        """How many visits are over."""
        return len(self.candidate)


def _shape(columns: int) -> np.dtype[np.void]:
    """A visit that goes on."""
    return np.dtype(
        [
            ("unit", np.int64),
            ("candidate", np.bool_),
            ("requests", np.int64),
            ("began", np.float64),
            ("latest", np.float64),
            ("sums", np.float64, (columns,)),
            ("counts", np.float64, (columns,)),
        ]
    )


@dataclass(frozen=True, slots=True, eq=False)
class Booked:
    """Units of visits that are over. Both parts are ascending.

    What came lately is apart, so that not a million units are copied for each few.
    """

    early: Units = field(default_factory=lambda: np.empty(0, np.int64))
    late: Units = field(default_factory=lambda: np.empty(0, np.int64))

    def holds(self, units: Units) -> Flags:
        """Whether each unit is among them."""
        return _holds(self.early, units) | _holds(self.late, units)

    def together_with(self, units: Units) -> Self:
        """These and other units, ascending, none of which is among them."""
        late = _merged(self.late, units)
        return type(self)(self.early, late) if len(late) * _LATE < len(self.early) else type(self)(self.all, units)

    @property
    def all(self) -> Units:
        """All of them, ascending."""
        return _merged(self.early, self.late)


@dataclass(slots=True, eq=False)
class Visits:
    """Gathers each unit's requests until its visit is over, and books each unit once, until all may be booked again.

    `booked` are the units of visits that are over, and `open` the visits that go on, ascending by unit.
    """

    rule: VisitRule
    columns: int
    booked: Booked = field(default_factory=Booked)
    open: NDArray[np.void] = field(init=False)

    def __post_init__(self) -> None:
        """No visit goes on."""
        self.open = np.empty(0, _shape(self.columns))

    def take(self, seen: ByUnit, now: float) -> Entries:
        """Fold in what was seen up to `now` (epoch seconds); returns the visits that are over.

        Which requests a visit holds depends on their times alone, not on when somebody looked. It ends where its unit
        appears on the other arm.
        """
        fresh = ~self.booked.holds(seen.units)
        if not (len(self.open) or fresh.any()):
            return Entries(np.empty(0, np.bool_), np.empty((0, self.columns)), 0, int(seen.length.sum()))
        visits, ended, used = self._grown(seen, fresh)
        others = self.open[~_holds(visits["unit"], self.open["unit"])]
        visits = np.concatenate([visits, others])
        over = np.concatenate([ended, np.zeros(len(others), np.bool_)]) | (visits["requests"] >= self.rule.most)
        over |= (now - visits["latest"] >= self.rule.pause) | (now - visits["began"] >= self.rule.age)
        done, going_on = visits[over], visits[~over]
        done = done[np.argsort(done["unit"])]
        self.open = going_on[np.argsort(going_on["unit"])]
        self.booked = self.booked.together_with(done["unit"])
        with np.errstate(invalid="ignore"):
            means = done["sums"] / done["counts"]
        return Entries(done["candidate"], means, used, int(seen.length.sum()) - used)

    def _grown(self, seen: ByUnit, fresh: Flags) -> tuple[NDArray[np.void], Flags, int]:
        """The visits of fresh units with what they did now, whether each ended on the way, and the requests used."""
        length, units = seen.length[fresh], seen.units[fresh]
        visits = self._visits_of(seen, fresh)
        if not len(units):
            return visits, np.empty(0, np.bool_), 0
        start = np.cumsum(length) - length
        row = np.repeat(seen.start[fresh] - start, length) + np.arange(int(length.sum()))
        rank = np.arange(len(row)) - np.repeat(start, length)
        at = seen.at[row]
        before = np.concatenate([[0.0], at[:-1]])
        before[start] = visits["latest"]
        beyond = np.repeat(visits["requests"], length) + rank >= self.rule.most
        beyond |= at - before >= self.rule.pause
        beyond |= at - np.repeat(visits["began"], length) >= self.rule.age
        beyond |= seen.candidate[row] != np.repeat(visits["candidate"], length)
        first_beyond = np.minimum.reduceat(np.where(beyond, rank, _NEVER), start)
        kept = np.minimum(first_beyond, length)
        within = rank < np.repeat(kept, length)
        visit, columns = np.repeat(np.arange(len(units)), length)[within], seen.columns[row[within]]
        known = ~np.isnan(columns)
        visits["sums"] = _added(visits["sums"], visit, np.where(known, columns, 0.0))
        visits["counts"] = _added(visits["counts"], visit, known.astype(np.float64))
        visits["requests"] += kept
        grew = kept > 0
        visits["latest"][grew] = at[(start + kept - 1)[grew]]
        return visits, first_beyond < _NEVER, int(kept.sum())

    def _visits_of(self, seen: ByUnit, fresh: Flags) -> NDArray[np.void]:
        """The visits that go on of the fresh units, and new ones for those that have none."""
        units = seen.units[fresh]
        visits = np.zeros(len(units), _shape(self.columns))
        goes_on = _holds(self.open["unit"], units)
        visits[goes_on] = self.open[np.searchsorted(self.open["unit"], units[goes_on])]
        new = ~goes_on
        earliest = seen.start[fresh][new]
        began = seen.at[earliest]
        for name, values in (("unit", units[new]), ("candidate", seen.candidate[earliest])):
            visits[name][new] = values
        visits["began"][new] = began
        visits["latest"][new] = began
        return visits

    def recall(self, other: Self) -> None:
        """Know what other visits of the same rule know."""
        self.booked, self.open = other.booked, other.open

    def restart(self) -> None:
        """Forget what goes on, and let everybody be booked again."""
        self.booked = Booked()
        self.open = np.empty(0, _shape(self.columns))


def _added(sums: Floats, place: Units, rows: Floats) -> Floats:
    """Sums, shape (visits, columns), with each of the rows, shape (n, columns), added at its place.

    One after the other, so that rounding doesn't depend on how many come at once.
    """
    visits, columns = sums.shape
    cell = (place[:, None] * columns + np.arange(columns)).ravel()
    cells = np.concatenate([np.arange(sums.size), cell])
    added = np.bincount(cells, np.concatenate([sums.ravel(), rows.ravel()]), sums.size)
    return np.asarray(added, np.float64).reshape(visits, columns)


def _merged(ascending: Units, others: Units) -> Units:
    return np.insert(ascending, np.searchsorted(ascending, others), others)


def _holds(ascending: Units, wanted: Units) -> Flags:
    """Whether each wanted unit is among the others."""
    if not len(ascending):
        return np.zeros(len(wanted), np.bool_)
    place = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.asarray(ascending[place] == wanted)
