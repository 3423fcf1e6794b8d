"""A client that sends bytes as they are."""

import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PAUSE_SECONDS = 0.03


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back, and whether the gateway closed the connection."""

    text: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        """The status of each answer; 100 is none."""
        found = re.findall(rb"HTTP/1\.1 (\d{3}) ", self.text)
        return [int(status) for status in found if status != b"100"]


def address_of(url: str) -> tuple[str, int]:
    """Host and port of a base URL."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def say(url: str, *pieces: bytes, seconds: float = 5.0, source: str | None = None) -> Heard:
    """Send pieces as they are; what comes back until the gateway closes, or says nothing for so many seconds."""
    bound = None if source is None else (source, 0)
    with socket.create_connection(address_of(url), 10, bound) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:
                break
            time.sleep(PAUSE_SECONDS)
        return hear(connection, seconds)


def hear(connection: socket.socket, seconds: float) -> Heard:
    """What comes until the gateway closes, or says nothing for so many seconds."""
    connection.settimeout(seconds)
    got = b""
    try:
        while piece := connection.recv(65_536):
            got += piece
    except TimeoutError:
        return Heard(got, closed=False)
    except OSError:
        return Heard(got, closed=True)
    return Heard(got, closed=True)


def head(
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (), line: str = "POST /v1/chat/completions HTTP/1.1"
) -> bytes:
    """A request's head, with a Host unless one is given."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if not any(name.lower() == "host" for name, _ in pairs):
        pairs.insert(0, ("Host", "x"))
    return "\r\n".join([line, *(f"{name}: {value}" for name, value in pairs), "", ""]).encode("latin-1")


def post(body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole request."""
    return head({"Content-Length": str(len(body)), **(headers or {})}) + body
