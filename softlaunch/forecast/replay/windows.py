"""Rows in time order become windows: what a gate sees between one look and the next."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

import numpy as np

from softlaunch.forecast.replay.rows import Rows, SamplesError, joined
from softlaunch.forecast.replay.stages import candidate_share
from softlaunch.gates.observations import Floats
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage

_FIRST_SECONDS = 2.0  # as often as a live release is looked at
_LONGEST_SECONDS = 60.0  # within a minute traffic doesn't drift to speak of
_FIRST_ROWS = 500
_CANDIDATES_A_LOOK = 20
_GROWTH = 50


@dataclass(frozen=True, slots=True)
class Looks:
    """When a window closes: after `seconds` of the rows' own time or after `rows` requests, whichever comes first.

    Left out, a window is short at first, so that a harmful candidate is met by few: 2 s, and the rows that bring 20 of
    the candidate's requests, at most 500. It grows to a fiftieth of the stage so far, in time to a minute at most: what
    is found late in a long stage is found with 2 % more requests, and ten million rows need thousands of looks instead
    of a hundred thousand. Limits depend on what came before the window only, as its bets do.
    """

    seconds: float | None = None
    rows: int | None = None

    @property
    def lateness(self) -> float:
        """How many seconds a row may be late."""
        return _FIRST_SECONDS if self.seconds is None else self.seconds

    def longest(self, lasted: float) -> float:
        """How many seconds the next window of a stage may last, `lasted` seconds after the stage began."""
        if self.seconds is not None:
            return self.seconds
        return min(max(lasted / _GROWTH, _FIRST_SECONDS), _LONGEST_SECONDS)

    def most(self, share: float, seen: int) -> int:
        """How many rows the next window of a stage may hold, after `seen` rows of it."""
        if self.rows is not None:
            return self.rows
        return max(min(_FIRST_ROWS, int(np.ceil(_CANDIDATES_A_LOOK / share))), seen // _GROWTH)


@dataclass(slots=True, eq=False)
class Cutter:
    """Cuts rows into windows, whatever stretches they come in. Rows may be a little late: `looks.lateness`."""

    policy: Policy
    looks: Looks
    peak: float = -inf
    stage: Stage | None = None
    seen: int = 0
    left_out: int = 0
    ended: dict[str, tuple[int, float]] = field(default_factory=dict)
    _parts: list[Rows] = field(default_factory=list)
    _held: int = 0
    _began: float = inf
    _closes: float = inf

    def cut(self, rows: Rows) -> Iterator[Rows]:
        """Windows that these rows complete; an empty stretch completes none. Raises SamplesError."""
        clock = np.maximum.accumulate(np.concatenate([[self.peak], rows.ts]))[1:]
        if not len(rows):
            return
        self._check_order(rows, clock)
        self.peak = float(clock[-1])
        if self._is_left_out(rows):
            self.left_out += len(rows)
            return
        if rows.stage != self.stage:
            yield from self._enter(rows)
        yield from self._fill(rows, clock)

    def rest(self) -> Iterator[Rows]:
        """The window that the end of the file closes."""
        yield from self._close()

    def _fill(self, rows: Rows, clock: Floats) -> Iterator[Rows]:
        start = 0
        while start < len(rows):
            if self._held and clock[start] >= self._closes:
                yield from self._close()
            if not self._held:
                opened = float(clock[start])
                self._began = min(self._began, opened)
                self._closes = opened + self.looks.longest(opened - self._began)
            in_time = int(np.searchsorted(clock, self._closes))
            end = min(in_time, start + self._room())
            self._parts.append(rows.part(start, end))
            self._held += end - start
            start = end
            if not self._room():
                yield from self._close()

    def _room(self) -> int:
        share = 1.0 if self.stage is None else candidate_share(self.policy, self.stage)
        return self.looks.most(share, self.seen) - self._held

    def _close(self) -> Iterator[Rows]:
        if self._held:
            window = joined(self._parts)
            self.seen += self._held
            self._parts, self._held = [], 0
            yield window

    def _enter(self, rows: Rows) -> Iterator[Rows]:
        """End what was in force because another stage begins with these rows."""
        yield from self._close()
        if self.stage is not None:
            self.ended[self.stage.name] = (rows.first, float(rows.ts[0]))
        self.stage, self.seen, self._began = rows.stage, 0, inf

    def _is_left_out(self, rows: Rows) -> bool:
        """Whether rows are of no use: no candidate was in force any more, or their stage has just ended.

        Several gateways take up a weight within moments of each other. Raises SamplesError for a stage that comes back.
        """
        if rows.stage is None or rows.stage.name not in self.ended:
            return rows.stage is None and self.stage is not None
        row, moment = self.ended[rows.stage.name]
        if float(rows.ts.max()) <= moment + self.looks.lateness:
            return True
        raise SamplesError(
            f"{rows.place(0)}: it is of {rows.stage.name}, which had ended at row {row}; "
            "a release doesn't go back, so put each release into a file of its own"
        )

    def _check_order(self, rows: Rows, clock: Floats) -> None:
        late = rows.ts < clock - self.looks.lateness
        if late.any():
            position = int(np.argmax(late))
            behind = float(clock[position] - rows.ts[position])
            raise SamplesError(
                f"{rows.place(position)}, column ts: it is {behind:,.1f} s earlier than a row before it; expected rows "
                f"in order of time, within {self.looks.lateness:g} s: sort the file by ts"
            )
