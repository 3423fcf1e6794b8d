"""Taking spans into the request log: in one place, so that what is promised to gates and what is written agree."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from softlaunch.inbound.otlp.attribution import SETTLING_SECONDS, Lacking, Placed, Source, of_spans, place, row_of
from softlaunch.inbound.otlp.call_spans import CallSpan
from softlaunch.inbound.otlp.counts import Counts, Verdicts
from softlaunch.inbound.otlp.evaluations import Evaluation, score_of
from softlaunch.inbound.otlp.timeline import Timeline
from softlaunch.ledger.gateways import RECEIVER
from softlaunch.ledger.losses import Cause
from softlaunch.ledger.received import Taken, forget_received, received_until, write_received
from softlaunch.ledger.request_log import HEARD_SECONDS, Heartbeat, ScoreRecord
from softlaunch.store.database import Database
from softlaunch.store.ledger_file import describe_fault

_LOGGER = logging.getLogger(__name__)
_BEAT_SECONDS = 0.5
_FORGET_SECONDS = 3600.0
_MOMENT = 1e-3


@dataclass(frozen=True, slots=True)
class Export:
    """What one export holds of ours, and how much else."""

    calls: Sequence[CallSpan] = ()
    evaluations: Sequence[Evaluation] = ()
    other: int = 0
    lost: Sequence[Taken] = ()
    """Calls of which nothing but their app is known any more; they are counted as missing."""


@dataclass
class Intake:
    """Writes what it is given before it returns, and says at each beat that all that came is written.

    Gates read as far as every receiver has said so, less the time that an app's policy allows for spans to arrive. A
    span that counts before that is late: it is logged, and is no evidence. After a start nothing new is said for
    `catch_up_seconds`: exporters have what they couldn't send meanwhile.
    """

    database: Database
    receiver_id: str
    address: str
    catch_up_seconds: float = 60.0
    """Exporters pause for half a minute between two attempts."""
    wall_clock: Callable[[], float] = time.time
    counts: Counts = field(default_factory=Counts)
    source: Source = of_spans

    def __post_init__(self) -> None:
        """Nothing is read or written yet."""
        self._timeline = Timeline(self.database)
        self._lock = threading.Lock()
        self._started_at = self._promised = self._wrote_at = self.wall_clock()
        self._catches_up_until: float | None = None

    def open(self) -> None:
        """Begin where the receivers before have stopped, with a first beat. Raises SQLAlchemy's errors."""
        before = received_until(self.database, self._started_at)
        if before is not None:
            self._promised, self._catches_up_until = before, self._started_at + self.catch_up_seconds
        self.beat()
        with self._lock:  # until now gates read on without this one
            self._hear_others(self.wall_clock())

    def take(self, export: Export) -> Verdicts:
        """Write an export; everything of it is in the log when this returns. Raises SQLAlchemy's errors."""
        with self._lock:
            now = self.wall_clock()
            self._look(now)
            verdicts = Verdicts(other=export.other)
            taken = [*(one for call in export.calls for one in self._taken(call, now, verdicts)), *export.lost]
            scores = [one for evaluation in export.evaluations for one in self._scores(evaluation, now, verdicts)]
            fresh = self._write(taken, scores, now)
        verdicts.again = len(taken) - len(fresh)
        verdicts.calls = sum(one.row is not None for one in fresh)
        verdicts.late = sum(one.missing is Cause.LATE for one in fresh)
        self.counts.add(verdicts)
        return verdicts

    def beat(self, *, last: bool = False) -> None:
        """Say how far everything is written, and whether that is the end. Raises SQLAlchemy's errors."""
        with self._lock:
            now = self.wall_clock()
            self._look(now)
            self._write((), (), now, stopped_at=now if last else None)

    def _look(self, now: float) -> None:
        """See which splits are in force; and after a silence, how far others have let gates read on."""
        self._timeline.refresh()
        if now - self._wrote_at > HEARD_SECONDS:
            self._hear_others(now)

    def _hear_others(self, now: float) -> None:
        self._promised = max(self._promised, received_until(self.database, now, self.receiver_id) or 0.0)

    def _write(
        self,
        taken: Sequence[Taken],
        scores: Sequence[ScoreRecord],
        now: float,
        stopped_at: float | None = None,
    ) -> list[Taken]:
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

    def _taken(self, call: CallSpan, now: float, verdicts: Verdicts) -> Iterator[Taken]:
        route = self._timeline.now(call.app)
        if route is None:
            verdicts.lacking["", Lacking.APP] += 1
            return
        found = self._place(call, now)
        if isinstance(found, Placed):
            otlp = self.source(found.split.route.serving)
            late = otlp is not None and found.counts_at < self._promised - otlp.behind
            row = row_of(call, found, self.receiver_id, late=late)
            yield Taken(call.key, call.app, row, Cause.LATE if late else None)
            return
        verdicts.lacking[call.app, found] += 1
        if self.source(route.serving) is not None:  # else its gateways log it, and nothing is missing
            yield Taken(call.key, call.app, None, Cause.UNATTRIBUTED)

    def _place(self, call: CallSpan, now: float) -> Placed | Lacking:
        """By the split in force when it began, or by the one before while the app may not have followed."""
        split = self._timeline.at(call.app, call.began)
        found = place(call, split, now, self.source)
        if split is None or isinstance(found, Placed) or found not in {Lacking.CANDIDATE, Lacking.VARIANT}:
            return found
        if call.began - split.since > SETTLING_SECONDS:
            return found
        earlier = place(call, self._timeline.at(call.app, split.since - _MOMENT), now, self.source)
        return earlier if isinstance(earlier, Placed) else found

    def _scores(self, evaluation: Evaluation, now: float, verdicts: Verdicts) -> Iterator[ScoreRecord]:
        if evaluation.failed:
            verdicts.other += 1  # the evaluator failed, and says nothing of the answer
            return
        route = self._timeline.now(evaluation.app)
        if route is None:
            verdicts.lacking["", Lacking.APP] += 1
            return
        found = score_of(evaluation, route.serving.metrics, now)
        if isinstance(found, Lacking):
            verdicts.lacking[evaluation.app, found] += 1
            return
        verdicts.evaluations += 1
        yield found


class Beats:
    """The thread that lets an intake say twice a second how far everything is written."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="softlaunch-otlp", daemon=True)
        self._forgot_at = time.monotonic()
        self.problem = ""
        """Why the ledger can't be written, empty while it can."""

    def start(self) -> None:
        """Begin. Raises SQLAlchemy's errors."""
        self._intake.open()
        self._thread.start()

    def stop(self) -> None:
        """Say that it was the last beat."""
        self._stop.set()
        self._thread.join()
        try:
            self._intake.beat(last=True)
        except SQLAlchemyError as error:
            _LOGGER.warning("the ledger can't be told that this receiver stops: %s", describe_fault(error))

    def _run(self) -> None:
        while not self._stop.wait(_BEAT_SECONDS):
            try:
                self._intake.beat()
                self._forget()
            except Exception as error:  # whatever the database does, the receiver goes on, and says what is wrong
                problem = describe_fault(error)
                if problem != self.problem:
                    _LOGGER.warning("the ledger can't be written; exporters are told to try again: %s", problem)
                self.problem = problem
            else:
                self.problem = ""

    def _forget(self) -> None:
        if time.monotonic() - self._forgot_at > _FORGET_SECONDS:
            self._forgot_at = time.monotonic()
            forget_received(self._intake.database, self._intake.wall_clock())
