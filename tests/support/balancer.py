"""What stands before several servers: each connection goes to the next one that takes it."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count

_MOST_BYTES = 65_536


class Balancer:
    """Passes bytes on. A connection whose server dies is closed; the next one goes to another server."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._next = count()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on, both ways, until either side closes it."""
        with suppress(OSError):
            there, answers = await self._connected()
            ways = [asyncio.ensure_future(_pass(reader, answers)), asyncio.ensure_future(_pass(there, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            answers.close()
        writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in self._ports:
            port = self._ports[next(self._next) % len(self._ports)]
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        raise OSError("none of the servers listens")


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while some := await reader.read(_MOST_BYTES):
            writer.write(some)
            await writer.drain()


@contextmanager
def balanced(port: int, ports: Sequence[int]) -> Iterator[None]:
    """A balancer on a port, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listening = asyncio.start_server(Balancer(ports).serve, "127.0.0.1", port)
    asyncio.run_coroutine_threadsafe(listening, loop).result()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
