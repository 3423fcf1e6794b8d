"""Who runs the command, for the trail that the ledger keeps."""

import getpass
import socket

from softlaunch.ledger.releases import Actor


def who() -> Actor:
    """The person at this command line, by login name, and the machine."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        name = "unknown"
    return Actor(name, f"command line on {socket.gethostname()}")
