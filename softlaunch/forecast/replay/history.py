"""What a replayed stage knows of stable beforehand: its rows of the stages so far, and when requests come."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from softlaunch.forecast.replay.rows import Rows
from softlaunch.gates.observations import NO_EVENTS, Events, Window
from softlaunch.gates.telemetry import HISTORY_ROWS


@dataclass(slots=True, eq=False)
class StableHistory:
    """Stable's most recent rows of all stages, which a stage begins with.

    A live release knows how often its users come; a file that begins with the release shows it only in what is `ahead`.
    Times and units of requests say nothing about arms, so that they may be known beforehand. `most` rows are kept.
    """

    ahead: Events = NO_EVENTS
    most: int = HISTORY_ROWS
    windows: deque[Window] = field(default_factory=deque)
    count: int = 0

    def add(self, window: Window) -> None:
        """Take in stable's side of a window, and forget the oldest windows that are too many."""
        requests = _of_stable(_requests(window))
        ratings = {metric: _of_stable(events) for metric, events in window.ratings.items()}
        self.windows.append(Window(0.5, stable=window.stable, requests=requests, ratings=ratings, until=window.until))
        self.count += len(requests)
        while self.count - len(_requests(self.windows[0])) >= self.most:
            self.count -= len(_requests(self.windows.popleft()))

    def longer(self) -> Window | None:
        """All of it as one window, without what is ahead; None where no more of it is kept than `window` shows."""
        return _together(list(self.windows)) if self.most > HISTORY_ROWS else None

    def window(self) -> Window:
        """The last of it as one window."""
        together = _together(list(self.windows))
        requests = _requests(together)
        requests = requests.only(np.arange(len(requests))[-HISTORY_ROWS:])
        began = requests.at.min(initial=np.inf)
        ratings = {metric: events.only(events.at >= began) for metric, events in together.ratings.items()}
        to_come = np.flatnonzero(self.ahead.at > together.until)[: HISTORY_ROWS - len(requests)]
        return replace(together, requests=requests.together(self.ahead.only(to_come)), ratings=ratings)


def _together(windows: Sequence[Window]) -> Window:
    if len(windows) < 2:
        return windows[0] if windows else Window(0.5)
    half = len(windows) // 2
    return _together(windows[:half]).merge(_together(windows[half:]))


def _requests(window: Window) -> Events:
    return NO_EVENTS if window.requests is None else window.requests


def _of_stable(events: Events) -> Events:
    return events.only(~events.candidate)


def look_ahead(recorded: Iterable[Rows]) -> tuple[Events, Iterator[Rows]]:
    """When the first requests were made and by whom, without arms and values; and all rows."""
    rest, first, count = iter(recorded), list[Rows](), 0
    while count < HISTORY_ROWS and (rows := next(rest, None)) is not None:
        first.append(rows)
        count += len(rows)
    if not count:
        return NO_EVENTS, iter(first)
    at = np.concatenate([rows.ts for rows in first])[:HISTORY_ROWS]
    units = np.concatenate([rows.units for rows in first])[:HISTORY_ROWS]
    ahead = Events(at, units, np.zeros(len(at), dtype=np.bool_))
    return ahead.only(np.argsort(at, kind="stable")), chain(first, rest)
