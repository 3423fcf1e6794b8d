"""The log sink: a bounded queue between the request path and the thread that writes to the ledger."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count, islice

from softlaunch.gateway.limits import Limits
from softlaunch.gateway.tally import LossAccount, Tally
from softlaunch.gateway.texts import Texts, WaitingText
from softlaunch.ledger.request_log import (
    HEARD_SECONDS,
    BreakerTripRecord,
    Heartbeat,
    PinRecord,
    Record,
    RequestRecord,
    write_batch,
)
from softlaunch.ledger.texts import TextSweep
from softlaunch.store.database import Database
from softlaunch.store.days import DayKeeper
from softlaunch.store.ledger_file import describe_fault

_LOGGER = logging.getLogger(__name__)
_BATCH_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Identity:
    """Which gateway writes a log: its id, and the address under which it is reached."""

    gateway_id: str
    address: str


class LogSink:
    """Takes records from the event loop without ever waiting, and writes them in batches from its own thread.

    A request is announced by `begin`, and closed by `end` together with its rows: in between, and until the rows are
    committed, the watermark stays before its start, for at most `log_hold_seconds`; the row of one that takes longer
    has the watermark's time. What doesn't fit in the queue is counted by app and written to
    `drops` as soon as the database takes it. Every heartbeat says how many requests were begun and how many of them the
    log accounts for; with an `account` the same is kept where the death of this process doesn't reach, and what other
    gateways left behind is counted. `problem` says why nothing can be written, empty while it can.
    """

    def __init__(
        self,
        database: Database,
        *,
        identity: Identity,
        revisions: Callable[[], Mapping[str, int]],
        limits: Limits,
        wall_clock: Callable[[], float] = time.time,
        account: LossAccount | None = None,
    ) -> None:
        self.gateway_id = identity.gateway_id
        self.address = identity.address
        self._database = database
        self._revisions = revisions
        self._limits = limits
        self._wall = wall_clock
        self._clock = LogClock(wall_clock)
        self._lock = threading.Lock()
        self._queue: deque[Record | WaitingText] = deque()
        self.texts = Texts(limits.log_text_bytes)
        self._sweep = TextSweep(database)
        self._drops: Counter[str] = Counter()
        self._tally = Tally(account.own if account else None)
        self._losses = account.others if account else None
        self._reported_at: float | None = None
        self._silent_since: float | None = None
        self._batches = 0
        self._tried: tuple[int, dict[str, int]] | None = None
        self._days = DayKeeper(database)
        self._in_flight: dict[int, float] = {}
        self._tokens = count()
        self._started_at = self._floor = self._promised = self._clock()
        self._wrote_at = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="softlaunch-log", daemon=True)
        self.problem = ""
        self.lost_total: Counter[str] = Counter()
        self.dropped_total: Counter[str] = Counter()
        self.failed_writes = 0

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, a last watermark, and that it was the last. Blocks as long as the database does."""
        self._stop.set()
        self._thread.join()
        if not self._queue and not self.problem:
            self._tally.close()

    @property
    def waiting(self) -> int:
        """Records that aren't written yet."""
        return len(self._queue)

    def begin(self, app: str) -> tuple[int, float]:
        """Announce a request of an app: a token to close it with, and its start in epoch seconds.

        The start never lies before the published watermark, even when the wall clock is set back.
        """
        with self._lock:
            started_at = max(self._clock(), self._floor)
            token = next(self._tokens)
            self._in_flight[token] = started_at
            self._tally.begun(app)
        return token, started_at

    def now(self) -> float:
        """The time by the log's clock, in epoch seconds."""
        with self._lock:
            return self._clock()

    def put(self, *records: Record) -> None:
        """Queue rows of a request that isn't closed yet."""
        with self._lock:
            for record in records:
                self._take(record)

    def put_text(self, text: WaitingText | None) -> None:
        """Queue the texts of a request that isn't closed yet, where it has any and there is room for them."""
        if text is None or text.record is None:
            return
        with self._lock:
            if self.texts.admit(text, full=len(self._queue) >= self._limits.log_rows):
                self._queue.append(text)

    def put_feedback(self, *records: Record) -> bool:
        """Queue ratings, or refuse them all (false) when the queue is full: their sender can try again."""
        with self._lock:
            if len(self._queue) + len(records) > self._limits.log_rows:
                return False
            self._queue.extend(records)
            return True

    def end(self, token: int) -> None:
        """Close a request: everything about it has been put."""
        with self._lock:
            self._in_flight.pop(token, None)

    def drop(self, app: str) -> None:
        """Count a request that ended without a row."""
        with self._lock:
            self._count_drop(app)

    def _take(self, record: Record) -> None:
        if len(self._queue) >= self._limits.log_rows and not isinstance(record, BreakerTripRecord):
            if not isinstance(record, PinRecord):
                self._count_drop(record.app)
            return
        if isinstance(record, RequestRecord):
            self._tally.ended(record.app)
            if record.started_at < self._promised:  # it took longer than the log waits
                record = record._replace(started_at=self._promised)
        self._queue.append(record)

    def _count_drop(self, app: str) -> None:
        self._tally.ended(app)
        self._drops[app] += 1
        self.dropped_total[app] += 1

    def _run(self) -> None:
        self._try_to_write()  # whoever asks which gateways run hears of this one from the beginning
        while not self._stop.wait(_BATCH_SECONDS):
            if self._queue or self._drops or time.monotonic() - self._wrote_at >= self._limits.heartbeat_seconds:
                self._try_to_write()
            self._look_for_the_dead()
            self._delete_expired_texts()
            self._make_days()
        while self._try_to_write() and self._queue:
            pass
        self.texts.redaction.close()

    def _look_for_the_dead(self) -> None:
        """Count what gateways that died had not written; where the ledger can't be asked, the writing says so."""
        if self._losses is None or self.problem:
            return
        try:
            found = self._losses.look(self._wall())
        except Exception as error:  # neither answers nor the log wait for it; the next look tries again
            _LOGGER.debug("what other gateways left behind can't be counted: %s", describe_fault(error))
            return
        for loss in found:
            self.lost_total[loss.app] += loss.count
            _LOGGER.warning(loss.sentence)

    def _delete_expired_texts(self) -> None:
        """A gateway runs wherever texts are written, so that none outlives its time by much."""
        if self.problem:
            return
        try:
            self._sweep.look(self._wall())
        except Exception as error:  # neither answers nor the log wait for it; the next look tries again
            _LOGGER.warning("texts whose time is over can't be deleted: %s", describe_fault(error))

    def _make_days(self) -> None:
        """Rows whose day isn't made yet are kept with those of other such days, and moved when it is."""
        if self.problem:
            return
        try:
            self._days.look(self._wall(), time.monotonic())
        except Exception as error:  # neither answers nor the log wait for it; the next look tries again
            _LOGGER.warning("the request log's partitions can't be made ahead: %s", describe_fault(error))

    def _try_to_write(self) -> bool:
        try:
            self._write()
        except Exception as error:  # whatever the database does, answers go on: the rows wait, the bound holds
            self.failed_writes += 1
            self._warn_once(error)
            return False
        if self.problem:
            _LOGGER.warning("the request log can be written again")
            self.problem = ""
        return True

    def _warn_once(self, error: Exception) -> None:
        """Log a problem once, until it changes."""
        problem = describe_fault(error)
        if problem != self.problem:
            self.problem = problem
            _LOGGER.warning("the request log can't be written (%d rows wait); answers go on: %s", self.waiting, problem)

    def _oldest(self, now: float) -> float:
        """The start of the oldest request under way that the log still waits for; now where there is none."""
        waits_from = now - self._limits.log_hold_seconds
        return max(self._floor, min((at for at in self._in_flight.values() if at >= waits_from), default=now))

    def _write(self) -> None:
        with self._lock:
            batch, drops = self._next_batch()
            now = max(self._clock(), self._floor)
            more_wait = len(self._queue) > len(batch)
            floor = self._promised = self._floor if more_wait else self._oldest(now)
            logged = Counter(record.app for record in batch if isinstance(record, RequestRecord))
            logged.update(drops)
            counts = self._tally.report(logged)
        rows = list(self.texts.ready(batch))
        wall = self._wall()
        if self._reported_at is not None and wall - self._reported_at > HEARD_SECONDS:
            self._silent_since = self._reported_at
        heartbeat = Heartbeat(
            self.gateway_id,
            self.address,
            self._started_at,
            wall,
            floor,
            self._revisions(),
            stopped_at=wall if self._stop.is_set() else None,
            counts=counts,
            silent_since=self._silent_since,
            batch=self._batches + 1,
        )
        written = write_batch(self._database, rows, drops, heartbeat)
        self._note_lost(written.lost)
        with self._lock:
            self._batches += 1
            self._tried = None
            self._forget(batch)
            self._drops.subtract(drops)
            self._drops += Counter()  # keeps positive counts only
            self._tally.written(logged)
            self.dropped_total.update(written.refused)
            self._floor = floor
            self._wrote_at = time.monotonic()
            self._reported_at = wall
            self._silent_since = self._silent_since if more_wait else None

    def _next_batch(self) -> tuple[list[Record | WaitingText], dict[str, int]]:
        """What is to be written: the very same until it is known to be in the ledger, however often it is tried."""
        if self._tried is None:
            self._tried = min(len(self._queue), self._limits.log_batch_rows), dict(self._drops)
        rows, drops = self._tried
        return list(islice(self._queue, rows)), drops

    def _note_lost(self, lost: Mapping[str, int]) -> None:
        """Say what the database doesn't have any more of what it had taken."""
        self.lost_total.update(lost)
        for app, requests in lost.items():
            _LOGGER.warning(
                "the ledger went back in time: of %s it had taken %d requests that it hasn't got any more; they are "
                "counted as lost",
                app,
                requests,
            )

    def _forget(self, batch: list[Record | WaitingText]) -> None:
        """Take what was written off the queue."""
        for record in batch:
            self._queue.popleft()
            if isinstance(record, WaitingText):
                self.texts.written(record)
                if record.record is not None:
                    self._sweep.note_written(record.record)


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
