"""A console as a real server, and a line to it that can go dead."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from softlaunch.console.server import build_app
from softlaunch.console.state import Console
from tests.support.servers import wait_until


@contextmanager
def serving(console: Console, port: int = 0) -> Iterator[int]:
    """Serve a console on this machine in a thread; gives its port. Ends as a restart does: streams at once."""
    server = uvicorn.Server(uvicorn.Config(build_app(console), log_level="error", timeout_graceful_shutdown=1))
    console.live.is_stopping = lambda: server.should_exit
    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
        thread.start()
        wait_until(lambda: server.started, "the console listens")
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)


class Line:
    """A port that passes everything on to another one; while it is dead nothing passes, and nobody is told."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._alive = threading.Event()
        self._alive.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Let nothing pass from now on; what stands open stays open."""
        self._alive.clear()

    def mend(self) -> None:
        """Let new connections pass again; those from before stay dead."""
        self._alive.set()

    def close(self) -> None:
        """Stop."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self._alive.is_set():
                    threading.Thread(target=lambda held=near: held.recv(65536), daemon=True).start()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(65536):
                if not self._alive.is_set():
                    return  # both ends stay open, and hear nothing
                other.sendall(piece)
            other.close()
