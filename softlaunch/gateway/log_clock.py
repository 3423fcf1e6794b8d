"""The time that the request log goes by: the wall clock's, except that it never goes back."""

import time
from collections.abc import Callable

_SPEED_BEHIND = 0.5


class LogClock:
    """Epoch seconds that only grow.

    Whoever reads the log asks for what came after a moment: rows dated before it would never be read, and a candidate
    would be served for as long unseen. So while the wall clock is behind, because it was set back, this clock goes on
    at half speed until the wall clock has caught up. Where the wall clock jumps forward, it jumps with it.
    """

    def __init__(self, wall: Callable[[], float], ticks: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._ticks = ticks
        self._shown = wall()
        self._ticked = ticks()

    def __call__(self) -> float:
        """The time."""
        wall, ticked = self._wall(), self._ticks()
        if wall >= self._shown:
            self._shown = wall
        else:
            self._shown += (ticked - self._ticked) * _SPEED_BEHIND
        self._ticked = ticked
        return self._shown
