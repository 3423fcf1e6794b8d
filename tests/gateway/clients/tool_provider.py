"""A fake provider of three APIs whose models call a tool, and answer with its result.

It is ours and no provider's: what it does is what the APIs' references say. Like a provider it keeps responses, so that
one can be continued by its id, by the model that gave it and no other.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import orjson
from aiohttp import web

from tests.gateway.clients import tool_answers as answers
from tests.gateway.clients.tool_answers import Document, Turn

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
_RESULTS: dict[str, Callable[[Document], str | None]] = {
    "/v1/chat/completions": answers.chat_result,
    "/v1/responses": answers.response_result,
    "/v1/messages": answers.message_result,
}


@dataclass
class ToolProvider:
    """Models named `<app>/<arm>`; `failing` ones fail whatever doesn't continue a response of theirs."""

    failing: set[str] = field(default_factory=set)
    begun: dict[str, str] = field(default_factory=dict)
    """The model that gave each response."""
    items: set[str] = field(default_factory=set)
    """The ids of the items that the account has."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and model of each request."""
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        body = orjson.loads(await request.read())
        path, model, before = request.path, body["model"], body.get("previous_response_id")
        self.asked.append((path, model))
        await asyncio.sleep(0.005)
        if before is not None and self.begun.get(before) != model:
            return _refused(404, f"Previous response with id '{before}' not found.")
        unknown = self._unknown_items(body) if path == "/v1/responses" else set()
        if unknown:
            return _refused(404, f"Items {unknown} not found.")
        if model in self.failing and before is None:
            return _refused(500, "The model is overloaded.")
        result = _RESULTS[path](body)
        turn = Turn(model, next(self._numbers), None if result is None else f"{model}: {result}")
        if path == "/v1/responses":
            self.begun[f"resp_{turn.number}"] = model
            self.items.add(answers.output_item(turn)["id"])
        return await _streamed(request, turn, before) if body.get("stream") else _whole(path, turn, before)

    def _unknown_items(self, body: Document) -> set[str]:
        items = body["input"] if isinstance(body["input"], list) else []
        return {item["id"] for item in items if item.get("type") == "item_reference"} - self.items


def _refused(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "server_error", "code": None}}, status=status)


def _whole(path: str, turn: Turn, before: str | None) -> web.Response:
    match path:
        case "/v1/responses":
            return web.json_response(answers.response(turn, before))
        case "/v1/messages":
            return web.json_response(answers.message(turn))
        case _:
            return web.json_response(answers.completion(turn))


async def _streamed(request: web.Request, turn: Turn, before: str | None) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    match request.path:
        case "/v1/responses":
            events = answers.response_events(turn, before)
        case "/v1/messages":
            events = answers.message_events(turn)
        case _:
            events = answers.chunks(turn)
    for event in events:
        await response.write(event)
    return response
