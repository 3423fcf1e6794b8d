"""What is on its way to the server: a bounded queue, a thread that sends in batches, and the count of what was lost.

Whoever puts something in never waits. While the server is away the queue goes to disk, and what doesn't fit there any
more is lost, the oldest first, and counted; the count is sent as soon as the server is back, so that gates see it.
"""

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from softlaunch.client.errors import ClientError
from softlaunch.client.pieces import FEEDBACK, RECORDS, Piece, apps_of

if TYPE_CHECKING:
    from softlaunch.client.spool import Spool

_LOGGER = logging.getLogger(__name__)
_MOST_IN_A_BATCH = 200
_BATCH_SECONDS = 0.25
_BACKOFF = (0.25, 10.0)
_ADOPT_SECONDS = 60.0


class RefusedBatchError(ClientError):
    """A server that is there takes a batch by no means; sending it again would change nothing."""


class Post(Protocol):
    """Where pieces go."""

    def __call__(
        self, kind: str, documents: Sequence[dict[str, Any]], lost: Sequence[dict[str, Any]]
    ) -> Sequence[dict[str, Any]]:
        """Send pieces of one kind, and reports of what was lost; returns the pieces to send again later.

        Raises RefusedBatchError, and ClientError where the server can't take them now.
        """


class OutboxLimits(NamedTuple):
    """How much may wait: records in memory, and bytes on disk."""

    in_memory: int = 20_000
    on_disk: int = 256 * 1024 * 1024


LIMITS = OutboxLimits()


