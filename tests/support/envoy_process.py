"""Control planes that start at once: `python -m tests.support.envoy_process URL PORT ROUTES` forks one for each line.

It has loaded everything before. Of each it prints the process id.
"""

import os
import signal
import sys
from pathlib import Path

from softlaunch.inbound.envoy.server import ControlOptions, serve
from softlaunch.store.database import Database


def main(url: str, port: int, routes: Path) -> None:
    """Fork until standard input is over."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            serve(Database(url), ControlOptions(port=port, routes=routes))
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
