"""Ending by a signal."""

import subprocess
import sys

_WAITING = """
import signal, threading
from softlaunch.core.ending import set_at_the_end
over = threading.Event()
set_at_the_end(over)
with over._cond:  # as the main thread has it for a moment each time that it waits
    signal.raise_signal(signal.SIGTERM)
over.wait(10)
print(over.is_set())
"""


def test_a_signal_in_the_midst_of_waiting_ends_it() -> None:
    """The main thread may hold the lock of the event that it is to be ended by."""
    found = subprocess.run([sys.executable, "-c", _WAITING], capture_output=True, text=True, timeout=30, check=False)
    assert (found.stdout.strip(), found.returncode) == ("True", 0), found.stderr
