"""The provider over HTTP: chat completions, the list of models, and faults on command."""

import asyncio
import hmac
import itertools
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import web
from pydantic import ValidationError

from softlaunch.core.errors import NotFoundError, SoftlaunchError
from softlaunch.core.listening import listening
from softlaunch.simulator.cases import first_problem
from softlaunch.simulator.faults import EVERY_MODEL, ActiveFault, Fault, FaultKind
from softlaunch.simulator.models import Answer, Refusal
from softlaunch.simulator.provider import PlannedResponse, Provider
from softlaunch.simulator.wire import (
    DONE,
    BadRequestError,
    ChatRequest,
    Envelope,
    chunks,
    completion,
    error_body,
    parse_chat_request,
)

_LARGEST_BODY = 16 * 1024 * 1024
_BROKEN_EVENT = b'data: {"id": "chatcmpl-broken", "object": "chat.completion.chunk", "choices": [{"delta": {"cont\n\n'
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ProviderServer:
    """Serves a provider; `api_key`, when given, is what clients of the models must present as bearer token."""

    def __init__(self, provider: Provider, api_key: str | None = None) -> None:
        self.provider = provider
        self._api_key = api_key
        self._numbers = itertools.count(1)

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[self._authorise])
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/rehearsal/faults", self.order_fault)
        app.router.add_delete("/rehearsal/faults", self.clear_faults)
        app.router.add_get("/rehearsal/stats", self.stats)
        app.router.add_get("/healthz", self.health)
        return app

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        began = time.monotonic()
        try:
            asked = parse_chat_request(await request.read())
            served, planned = self.provider.plan_response(asked)
        except BadRequestError as error:
            return _refuse(400, str(error), "invalid_request")
        except NotFoundError as error:
            return _refuse(404, str(error), "model_not_found")
        envelope = Envelope(f"chatcmpl-r{next(self._numbers)}", int(time.time()), served.model.resolved_model)
        served.stats.in_flight += 1
        try:
            if planned.fault is not None and planned.fault.fault.kind is FaultKind.HANG:
                return await _hang(request, planned.fault, self.provider.clock())
            return await _send(request, asked, planned, envelope, began)
        finally:
            served.stats.in_flight -= 1

    async def models(self, _: web.Request) -> web.Response:
        """GET /v1/models."""
        common = {"object": "model", "created": 0, "owned_by": "rehearsal"}
        return _json({"object": "list", "data": [{"id": name} | common for name in self.provider.names]})

    async def order_fault(self, request: web.Request) -> web.Response:
        """POST /rehearsal/faults: a fault's fields, and `model` (left out: every model)."""
        try:
            body = orjson.loads(await request.read())
            if not isinstance(body, dict):
                return _refuse(400, 'the body must be an object such as {"kind": "spike"}', "invalid_fault")
            model = body.pop("model", EVERY_MODEL)
            if not isinstance(model, str):
                return _refuse(400, "'model' must be the name of a model", "invalid_fault")
            self.provider.order(model, Fault.model_validate(body))
        except orjson.JSONDecodeError as error:
            return _refuse(400, f"the body is no valid JSON: {error}", "invalid_fault")
        except ValidationError as error:
            return _refuse(400, first_problem(error), "invalid_fault")
        except SoftlaunchError as error:
            return _refuse(404, str(error), "model_not_found")
        return _json(self.provider.stats())

    async def clear_faults(self, request: web.Request) -> web.Response:
        """DELETE /rehearsal/faults, of one model with `?model=NAME`."""
        try:
            return _json({"cleared": self.provider.clear(request.query.get("model"))})
        except NotFoundError as error:
            return _refuse(404, str(error), "model_not_found")

    async def stats(self, _: web.Request) -> web.Response:
        """GET /rehearsal/stats."""
        return _json(self.provider.stats())

    async def health(self, _: web.Request) -> web.Response:
        """GET /healthz."""
        return _json({"status": "ok"})

    @web.middleware
    async def _authorise(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if self._api_key is not None and request.path.startswith("/v1/"):
            presented = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(presented.encode(errors="surrogateescape"), self._api_key.encode()):
                return _refuse(401, "no or wrong API key; send it as 'Authorization: Bearer KEY'", "invalid_api_key")
        return await handler(request)


async def _send(
    request: web.Request, asked: ChatRequest, planned: PlannedResponse, envelope: Envelope, began: float
) -> web.StreamResponse:
    response, disturbance = planned.response, planned.fault
    if isinstance(response, Refusal):
        await _sleep_until(began + response.latency_s)
        return _refuse(response.status, response.message, response.code)
    kind = disturbance.fault.kind if disturbance is not None else None
    if asked.stream:
        return await _stream(request, asked, response, envelope, began, kind)
    await _sleep_until(began + response.latency_s)
    body = completion(envelope, response)
    if kind is FaultKind.CUT:
        return await _cut_short(request, body)
    if kind is FaultKind.MALFORMED_JSON:
        body = body[: len(body) // 2]
    return web.Response(body=body, content_type="application/json")


async def _stream(
    request: web.Request,
    asked: ChatRequest,
    answer: Answer,
    envelope: Envelope,
    began: float,
    kind: FaultKind | None,
) -> web.StreamResponse:
    events = list(chunks(envelope, answer, include_usage=asked.include_usage))
    pause = (answer.latency_s - answer.first_token_s) / max(1, len(events) - 1)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await _sleep_until(began + answer.first_token_s)
    await response.prepare(request)
    for number, event in enumerate(events):
        await _sleep_until(began + answer.first_token_s + number * pause)
        if kind is not None and number >= len(events) // 2:
            if kind is FaultKind.CUT:
                _drop_connection(request)
            else:
                await response.write(_BROKEN_EVENT)
            return response
        await response.write(event)
    await response.write(DONE)
    await response.write_eof()
    return response


async def _hang(request: web.Request, active: ActiveFault, now: float) -> web.StreamResponse:
    remaining = None if active.ends is None else max(0.0, active.ends - now)
    with suppress(TimeoutError):
        async with asyncio.timeout(remaining):
            await active.cleared.wait()
    _drop_connection(request)
    return web.Response()


async def _cut_short(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    _drop_connection(request)
    return response


def _drop_connection(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


async def _sleep_until(moment: float) -> None:
    remaining = moment - time.monotonic()
    if remaining > 0:
        await asyncio.sleep(remaining)


def _json(value: Any) -> web.Response:
    body = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return web.Response(body=body, content_type="application/json")


def _refuse(status: int, message: str, code: str) -> web.Response:
    return web.Response(status=status, body=error_body(status, message, code), content_type="application/json")


async def serve(
    server: ProviderServer,
    host: str,
    port: int,
    stop: asyncio.Event,
    ready: Callable[[int], None] = lambda _: None,
) -> None:
    """Serve until `stop` is set; `ready` gets the port, which matters where the given one is 0."""
    runner = web.AppRunner(server.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        with listening(host, port):
            await site.start()
        ready(int(runner.addresses[0][1]))
        await stop.wait()
    finally:
        server.provider.clear()
        await runner.cleanup()
