"""Functions called with limits on time and memory, in a process of their own that is ended when it passes them.

A regular expression that backtracks for ever holds the interpreter and hears no signal, so nothing inside the process
can end it. What other people wrote (patterns, schemas, metrics of their packages) is therefore run over here, on what
models answered. The helper begins with the first call, in about 30 ms, and serves all of them, 50 to 100 us each.
"""

import atexit
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from softlaunch.core import bounded_worker
from softlaunch.core.bounded_worker import HEAD, IMPORT_SECONDS
from softlaunch.core.errors import SoftlaunchError

Returned = TypeVar("Returned")

_GRACE_SECONDS = 5.0  # for a helper that can't even be ended by its own clock, because it is stopped
_TIMES = {-signal.SIGPROF, -signal.SIGALRM}


class BeyondLimitsError(SoftlaunchError):
    """Something took more time or memory than it may; the message says how much it had."""


class Helper:
    """A process that calls functions, one after another, each within limits. Threads may share it.

    `cpu_seconds` is the processor's time, which doesn't depend on what else the machine does, and `wall_seconds` the
    clock's. `memory_bytes` is what the process may hold in all.
    """

    def __init__(self, cpu_seconds: float, wall_seconds: float, memory_bytes: int) -> None:
        self.cpu_seconds = cpu_seconds
        self.wall_seconds = wall_seconds
        self.memory_bytes = memory_bytes
        self._forget()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def _forget(self) -> None:
        """A fork has a helper of its own: two who talk to one would get each other's answers."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._writes = self._reads = -1

    def call(self, function: Callable[..., Returned], *arguments: Any) -> Returned:
        """What the function returns or raises. It belongs to a module, and everything can be pickled.

        Raises BeyondLimitsError where it takes too long or too much memory, or ends the process; the next call has a
        new one. Within such a process the function is simply called.
        """
        if bounded_worker.inside:
            return function(*arguments)
        asked = pickle.dumps((function, arguments))
        with self._lock:
            try:
                returned, value = pickle.loads(self._ask(asked))  # noqa: S301  (our own process wrote it)
            except BaseException:  # an answer that nobody waited for must not become that of the next call
                self._end()
                raise
        if returned:
            return value  # type: ignore[no-any-return]
        if isinstance(value, MemoryError):
            raise BeyondLimitsError(f"it takes more memory than {self.memory_bytes / 2**20:,.0f} MB")
        raise value

    def close(self) -> None:
        """End the process; a later call begins another one."""
        with self._lock:
            self._end()

    def _ask(self, asked: bytes) -> bytes:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._begin()
        until = monotonic() + IMPORT_SECONDS + self.wall_seconds + _GRACE_SECONDS
        self._send(HEAD.pack(len(asked)) + asked, until)
        return self._receive(HEAD.unpack(self._receive(HEAD.size, until))[0], until)

    def _begin(self) -> None:
        reads, self._writes = os.pipe()
        self._reads, writes = os.pipe()
        limits = f"{reads}, {writes}, {self.cpu_seconds}, {self.wall_seconds}, {self.memory_bytes}"
        # the same paths as here, and never the folder that somebody happens to be in
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from softlaunch.core.bounded_worker import serve; serve({limits})"
        )
        try:
            self._process = subprocess.Popen(  # noqa: S603  (this interpreter, with a text of ours)
                [sys.executable, "-P", "-W", "ignore", "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what somebody's metric prints is no part of our output
                pass_fds=(reads, writes),
            )
        finally:
            os.close(reads)
            os.close(writes)
        os.set_blocking(self._writes, False)

    def _end(self) -> None:
        for descriptor in (self._writes, self._reads):
            if descriptor >= 0:
                os.close(descriptor)
        self._writes = self._reads = -1
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _send(self, content: bytes, until: float) -> None:
        view = memoryview(content)
        while view:
            if not _ready(self._writes, select.POLLOUT, until):
                raise self._too_slow()
            try:
                view = view[os.write(self._writes, view) :]
            except BrokenPipeError as error:
                raise self._ended() from error

    def _receive(self, size: int, until: float) -> bytes:
        parts: list[bytes] = []
        while size:
            if not _ready(self._reads, select.POLLIN, until):
                raise self._too_slow()
            part = os.read(self._reads, min(size, 1 << 20))
            if not part:
                raise self._ended()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _ended(self) -> BeyondLimitsError:
        code = self._process.wait() if self._process is not None else None
        if code in _TIMES:
            return self._too_slow()
        return BeyondLimitsError(f"it ended the process that it ran in (exit code {code})")

    def _too_slow(self) -> BeyondLimitsError:
        return BeyondLimitsError(
            f"it takes longer than {self.cpu_seconds:g} s of processor time or {self.wall_seconds:g} s in all"
        )


def _ready(descriptor: int, what: int, until: float) -> bool:
    """Whether something can be read or written before a time."""
    poll = select.poll()
    poll.register(descriptor, what)
    return bool(poll.poll(max(0.0, until - monotonic()) * 1000))


OURS = Helper(cpu_seconds=1.0, wall_seconds=20.0, memory_bytes=1 << 30)
"""For what comes along with softlaunch, on what other people and models wrote."""
