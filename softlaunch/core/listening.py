"""Why a server can't listen where it should, in words that say what to do."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from softlaunch.core.errors import SoftlaunchError

_WHY = {
    errno.EADDRINUSE: "the port is taken; choose another with {port_option}",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose another with --host",
    errno.EACCES: "this user may not; choose a port from 1024 on with {port_option}",
}


class CantListenError(SoftlaunchError):
    """A server can't listen where it should."""


def place(host: str, port: int) -> str:
    """Where a server listens, as an address has it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def listening(host: str, port: int, port_option: str = "--port") -> Iterator[None]:
    """Raise CantListenError where the block can't listen there. What else goes wrong in it is left as it is."""
    try:
        yield
    except OSError as error:
        why = _WHY.get(error.errno or 0)
        if isinstance(error, socket.gaierror):
            why = "this host isn't known; choose another with --host"
        if why is None:
            raise
        raise CantListenError(f"can't listen on {place(host, port)}: {why.format(port_option=port_option)}") from error
