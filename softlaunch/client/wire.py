"""HTTP as the client's own threads speak it: one connection, by the standard library, loaded when it is needed."""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from softlaunch.client.errors import ClientError

if TYPE_CHECKING:  # a quarter of what importing the client would take
    from http.client import HTTPConnection

LARGEST_ANSWER = 64 * 1024 * 1024
_RETRIED = 2


class UnreachableError(ClientError):
    """The server can't be reached, or broke off."""


class Answered(NamedTuple):
    """What came back. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Server:
    """A server by its base URL. Used by one thread at a time, apart from `interrupt`."""

    def __init__(self, url: str, key: str = "") -> None:
        scheme, separator, rest = url.rstrip("/").partition("://")
        if not separator or scheme not in {"http", "https"} or not rest:
            raise ClientError(f"{url!r} is no address of a server; expected http://HOST:PORT or https://HOST")
        if key and not (key.isascii() and key.isprintable()):
            raise ClientError("a key has printable ASCII characters alone; look for a line break at its end")
        self.url = url.rstrip("/")
        self._is_secure = scheme == "https"
        self._host, _, path = rest.partition("/")
        self._prefix = f"/{path}" if path else ""
        self._headers = {"Accept": "application/json", "User-Agent": "softlaunch-client"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._connection: HTTPConnection | None = None
        self._interrupted = False
        self._lock = threading.Lock()

    def get(self, path: str, headers: Mapping[str, str], timeout: float) -> Answered:
        """Ask for a path. Raises UnreachableError."""
        return self._request("GET", path, None, headers, timeout)

    def post(self, path: str, body: bytes, timeout: float) -> Answered:
        """Send a JSON document. Raises UnreachableError."""
        return self._request("POST", path, body, {"Content-Type": "application/json"}, timeout)

    def listen(self) -> None:
        """Mind interruptions from now on: those of before are over."""
        self._interrupted = False

    def interrupt(self) -> None:
        """Let the request that another thread waits for, or is about to send, fail at once."""
        self._interrupted = True
        with self._lock:
            connection = self._connection
        socket = None if connection is None else connection.sock
        if socket is not None:
            try:
                socket.shutdown(2)  # SHUT_RDWR
            except OSError:
                return

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def forget(self) -> None:
        """Leave the connection to the process that opened it; this one is a fork of it."""
        self._lock = threading.Lock()
        self._connection = None

    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> Answered:
        for attempt in range(1, _RETRIED + 1):
            is_fresh = self._connection is None
            try:
                return self._once(method, path, body, headers, timeout)
            except UnreachableError:
                self.close()
                if is_fresh or self._interrupted or attempt == _RETRIED:  # an idle one may have been closed
                    raise
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> Answered:
        from http.client import HTTPException

        try:
            connection = self._connected(timeout)
            connection.request(method, self._prefix + path, body, {**self._headers, **headers})
            if self._interrupted:
                raise UnreachableError(f"the request to {self.url} was interrupted")
            response = connection.getresponse()
            content = response.read(LARGEST_ANSWER + 1)
        except TimeoutError:
            self.close()
            raise UnreachableError(f"{self.url} doesn't answer within {timeout:g} s") from None
        except (OSError, HTTPException) as error:
            raise UnreachableError(f"{self.url} can't be reached ({error or type(error).__name__})") from error
        if len(content) > LARGEST_ANSWER:
            self.close()
            raise UnreachableError(f"{self.url} answers with more than {LARGEST_ANSWER >> 20} MiB; check the address")
        if response.will_close:
            self.close()
        return Answered(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    def _connected(self, timeout: float) -> "HTTPConnection":
        from http.client import HTTPConnection, HTTPSConnection

        connection = self._connection
        if connection is None:
            kind = HTTPSConnection if self._is_secure else HTTPConnection
            connection = kind(self._host, timeout=timeout)
            connection.connect()
            with self._lock:
                self._connection = connection
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection
