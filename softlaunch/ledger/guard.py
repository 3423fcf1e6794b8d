"""Looking after the ledger while a release is driven: whether its pages are whole, and what dead gateways lost."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from softlaunch.ledger.losses import LossWatch
from softlaunch.store.database import Database
from softlaunch.store.ledger_file import LedgerChangedError, find_damage

_CHECK_SECONDS = 2.0
_LEAST_PAUSE = 10.0
_PAUSE_PER_SECOND = 100.0


@dataclass(slots=True)
class Guard:
    """What a driver asks before it looks at traffic.

    SQLite's pages are checked every ten seconds, or so seldom that it takes a hundredth of the time; a ledger that
    isn't checked within two seconds counts as whole. Damage that was found stays until a later check finds none.
    """

    database: Database
    losses: LossWatch
    ticks: Callable[[], float] = time.monotonic
    _due: float = field(default=float("-inf"))
    _damage: str | None = None

    def look(self, now: float) -> None:
        """Count what was lost, and raise LedgerChangedError where the ledger can't be trusted."""
        began = self.ticks()
        if self.database.path is not None and began >= self._due:
            self.database.check()
            self._damage = find_damage(self.database.path, _CHECK_SECONDS)
            ended = self.ticks()
            self._due = ended + max(_LEAST_PAUSE, _PAUSE_PER_SECOND * (ended - began))
        if self._damage is not None:
            raise LedgerChangedError(self._damage)
        self.losses.look(now)
