"""The loop that drives releases: step after step until a stage, or the whole release, is over."""

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
