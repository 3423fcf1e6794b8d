"""Driving several releases on at once in one process, each in a thread of its own."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from softlaunch.ledger.releases import FencedError
from softlaunch.releases.driver import Driver
from softlaunch.releases.run import Teller, drive


@dataclass(slots=True)
class Drives:
    """The releases that this process drives; `say` hears of what goes wrong."""

    driver: Driver
    poll_seconds: float
    tell: Teller
    say: Callable[[str], None]
    _threads: dict[str, threading.Thread] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def begin(self, release_id: str) -> None:
        """Go on with a release, unless this process does so already."""
        if self.under_way(release_id):
            return
        thread = threading.Thread(target=self._drive, args=(release_id,), name=f"drive {release_id}", daemon=True)
        self._threads[release_id] = thread
        thread.start()

    def under_way(self, release_id: str) -> bool:
        """Whether this process drives a release."""
        thread = self._threads.get(release_id)
        return thread is not None and thread.is_alive()

    def wait(self) -> None:
        """Return when every release is over, or driven by somebody else."""
        for thread in list(self._threads.values()):
            thread.join()

    def stop(self) -> None:
        """Let every release go, so that the next driver begins at once."""
        self._stop.set()
        self.wait()

    def _drive(self, release_id: str) -> None:
        try:
            drive(self.driver, release_id, self.poll_seconds, self.tell, self.say, self._stop)
        except FencedError as error:
            self.say(f"{error}.")
        except Exception as error:  # one release that can't be driven must not keep others from it
            self.say(f"{release_id} can't be driven on here: {error.__class__.__name__}: {error}")
