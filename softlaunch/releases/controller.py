"""The loop that drives releases: step after step until a stage, or the whole release, is over; one or several."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from softlaunch.ledger.releases import FencedError, read_release
from softlaunch.releases.driver import Driver, Progress
from softlaunch.store.ledger_file import describe_fault


def _ignore(_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Controller:
    """Drives releases in the thread that calls it, without Prefect.

    poll_seconds: the pause between two steps. `report` gets every step that changed something, `warn` one sentence for
    each outage. `stop` ends the loop after the step under way.
    """

    driver: Driver
    poll_seconds: float
    report: Callable[[Progress], None] = _ignore
    warn: Callable[[str], None] = _ignore
    stop: threading.Event = field(default_factory=threading.Event)

    def run_stage(self, release_id: str, token: int) -> Progress | None:
        """Advance until the stage in force changes or the release ends; returns the last step, or None if stopped.

        While the ledger can't be reached the gateways return to stable by themselves. The driver keeps trying, and
        resumes if nobody replaced it meanwhile. Raises FencedError when somebody did.
        """
        is_down = False
        while not self.stop.is_set():
            try:
                progress = self.driver.advance(release_id, token)
            except SQLAlchemyError as error:
                if not is_down:
                    self.warn(
                        f"{describe_fault(error)}; the release holds, and gateways return to stable. Trying again"
                    )
                is_down = True
            else:
                is_down = False
                if progress.changed:
                    self.report(progress)
                if progress.over or progress.next_position != progress.position:
                    return progress
            self.stop.wait(self.poll_seconds)
        return None

    def run(self, release_id: str) -> None:
        """Drive a release to its end, or until stopped. Raises FencedError when somebody else drives it."""
        token = self.driver.acquire_lease(release_id)
        try:
            while True:
                progress = self.run_stage(release_id, token)
                if progress is None or progress.over:
                    break
        except FencedError:
            with self.driver.database.read() as session:
                if read_release(session, release_id).state.live:
                    raise
        finally:
            self.driver.release_lease(release_id, token)


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
        """Return when every release is over, or has another driver."""
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
