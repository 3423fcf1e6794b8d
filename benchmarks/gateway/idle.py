"""Connections that are open and have nothing to say."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.gateway.answers import Answer
from benchmarks.gateway.load import Target
from benchmarks.gateway.requests import RequestKind

_PATIENCE_SECONDS = 30.0
_PART = 1 << 16


class Idle:
    """Connections of which each has had one answer."""

    def __init__(self, connections: list[socket.socket]) -> None:
        self._connections = connections

    def closed(self) -> int:
        """How many of them the other side has closed."""
        return sum(map(_is_closed, self._connections))


@contextmanager
def idle_connections(target: Target, kind: RequestKind, count: int) -> Iterator[Idle]:
    """Open so many, and ask once over each, as another user; they are closed at the end. Raises OSError."""
    requests = target.requests(kind)
    with ExitStack() as stack:
        connections = []
        for number in range(count):
            connection = socket.create_connection(("127.0.0.1", target.port), _PATIENCE_SECONDS)
            connections.append(stack.enter_context(connection))
            _ask(connection, requests.of_user(number))
        yield Idle(connections)


def _ask(connection: socket.socket, request: bytes) -> None:
    connection.sendall(request)
    answer = Answer(events=0)
    while not answer.is_whole:
        part = connection.recv(_PART)
        if not part:
            raise ConnectionResetError("a connection that was to be idle was closed before its answer")
        answer.add(part)


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return not connection.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True
