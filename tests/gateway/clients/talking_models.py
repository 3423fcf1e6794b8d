"""A provider that can do all of the conversation."""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
from aiohttp import web

from tests.support.servers import FakeModels, completion

RETRY_AFTER = "3"
"""Seconds; none of the clients waits as long for its first retry of its own accord."""


class TalkingModels(FakeModels):
    """A provider that can be made to do what the conversation needs besides.

    `busy` (429 with a `Retry-After` in seconds), `tool` (a tool is called), `open end` (the stream stays open for half
    a second behind the event that finishes the answer).
    """

    async def _answer(self, request: web.Request, body: dict[str, Any], fault: str) -> web.StreamResponse:
        if fault == "busy":
            error = {"error": {"message": "Slow down.", "type": "rate_limit_error", "param": None, "code": None}}
            return web.json_response(error, status=429, headers={"Retry-After": RETRY_AFTER})
        if fault not in {"tool", "open end"}:
            return await super()._answer(request, body, fault)
        if not body.get("stream"):
            return web.json_response(_whole_call(body["model"]))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in _call_chunks(body["model"]) if fault == "tool" else _text_chunks(body["model"]):
            await response.write(b"data: " + orjson.dumps(chunk) + b"\n\n")
        if fault == "open end":
            await asyncio.sleep(0.5)
        await response.write(b"data: [DONE]\n\n")
        return response


def _whole_call(model: str) -> dict[str, Any]:
    called = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [called]}
    return {**completion(model), "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]}


def _call_chunks(model: str) -> Iterator[dict[str, Any]]:
    first = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    yield _chunk(model, {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **first}]})
    for piece in ('{"city"', ':"Oslo"}'):
        yield _chunk(model, {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    yield _chunk(model, {}, "tool_calls")


def _text_chunks(model: str) -> Iterator[dict[str, Any]]:
    for word in ("I ", "am ", f"{model}."):
        yield _chunk(model, {"content": word})
    yield _chunk(model, {}, "stop")


def _chunk(model: str, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model}
    return {**head, "choices": [choice]}
