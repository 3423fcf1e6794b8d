"""Tool calls of an answer: read from a completion, and used as the text of an answer that has no other."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from softlaunch.metrics import ToolCall

_MARK = '{"tool_calls":['


def tool_calls_of(message: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """The functions that a chat completion's message wants called; what isn't of that form is left out."""
    calls = message.get("tool_calls")
    functions = [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    named = [one for one in functions if isinstance(one, dict) and isinstance(one.get("name"), str)]
    return tuple(ToolCall(one["name"], _arguments(one.get("arguments"))) for one in named)


def write_tool_calls(calls: Sequence[ToolCall]) -> str:
    """Tool calls as a text that people and `tool_calls_in` can read."""
    return orjson.dumps({"tool_calls": [{"name": one.name, "arguments": one.arguments} for one in calls]}).decode()


def tool_calls_in(text: str) -> tuple[ToolCall, ...]:
    """The tool calls that `write_tool_calls` has written; none in any other text."""
    if not text.startswith(_MARK):
        return ()
    try:
        return tuple(ToolCall(one["name"], one["arguments"]) for one in orjson.loads(text)["tool_calls"])
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return ()


def _arguments(written: object) -> Mapping[str, Any] | None:
    try:
        parsed = orjson.loads(written) if isinstance(written, str) else written
        orjson.dumps(parsed)  # which refuses what is nested more than 254 levels deep
    except (orjson.JSONDecodeError, TypeError):
        return None
    return parsed if isinstance(parsed, dict) else None
