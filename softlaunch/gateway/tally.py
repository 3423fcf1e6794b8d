"""How many requests of each app a gateway has begun, and how many of them its log accounts for."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from softlaunch.ledger.counters import CounterFile
from softlaunch.ledger.losses import LossWatch

_RATE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LossAccount:
    """What makes a death count: this gateway's own file, where there is one, and the look at what others left."""

    own: CounterFile | None
    others: LossWatch


class Tally:
    """Counts by app, copies included, since the gateway started; kept in a file besides where there is one.

    Not thread-safe: whoever owns it holds a lock.
    """

    def __init__(self, file: CounterFile | None = None, ticks: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._ticks = ticks
        self._begun: Counter[str] = Counter()
        self._logged: Counter[str] = Counter()
        self._rates: dict[str, float] = {}
        self._before: Counter[str] = Counter()
        self._before_at = ticks()

    def begun(self, app: str) -> None:
        """A request begins."""
        self._begun[app] += 1
        if self._file is not None:
            self._file.begun(app)

    def ended(self, app: str) -> None:
        """A request's row waits to be written, or to be counted as dropped."""
        if self._file is not None:
            self._file.ended(app)

    def report(self, logged: Mapping[str, int]) -> dict[str, dict[str, float]]:
        """What is reported to the ledger: requests begun, those that a batch accounts for, and those begun a second."""
        now = self._ticks()
        if now - self._before_at >= _RATE_SECONDS:
            passed, self._before_at = now - self._before_at, now
            self._rates = {app: round((begun - self._before[app]) / passed, 3) for app, begun in self._begun.items()}
            self._before = self._begun.copy()
        return {
            app: {
                "begun": begun,
                "logged": self._logged[app] + logged.get(app, 0),
                "per_second": self._rates.get(app, 0.0),
            }
            for app, begun in self._begun.items()
        }

    def written(self, logged: Mapping[str, int]) -> None:
        """A batch is committed."""
        self._logged.update(logged)

    def close(self) -> None:
        """Everything is accounted for."""
        if self._file is not None:
            self._file.remove()
            self._file = None
