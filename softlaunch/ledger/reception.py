"""Taking what others tell of requests that they served, in one place with what is promised to gates."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from softlaunch.ledger.gateways import RECEIVER
from softlaunch.ledger.received import Taken, forget_received, received_until, write_received
from softlaunch.ledger.request_log import HEARD_SECONDS, Heartbeat, ScoreRecord
from softlaunch.ledger.timeline import Timeline
from softlaunch.policy.sources import OtlpPolicy
from softlaunch.store.database import Database
from softlaunch.store.days import DayKeeper
from softlaunch.store.ledger_file import describe_fault

_LOGGER = logging.getLogger(__name__)
_BEAT_SECONDS = 0.5
_FORGET_SECONDS = 3600.0


@dataclass
class Reception:
    """Writes what it is given before it returns, and says at each beat that all that came is written.

    Gates read as far as every receiver has said so, less the time that an app's policy allows for what is told to
    arrive. What counts before that is late: it is logged, and is no evidence. After a start nothing new is said for
    `catch_up_seconds`: whoever tells has what couldn't be sent meanwhile.
    """

    database: Database
    receiver_id: str
    address: str
    catch_up_seconds: float = 60.0
    """Exporters pause for half a minute between two attempts."""
    wall_clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        """Nothing is read or written yet."""
        self.timeline = Timeline(self.database)
        self.lock = threading.Lock()
        """Held by whoever looks or writes."""
        self.apps: frozenset[str] = frozenset()
        """Those that were known at the last look; may be read without the lock."""
        self._started_at = self._promised = self._wrote_at = self.wall_clock()
        self._catches_up_until: float | None = None

    def open(self) -> None:
        """Begin where the receivers before have stopped, with a first beat. Raises SQLAlchemy's errors."""
        before = received_until(self.database, self._started_at)
        if before is not None:
            self._promised, self._catches_up_until = before, self._started_at + self.catch_up_seconds
        self.beat()
        with self.lock:  # until now gates read on without this one
            self._hear_others(self.wall_clock())

    def beat(self, *, last: bool = False) -> None:
        """Say how far everything is written, and whether that is the end. Raises SQLAlchemy's errors."""
        with self.lock:
            now = self.wall_clock()
            self.look(now)
            self.write((), (), now, stopped_at=now if last else None)

    def look(self, now: float) -> None:
        """See which splits are in force; and after a silence, how far others have let gates read on."""
        self.timeline.refresh()
        self.apps = self.timeline.apps
        if now - self._wrote_at > HEARD_SECONDS:
            self._hear_others(now)

    def is_late(self, counts_at: float, otlp: OtlpPolicy) -> bool:
        """Whether gates may have read on without what counts at this moment."""
        return counts_at < self._promised - otlp.behind

    def write(
        self, taken: Sequence[Taken], scores: Sequence[ScoreRecord], now: float, stopped_at: float | None = None
    ) -> list[Taken]:
        """Write all of it with a beat; returns what hadn't been taken before. Raises SQLAlchemy's errors."""
        catches_up = self._catches_up_until is not None and now < self._catches_up_until
        self._promised = self._promised if catches_up else max(self._promised, now)  # kept even if no word comes back
        fresh = write_received(
            self.database,
            taken,
            scores,
            Heartbeat(
                self.receiver_id,
                self.address,
                self._started_at,
                now,
                self._promised,
                stopped_at=stopped_at,
                kind=RECEIVER,
            ),
        )
        self._wrote_at = now
        return fresh

    def _hear_others(self, now: float) -> None:
        self._promised = max(self._promised, received_until(self.database, now, self.receiver_id) or 0.0)


class Beats:
    """The thread that lets a receiver say twice a second how far everything is written."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="softlaunch-received", daemon=True)
        self._forgot_at = time.monotonic()
        self._days = DayKeeper(reception.database)
        self.problem = ""
        """Why the ledger can't be written, empty while it can."""

    def start(self) -> None:
        """Begin. Raises SQLAlchemy's errors."""
        self._reception.open()
        self._thread.start()

    def stop(self) -> None:
        """Say that it was the last beat."""
        self._stop.set()
        self._thread.join()
        try:
            self._reception.beat(last=True)
        except SQLAlchemyError as error:
            _LOGGER.warning("the ledger can't be told that this receiver stops: %s", describe_fault(error))

    def _run(self) -> None:
        while not self._stop.wait(_BEAT_SECONDS):
            try:
                self._reception.beat()
                self._forget()
            except Exception as error:  # whatever the database does, the receiver goes on, and says what is wrong
                problem = describe_fault(error)
                if problem != self.problem:
                    _LOGGER.warning("the ledger can't be written; who sends is told to try again: %s", problem)
                self.problem = problem
            else:
                self.problem = ""
                self._make_days()

    def _make_days(self) -> None:
        """Rows whose day isn't made yet are kept with those of other such days; the next look tries again."""
        try:
            self._days.look(self._reception.wall_clock(), time.monotonic())
        except SQLAlchemyError as error:
            _LOGGER.warning("the request log's partitions can't be made ahead: %s", describe_fault(error))

    def _forget(self) -> None:
        if time.monotonic() - self._forgot_at > _FORGET_SECONDS:
            self._forgot_at = time.monotonic()
            forget_received(self._reception.database, self._reception.wall_clock())
