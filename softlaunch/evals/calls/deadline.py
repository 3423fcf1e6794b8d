"""Until when calls of an eval may be started, and the thread that makes them while somebody keeps asking for them."""

import threading
from collections.abc import Callable
from time import monotonic

GRACE_SECONDS = 5.0
"""Calls are started for so long after the last wait, so that a driver's short steps don't empty the pipeline."""


class Deadline:
    """Until when calls may be started, on the monotonic clock; it can be moved on while they run."""

    def __init__(self, seconds: float = float("inf")) -> None:
        self.at = monotonic() + seconds

    def move(self, seconds: float) -> None:
        """Let calls start for so many seconds from now; zero or less stops them."""
        self.at = monotonic() + seconds

    @property
    def passed(self) -> bool:
        """Whether no further call may be started."""
        return monotonic() >= self.at


class Worker:
    """A thread that makes calls while its deadline is moved on."""

    def __init__(self, run: Callable[[Deadline], None]) -> None:
        self._until = Deadline(GRACE_SECONDS)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, args=(run,), name="regression-eval", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether calls may still come from it."""
        return self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        """Let it work for so many seconds, or until it has ended; raises what it ended with."""
        self._until.move(seconds + GRACE_SECONDS)
        self._thread.join(seconds)
        if not self.alive and self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Start no more calls, and wait for those under way."""
        self._until.move(0)
        self._thread.join()

    def _work(self, run: Callable[[Deadline], None]) -> None:
        try:
            run(self._until)
        except BaseException as error:  # raised again by whoever waits
            self._error = error
