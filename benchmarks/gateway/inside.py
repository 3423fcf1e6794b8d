"""`python -m benchmarks.gateway.inside`: the request path without sockets, and where its operations go.

Clients and the provider are transports in the same process, so that neither the kernel nor other programs count. The
operations of Python's interpreter are the same in each run, on any machine: two versions of the code compare by them
where times are noise. What is done in C (JSON, hashes, HTTP's grammar, the event loop) is time, and no operation.
"""

import argparse
import asyncio
import gc
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import orjson
import uvloop
from sqlalchemy import update

from benchmarks.gateway.peers.softlaunch import APP, write_canary
from benchmarks.gateway.provider import whole_answer
from softlaunch.gateway.http.connections import Connections
from softlaunch.gateway.http.protocol import http_protocol
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.provider.connection import ProviderConnection
from softlaunch.gateway.provider.origin import Origin
from softlaunch.gateway.provider.pool import ProviderPool
from softlaunch.gateway.server import GatewayOptions, build_app
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import RouteRow

_CLIENTS = 32
_CHAT = "/v1/chat/completions"
_PACKAGE = Path(__file__).parents[2] / "softlaunch"


class _Transport:
    """What both sides ask of a transport that always has room."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name in {"peername", "sockname"} else default

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class _Provider(_Transport):
    """Answers each request in the next turn of the loop."""

    def __init__(self, connection: ProviderConnection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection, self._loop = connection, loop
        self._answer = whole_answer(_CHAT)

    def write(self, content: bytes) -> None:  # noqa: ARG002
        self._loop.call_soon(self._connection.data_received, self._answer)


class _Client(_Transport):
    """Sends its next request when it has the last answer, until it has had so many."""

    def __init__(self, protocol: Any, loop: asyncio.AbstractEventLoop, number: int, count: int) -> None:
        self._protocol, self._loop = protocol, loop
        self._number, self._left = number, count
        self.over = loop.create_future()
        protocol.connection_made(self)

    def ask(self) -> None:
        question = {"role": "user", "content": "Where is my parcel, and when will it be here?"}
        body = orjson.dumps({"model": APP, "user": f"user-{self._number}-{self._left}", "messages": [question]})
        head = (
            f"POST {_CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer bench\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._protocol.data_received(head.encode() + body)

    def write(self, content: bytes) -> None:
        if not content.startswith(b"HTTP/1.1 200"):
            self.over.set_exception(RuntimeError(content.decode()))
            return
        self._left -= 1
        if self._left:
            self._loop.call_soon(self.ask)
        else:
            self.over.set_result(None)


class _Pool(ProviderPool):
    async def _open_one(self, origin: Origin) -> ProviderConnection:
        connection = ProviderConnection(origin, self._loop, self._forget)
        connection.connection_made(_Provider(connection, self._loop))  # type: ignore[arg-type]  # what is asked of it
        return connection


class _Server:
    """What the HTTP protocol asks of uvicorn's state and configuration."""

    loaded_app = None

    def __init__(self) -> None:
        self.connections: set[object] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.total_requests = 0


class _Operations:
    """Operations of the interpreter by the code that they are of, of one thread while it is counted."""

    def __init__(self) -> None:
        self.of: Counter[CodeType] = Counter()
        self.calls: Counter[CodeType] = Counter()

    def trace(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:  # noqa: ARG002
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            self.calls[frame.f_code] += 1
        elif event == "opcode":
            self.of[frame.f_code] += 1
        return self.trace


async def _serve(count: int, rounds: int, database: Database) -> tuple[list[float], _Operations]:
    """CPU microseconds a request of the loop's thread, round by round; then the operations of one more round."""
    loop = asyncio.get_running_loop()
    gateway = build_app(database, GatewayOptions(), "http://127.0.0.1", {})
    async with gateway.lifespan():
        await asyncio.sleep(1.5)  # the lease holds from the second beat on
        protocol = http_protocol(Connections(Limits()), gateway.handle)

        async def go() -> None:
            server: Any = _Server()
            clients = [_Client(protocol(server, server, {}, loop), loop, place, count) for place in range(_CLIENTS)]
            for client in clients:
                client.ask()
            await asyncio.gather(*(client.over for client in clients))

        gc.collect()
        gc.freeze()
        await go()
        spent: list[float] = []
        for _ in range(rounds):
            before = time.thread_time()
            await go()
            spent.append((time.thread_time() - before) / (count * _CLIENTS) * 1e6)
        operations = _Operations()
        sys.settrace(operations.trace)
        await go()
        sys.settrace(None)
    return spent, operations


def main() -> None:
    """Measure, and print both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway.inside", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=100, help="of each of 32 clients in a round")
    parser.add_argument("--functions", type=int, default=0, help="list so many functions, the dearest first")
    asked = parser.parse_args()
    over = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{folder}/ledger.db")
        write_canary(database, "http://127.0.0.1:9/v1")

        def watch() -> None:
            while not over.wait(1.0):
                with database.begin() as session:
                    session.execute(update(RouteRow).values(beat=RouteRow.beat + 1))

        threading.Thread(target=watch, daemon=True).start()
        original, ProviderPool._open_one = ProviderPool._open_one, _Pool._open_one  # type: ignore[method-assign]
        try:
            spent, operations = uvloop.run(_serve(asked.requests, asked.rounds, database))
        finally:
            ProviderPool._open_one = original  # type: ignore[method-assign]
            over.set()
    _print(spent, operations, asked.requests * _CLIENTS, asked.functions)


def _print(spent: list[float], operations: _Operations, requests: int, functions: int) -> None:
    print(f"CPU of the loop's thread, without sockets: {min(spent):.1f} us a request at best, of {len(spent)} rounds\n")
    parts: Counter[str] = Counter()
    for code, count in operations.of.items():
        parts[_part(code)] += count
    print("| part | operations a request |\n|---|---:|")
    for part, count in parts.most_common():
        if count >= requests and part != "the benchmark":
            print(f"| {part} | {count / requests:,.0f} |")
    total = sum(count for part, count in parts.items() if part != "the benchmark")
    print(f"| all | {total / requests:,.0f} |")
    for code, count in operations.of.most_common(functions):
        calls = operations.calls[code] / requests
        print(f"{count / requests:7.0f} in {calls:.1f} calls: {_part(code)} {code.co_qualname}")


def _part(code: CodeType) -> str:
    path = Path(code.co_filename)
    if path.is_relative_to(Path(__file__).parent):
        return "the benchmark"
    if not path.is_relative_to(_PACKAGE):
        return "libraries"
    place = path.relative_to(_PACKAGE).with_suffix("").parts
    return "/".join(place[: 3 if place[1:2] == ("protocols",) else 2])


if __name__ == "__main__":
    main()
