"""Driving on: step after step until a stage, or the whole release, is over."""

import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from softlaunch.ledger.releases import FencedError, read_release
from softlaunch.releases.driver import Driver, Progress
from softlaunch.store.ledger_file import describe_fault

Teller = Callable[[Progress], None]


def drive_stage(
    driver: Driver,
    release_id: str,
    token: int,
    poll_seconds: float,
    tell: Teller,
    complain: Callable[[str], None],
    stop: threading.Event | None = None,
) -> Progress | None:
    """Advance until the stage in force changes or the release ends; returns the last step, None when stopped before.

    `tell` hears of steps that changed something, `complain` once of each outage. While the ledger can't be reached
    the gateways return to stable by themselves; the driver tries on, and goes on if nobody replaced it meanwhile.
    Raises FencedError when somebody did.
    """
    silent = False
    stop = stop or threading.Event()
    while not stop.is_set():
        try:
            progress = driver.advance(release_id, token)
        except SQLAlchemyError as error:
            if not silent:
                complain(f"{describe_fault(error)}; the release holds, and gateways return to stable. Trying on")
            silent = True
        else:
            silent = False
            if progress.changed:
                tell(progress)
            if progress.over or _moved_on(progress):
                return progress
        stop.wait(poll_seconds)
    return None


def _moved_on(progress: Progress) -> bool:
    return progress.next_position != progress.position


def drive(
    driver: Driver,
    release_id: str,
    poll_seconds: float,
    tell: Teller,
    complain: Callable[[str], None],
    stop: threading.Event | None = None,
) -> None:
    """Drive a release to its end, or until stopped, in this process and without Prefect.

    Raises FencedError when somebody else drives it.
    """
    token = driver.take_over(release_id)
    try:
        while True:
            progress = drive_stage(driver, release_id, token, poll_seconds, tell, complain, stop)
            if progress is None or progress.over:
                break
    except FencedError:
        with driver.database.read() as session:
            if read_release(session, release_id).state.live:
                raise
    finally:
        driver.let_go(release_id, token)
