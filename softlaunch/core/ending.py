"""Ending by a signal."""

import _thread
import signal
import threading
from collections.abc import Sequence

ENDINGS = (signal.SIGINT, signal.SIGTERM)


def set_at_the_end(over: threading.Event, endings: Sequence[signal.Signals] = ENDINGS) -> None:
    """Set an event when this process is told to end. For the main thread, which may wait for the event itself.

    It is set by another thread: a handler runs in the midst of the main thread, which may hold the event's lock just
    then, and would wait for itself for ever. `threading` has locks of its own, so it isn't asked for that thread.
    """
    for ending in endings:
        signal.signal(ending, lambda *_: _thread.start_new_thread(over.set, ()))
