"""Several controllers in one process, each in a thread of its own."""

import threading
from dataclasses import dataclass, field

from softlaunch.ledger.releases import FencedError
from softlaunch.releases.controller import Controller


@dataclass(slots=True)
class Controllers:
    """The releases that this process drives, all in the way of one controller."""

    controller: Controller
    _threads: dict[str, threading.Thread] = field(default_factory=dict)

    def begin(self, release_id: str) -> None:
        """Resume a release, unless this process drives it already."""
        if self.is_driving(release_id):
            return
        thread = threading.Thread(target=self._run, args=(release_id,), name=f"drive {release_id}", daemon=True)
        self._threads[release_id] = thread
        thread.start()

    def is_driving(self, release_id: str) -> bool:
        """Whether this process drives a release."""
        thread = self._threads.get(release_id)
        return thread is not None and thread.is_alive()

    def wait(self) -> None:
        """Return when every release is over, or driven by somebody else."""
        for thread in list(self._threads.values()):
            thread.join()

    def stop(self) -> None:
        """Release every lease, so that the next driver begins at once."""
        self.controller.stop.set()
        self.wait()

    def _run(self, release_id: str) -> None:
        warn = self.controller.warn
        try:
            self.controller.run(release_id)
        except FencedError as error:
            warn(f"{error}.")
        except Exception as error:  # one release that can't be driven must not keep others from it
            warn(f"{release_id} can't be driven here: {error.__class__.__name__}: {error}")
