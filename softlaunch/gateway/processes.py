"""Several gateways behind one port: processes that the kernel shares connections out to, and the one that keeps them.

Each listens by itself (SO_REUSEPORT) and is a gateway of its own in the ledger. One that ends is started again.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from softlaunch.core.errors import SoftlaunchError

_LOGGER = logging.getLogger(__name__)
_SHORT_SECONDS = 5.0
"""A process that lives no longer has hardly begun."""
_MOST_SHORT_LIVES = 5
_LONGEST_PAUSE = 5.0


class ProcessesFailedError(SoftlaunchError):
    """The processes of a gateway ended one after the other as soon as they had begun."""


class Processes:
    """Keeps so many processes running, each of which does `run` with its number, until it is told to stop.

    Made and run in a process without other threads: they are forks of it, so that they share what it has loaded.
    """

    def __init__(self, count: int, run: Callable[[int], None]) -> None:
        self._count = count
        self._run = run
        self._places: dict[int, tuple[int, float]] = {}  # by process id: number, and when it began
        self._stopping = False
        self._short_lives = 0
        self._alive, self._lifeline = os.pipe()  # its end tells the others that this process is gone, however it went

    def keep(self) -> None:
        """Return when all have ended after SIGTERM or SIGINT. Raises ProcessesFailedError."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for place in range(self._count):
            self._start(place)
        while self._places:
            ended, status = os.wait()
            place, began = self._places.pop(ended)
            if not self._stopping:
                self._replace(place, os.waitstatus_to_exitcode(status), time.monotonic() - began)
        if self._short_lives >= _MOST_SHORT_LIVES:
            text = f"{_MOST_SHORT_LIVES} processes of the gateway ended as soon as they had begun; the log says why"
            raise ProcessesFailedError(text)

    def _replace(self, place: int, code: int, lived: float) -> None:
        self._short_lives = self._short_lives + 1 if lived < _SHORT_SECONDS else 0
        how = f"by signal {-code}" if code < 0 else f"with {code}"
        if self._short_lives >= _MOST_SHORT_LIVES:
            _LOGGER.error("process %d of the gateway ended %s; no other is started", place, how)
            self._stop()
            return
        _LOGGER.warning("process %d of the gateway ended %s; another one takes its place", place, how)
        if self._short_lives:
            time.sleep(min(0.1 * 2**self._short_lives, _LONGEST_PAUSE))
        if not self._stopping:
            self._start(place)

    def _start(self, place: int) -> None:
        process = os.fork()
        if process == 0:
            self._be(place)
        self._places[process] = (place, time.monotonic())

    def _be(self, place: int) -> None:
        """Run as one of the processes; never returns."""
        code = 1
        try:
            os.setpgid(0, 0)  # a terminal's Ctrl-C is for the one who keeps us
            os.close(self._lifeline)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            threading.Thread(target=self._end_with_keeper, name="softlaunch-keeper", daemon=True).start()
            self._run(place)
            code = 0
        except KeyboardInterrupt:
            code = 0
        except BaseException:
            _LOGGER.exception("process %d of the gateway failed", place)
        finally:
            logging.shutdown()
            os._exit(code)

    def _end_with_keeper(self) -> None:
        os.read(self._alive, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _stop(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:  # noqa: ARG002
        self._stopping = True
        for process in self._places:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
