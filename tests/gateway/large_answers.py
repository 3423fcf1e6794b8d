"""A provider whose answers are large, and clients that hardly read them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson

from tests.gateway.raw_client import address_of, post
from tests.gateway.worlds import APP
from tests.support.servers import completion

QUESTION = orjson.dumps({"model": APP, "messages": [{"role": "user", "content": "Tell me everything"}]})


@contextmanager
def large_answers(size: int) -> Iterator[str]:
    """The endpoint of a provider whose every answer has about so many bytes."""
    answer = completion("stable")
    answer["choices"][0]["message"]["content"] = "a" * size
    content = orjson.dumps(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Answer whatever is asked."""
            self.rfile.read(int(self.headers["Content-Length"]))
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


def slow_reader(url: str) -> socket.socket:
    """A client that asks, and takes nothing beyond a small buffer of what it is answered."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect(address_of(url))
    connection.sendall(post(QUESTION))
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
