"""The gateway as an ASGI application: which path leads where, who may call, and how much at once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from softlaunch import __version__
from softlaunch.gateway.completions import Completions
from softlaunch.gateway.cors import Cors
from softlaunch.gateway.encodings import decompress
from softlaunch.gateway.feedback import parse_feedback
from softlaunch.gateway.limits import Limits
from softlaunch.gateway.log import LogSink
from softlaunch.gateway.metrics import Metrics
from softlaunch.gateway.paths import Paths, normal
from softlaunch.gateway.requests import app_of, check_key, find_served, one_of_each, parse_chat, retry_after
from softlaunch.gateway.table import RouteTable
from softlaunch.gateway.upstream import Upstream
from softlaunch.gateway.wire import (
    ClientGoneError,
    Receive,
    RefusedError,
    Scope,
    Send,
    read_body,
    read_object,
    send_answer,
    send_json,
)

_LOGGER = logging.getLogger(__name__)
_TEXT = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
_MODELS = "/v1/models"
Headers = Mapping[bytes, bytes]
Endpoint = Callable[[Headers, Receive, Send], Awaitable[None]]


def create_app(
    table: RouteTable,
    log: LogSink,
    upstream: Upstream,
    *,
    client_keys: Sequence[str] = (),
    limits: Limits | None = None,
    cors: Cors | None = None,
    tell_arm: bool = False,
) -> "Gateway":
    """The application. It starts and stops the table, the log and the upstream with its own lifespan.

    `cors` says whose web pages may call it, `tell_arm` whether clients are told which arm answered them.
    """
    keys = tuple(key.encode() for key in client_keys)
    return Gateway(table, log, upstream, keys, limits or Limits(), cors=cors or Cors(), tell_arm=tell_arm)


class Gateway:
    """An ASGI 3 application."""

    def __init__(
        self,
        table: RouteTable,
        log: LogSink,
        upstream: Upstream,
        keys: Sequence[bytes],
        limits: Limits,
        *,
        cors: Cors,
        tell_arm: bool,
    ) -> None:
        self._table = table
        self._log = log
        self._upstream = upstream
        self._keys = keys
        self._limits = limits
        self._cors = cors
        self._metrics = Metrics(table, log)
        self._completions = Completions(upstream, log, self._metrics, limits, tell_arm=tell_arm)
        self._in_flight = self._bytes = 0
        self._created = int(time.time())
        self._paths: Paths[Endpoint] = Paths(
            {
                ("POST", "/v1/chat/completions"): self._chat,
                ("POST", "/v1/feedback"): self._feedback,
                ("GET", _MODELS): self._models,
                ("GET", "/healthz"): self._health,
                ("GET", "/metrics"): self._expose,
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or live through a lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            headers = one_of_each(scope["headers"])
            send = self._cors.wrap(send, headers)
            try:
                await self._serve(scope["method"], normal(scope["path"]), headers, receive, send)
            except RefusedError as refusal:
                await send_answer(send, refusal.status, refusal.body, refusal.headers)
            except ClientGoneError:
                pass

    async def _serve(self, method: str, path: str, headers: Headers, receive: Receive, send: Send) -> None:
        app = path.removeprefix(_MODELS + "/") if path.startswith(_MODELS + "/") else None
        known = path if app is None else _MODELS
        if method == "OPTIONS" and self._paths.allowed(known):  # browsers ask it without a key
            allowed = self._paths.allowed(known)
            await send_answer(send, 200, b"", [(b"allow", allowed), *self._cors.preflight(headers, allowed)])
            return
        if path.startswith("/v1/"):
            check_key(headers, self._keys)
        endpoint = self._paths.find(method, known)
        if app is None:
            await endpoint(headers, receive, send)
        else:
            find_served(self._table, app)
            await send_json(send, self._model(app))

    async def _chat(self, headers: Headers, receive: Receive, send: Send) -> None:
        if self._in_flight >= self._limits.requests or self._bytes >= self._limits.requests_bytes:
            text = f"the gateway has {self._in_flight} requests under way and takes no more now; try again"
            raise RefusedError(503, text, kind="server_error", code="overloaded", headers=retry_after(1))
        self._in_flight += 1
        size = 0
        try:
            content = await self._body(headers, receive)
            size = len(content)
            self._bytes += size
            request = parse_chat(content, headers)
            served = find_served(self._table, request.app)
            await self._completions.answer(request, served, receive, send)
        finally:
            self._in_flight -= 1
            self._bytes -= size

    async def _feedback(self, headers: Headers, receive: Receive, send: Send) -> None:
        body = read_object(await self._body(headers, receive))
        records = parse_feedback(body, self._log.now())
        if self._table.get(app_of(records[0].request_id)) is None:
            text = f"no app of this gateway answered request {records[0].request_id!r}"
            raise RefusedError(404, text, param="request_id", code="request_not_found")
        if not self._log.put_feedback(*records):
            text = "the request log is full; try again later"
            raise RefusedError(503, text, kind="server_error", code="overloaded", headers=retry_after(5))
        await send_json(send, {"request_id": records[0].request_id, "status": "accepted"}, status=202)

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        body = await read_body(receive, self._limits, _declared(headers))
        return decompress(body, headers.get(b"content-encoding", b""), self._limits)

    async def _models(self, headers: Headers, receive: Receive, send: Send) -> None:  # noqa: ARG002
        apps = sorted(self._table.all())
        await send_json(send, {"object": "list", "data": [self._model(app) for app in apps]})

    def _model(self, app: str) -> dict[str, str | int]:
        return {"id": app, "object": "model", "created": self._created, "owned_by": "softlaunch"}

    async def _health(self, headers: Headers, receive: Receive, send: Send) -> None:  # noqa: ARG002
        age = self._table.seconds_since_read
        ready = self._table.has_been_read
        state = {
            "status": "ok" if ready else "starting",
            "version": __version__,
            "gateway_id": self._log.gateway_id,
            "apps": len(self._table.all()),
            "route_age_seconds": round(age, 3) if ready else None,
            "log_waiting": self._log.waiting,
        }
        await send_json(send, state, status=200 if ready else 503)

    async def _expose(self, headers: Headers, receive: Receive, send: Send) -> None:  # noqa: ARG002
        self._metrics.in_flight.set(self._in_flight)
        await send_answer(send, 200, self._metrics.text(), _TEXT)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.to_thread(self._table.start)
        self._log.start()
        await self._upstream.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._completions.mirrors.close()
        await self._upstream.close()
        await asyncio.to_thread(self._table.stop)
        await asyncio.to_thread(self._log.stop)
        await send({"type": "lifespan.shutdown.complete"})


def _declared(headers: Headers) -> int | None:
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else None
