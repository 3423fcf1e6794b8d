"""ASGI applications on the gateway's HTTP: what serves pages beside the gateway is written for it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from softlaunch.gateway.http.cycle import Handler, HttpCycle
from softlaunch.gateway.wire import ClientGoneError

_Message = MutableMapping[str, Any]
_App = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]]
_Address = tuple[str, int] | None


def asgi_handler(app: _App, server: _Address, client: _Address) -> Handler:
    """Answer requests of one connection by an ASGI 3 application."""

    async def handle(cycle: HttpCycle) -> None:
        await app(_scope(cycle, server, client), _Receive(cycle), _sending(cycle))

    return handle


class _Receive:
    """The body in parts, then the end of the connection or of the answer."""

    def __init__(self, cycle: HttpCycle) -> None:
        self._cycle = cycle
        self._handed_over = False

    async def __call__(self) -> _Message:
        if not self._handed_over and not self._cycle.complete:
            try:
                body = await self._cycle.part()
            except ClientGoneError:
                return {"type": "http.disconnect"}
            self._handed_over = not self._cycle.has_more
            return {"type": "http.request", "body": body, "more_body": self._cycle.has_more}
        await self._cycle.gone_or_answered()
        return {"type": "http.disconnect"}


def _sending(cycle: HttpCycle) -> Callable[[_Message], Awaitable[None]]:
    async def send(message: _Message) -> None:
        if message["type"] == "http.response.start":
            await cycle.start(message["status"], list(message.get("headers", ())))
        else:
            await cycle.write(message.get("body", b""), more=message.get("more_body", False))

    return send


def _scope(cycle: HttpCycle, server: _Address, client: _Address) -> _Message:
    head = cycle.head
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": head.version,
        "server": server,
        "client": client,
        "scheme": "http",
        "root_path": "",
        "method": head.method,
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query,
        "headers": head.headers,
    }
