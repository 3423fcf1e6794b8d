"""The other end of `softlaunch.core.bounded`: calls functions, one after another, within limits that the kernel holds.

Only the standard library is imported here, so that it begins within a few hundredths of a second.
"""

import contextlib
import os
import pickle
import resource
import signal
import struct

HEAD = struct.Struct("!Q")
"""How long the pickle is that follows, in bytes."""
IMPORT_SECONDS = 60.0
"""For the modules that a call needs: an own metric may bring a large library along."""
inside = False
"""Whether this process is such a helper; what runs in it is bounded already."""


def serve(reads: int, writes: int, cpu_seconds: float, wall_seconds: float, memory_bytes: int) -> None:
    """Call what comes in on one file descriptor, and answer on the other, until the sender is gone.

    A call that takes longer than a limit ends the process by a signal, wherever it is, also in C: SIGPROF for the
    processor's time, SIGALRM for the clock's.
    """
    global inside  # noqa: PLW0603  (there is one answer a process)
    inside = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asked, whose end is ours
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    for kind, most in ((resource.RLIMIT_DATA, memory_bytes), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a system that doesn't know it, or holds us shorter already
            resource.setrlimit(kind, (most, most))
    while (head := _read(reads, HEAD.size)) and (asked := _read(reads, HEAD.unpack(head)[0])):
        answer = _answer(asked, cpu_seconds, wall_seconds)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _write(writes, HEAD.pack(len(answer)) + answer)


def _answer(asked: bytes, cpu_seconds: float, wall_seconds: float) -> bytes:
    """Whether it returned, with what; or what it raised. What has to be imported first has a time of its own."""
    try:
        signal.setitimer(signal.ITIMER_REAL, IMPORT_SECONDS)
        function, arguments = pickle.loads(asked)  # noqa: S301  (our own process wrote it)
        signal.setitimer(signal.ITIMER_REAL, wall_seconds)
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        return pickle.dumps((True, function(*arguments)))
    except Exception as error:
        return _dumped(error)


def _dumped(error: Exception) -> bytes:
    try:
        said = pickle.dumps((False, error))
        pickle.loads(said)  # noqa: S301  (written a line above)
    except Exception:  # an error that can't travel still has a name and a text
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return said


def _read(descriptor: int, size: int) -> bytes:
    """So many bytes; none where the other end is closed."""
    parts, left = [], size
    while left:
        part = os.read(descriptor, min(left, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