class Outbox:
    """Pieces from any thread, sent by one. `lost` counts the records that nobody will ever see, by app."""

    def __init__(
        self,
        post: Post,
        spool: "Spool | None" = None,
        limits: OutboxLimits = LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._post = post
        self._spool = spool
        self._limits = limits
        self._clock = clock
        self._queue: deque[Piece] = deque()
        self._under_way: Sequence[Piece] = ()
        self._lock = threading.Lock()
        self._untold: Counter[str] = Counter()
        self._reports: list[dict[str, Any]] = []
        """Of losses, each with an id of its own, so that one that is sent again counts once."""
        self._retry_at = self._adopt_at = float("-inf")
        self._failures = 0
        self._stop = threading.Event()
        self._awake = threading.Event()
        self._thread: threading.Thread | None = None
        self.lost: Counter[str] = Counter()
        self.problem = ""

    @property
    def waiting(self) -> int:
        """How many pieces wait in memory."""
        return len(self._queue)

    def put(self, kind: str, document: dict[str, Any]) -> None:
        """Let a piece be sent. Where there is no room the oldest one is lost."""
        with self._lock:
            if len(self._queue) >= self._limits.in_memory:
                self._lose(apps_of([self._queue.popleft()]))
            self._queue.append((kind, document))
            if self._thread is None:
                self._start()

    def flush(self, seconds: float) -> bool:
        """Wait until nothing waits any more, at most so long; whether that is so."""
        deadline = time.monotonic() + seconds
        self._awake.set()
        while time.monotonic() < deadline:
            if not (self._queue or self._under_way or self._untold or self._reports or self.problem):
                return True
            time.sleep(0.01)
        return False

    def close(self, seconds: float) -> None:
        """Send what waits, at most for so long; what is left then goes to disk, for the next start."""
        if self._thread is not None:
            self.flush(seconds)
            self._stop.set()
            self._awake.set()
            self._thread.join(timeout=1.0)
        if self._spool is not None:
            with self._lock:  # what is under way still may be there, and counts once all the same
                self._queue.extendleft(reversed(self._under_way))
            self._spill()
            self._spool.close()

    def forget(self, spool: "Spool | None", post: Post) -> None:
        """Be as a fork of the process has to be: what waits is its parent's to send."""
        self._queue, self._under_way, self._lock = deque(), (), threading.Lock()
        self._stop, self._awake, self._thread = threading.Event(), threading.Event(), None
        self._spool, self._post = spool, post
        self._untold, self._reports, self.lost = Counter(), [], Counter()
        self._retry_at = self._adopt_at = float("-inf")

    def turn(self) -> float:
        """Send one batch, if there is one and it is time; returns the seconds until there may be more to do."""
        now = self._clock()
        if self._spool is not None and now >= self._adopt_at:
            self._adopt_at = now + _ADOPT_SECONDS
            self._spool.adopt()
        if now < self._retry_at:
            self._spill(leave=self._limits.in_memory // 10)
            return min(_BATCH_SECONDS, self._retry_at - now)
        from_disk = self._spool.next() if self._spool is not None else []
        pieces = from_disk or self._taken()
        if not pieces and not self._untold and not self._reports:
            return _BATCH_SECONDS
        again, left = self._send(pieces)
        if from_disk and self._spool is not None:
            self._spool.sent(left)
            self._put_back((), again)
        else:
            self._put_back(left, again)
        return 0.0 if not left and (from_disk or len(pieces) == _MOST_IN_A_BATCH) else _BATCH_SECONDS

    def _send(self, pieces: Sequence[Piece]) -> tuple[list[Piece], list[Piece]]:
        """Those that the server wants again later, and those from the first that it couldn't take."""
        again: list[Piece] = []
        batches = list(_batches(pieces)) or [(RECORDS, [])]
        for place, (kind, documents) in enumerate(batches):
            lost = self._report() if kind == RECORDS else []
            try:
                again += [(kind, document) for document in self._post(kind, documents, lost)]
            except RefusedBatchError as error:
                _LOGGER.warning("%d pieces of %s are refused: %s", len(documents), kind, error)
                self._lose(apps_of([(kind, document) for document in documents]))
            except ClientError as error:
                self._fail(error)
                return again, [(kind, document) for kind, some in batches[place:] for document in some]
            else:
                self._reports = [] if lost else self._reports
        if self.problem:
            _LOGGER.warning("records are sent again")
        self.problem, self._failures = "", 0
        return again, []

    def _report(self) -> list[dict[str, Any]]:
        """Reports as they may have been sent already, or new ones once those are confirmed."""
        if not self._reports:
            with self._lock:
                untold, self._untold = self._untold, Counter()
            self._reports = [
                {"id": os.urandom(12).hex(), "app": app, "count": count} for app, count in untold.items() if app
            ]
        return self._reports

    def _fail(self, error: ClientError) -> None:
        if not self.problem:
            _LOGGER.warning("records wait: %s", error)
        self.problem = str(error)
        first, longest = _BACKOFF
        self._retry_at = self._clock() + min(longest, first * 2 ** min(self._failures, 10))
        self._failures += 1

    def _taken(self) -> list[Piece]:
        with self._lock:
            self._under_way = [self._queue.popleft() for _ in range(min(len(self._queue), _MOST_IN_A_BATCH))]
            return self._under_way

    def _put_back(self, left: Sequence[Piece], again: Sequence[Piece]) -> None:
        """What is left goes to the front, and what is tried again later for its own sake behind the others."""
        with self._lock:
            self._under_way = []
            self._queue.extendleft(reversed(left))
            self._queue.extend(again)
            while len(self._queue) > self._limits.in_memory:
                self._lose(apps_of([self._queue.popleft()]))

    def _spill(self, leave: int = 0) -> None:
        """Let all but the newest pieces go to disk."""
        if self._spool is None:
            return
        with self._lock:
            pieces = list(islice(self._queue, max(0, len(self._queue) - leave)))
        if not pieces or not self._spool.put(pieces):
            return
        with self._lock:
            for _ in range(min(len(pieces), len(self._queue))):
                self._queue.popleft()
        self._lose(self._spool.make_room(self._limits.on_disk))

    def _lose(self, lost: Counter[str]) -> None:
        self.lost += lost
        self._untold += lost

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="softlaunch-records", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        stop, awake = self._stop, self._awake
        while not stop.is_set():
            try:
                pause = self.turn()
            except Exception:
                _LOGGER.exception("records can't be sent; they are tried again")
                pause = 1.0
            if pause:
                awake.wait(pause)
                awake.clear()


def _batches(pieces: Sequence[Piece]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Pieces by kind, requests first: what is said of one comes behind it."""
    found = []
    for kind in (RECORDS, FEEDBACK):
        documents = [document for one, document in pieces if one == kind]
        found += [
            (kind, documents[first : first + _MOST_IN_A_BATCH]) for first in range(0, len(documents), _MOST_IN_A_BATCH)
        ]
    return found
