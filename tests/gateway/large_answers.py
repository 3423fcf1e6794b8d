"""A provider whose answers are large, and clients that hardly read them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson

from tests.gateway.http_messages import CHAT, aimed
from tests.gateway.raw_client import address_of, post
from tests.gateway.worlds import APP
from tests.support.servers import document

_ASKED = [{"role": "user", "content": "Tell me everything"}]
QUESTION = orjson.dumps({"model": APP, "messages": _ASKED, "input": _ASKED})


@contextmanager
def large_answers(size: int) -> Iterator[str]:
    """The endpoint of a provider whose every answer has about so many bytes."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Answer whatever is asked."""
            self.rfile.read(int(self.headers["Content-Length"]))
            content = orjson.dumps({**document(self.path, "stable"), "x": "a" * size})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


def slow_reader(url: str, path: str = CHAT) -> socket.socket:
    """A client that asks at this path, and takes nothing beyond a small buffer of what it is answered."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect(address_of(url))
    connection.sendall(aimed(post(QUESTION), path))
    return connection


def is_dropped(connection: socket.socket) -> bool:
    """Whether the gateway has ended a connection, without reading what it sent."""
    connection.setblocking(False)
    try:
        connection.send(b"\r\n")
        return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
    except BlockingIOError:
        return False
    except OSError:
        return True
