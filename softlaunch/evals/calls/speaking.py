"""How evals ask a model: for a chat completion where it serves one, else by Messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from softlaunch.core.api import Api
from softlaunch.core.prompt_templates import WHOLE_WORK
from softlaunch.core.usage import Usage, read_usage
from softlaunch.core.variant import ModelVersion, Variant
from softlaunch.evals.calls.tool_calls import tool_calls_of
from softlaunch.gateway.protocols.messages.requests import request_body as message_body
from softlaunch.metrics import ToolCall

_SYSTEM = ("system", "developer")
_LONGEST_MESSAGE = 4096
"""Tokens of an answer where nobody says how many: Messages must be told."""
MESSAGES_VERSION = ("anthropic-version", "2023-06-01")


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says: its text, its tool calls, what it took, and who gave it."""

    text: str | None
    calls: tuple[ToolCall, ...]
    usage: Usage
    resolved_model: Any = None
    fingerprint: Any = None


def api_of(model: ModelVersion) -> Api:
    """By which API evals ask a model."""
    asks_by_messages = Api.CHAT not in model.served_apis and Api.MESSAGES in model.served_apis
    return Api.MESSAGES if asks_by_messages else Api.CHAT


def body_of(variant: Variant, request: Mapping[str, Any]) -> dict[str, Any]:
    """The body for a client's request, written as for chats, by the API that the variant's model is asked by.

    Raises what rendering raises, and UnsuitableVariantError.
    """
    if api_of(variant.model) is Api.CHAT:
        return variant.request_body(request)
    messages = request.get("messages", ())
    texts = [message["content"] for message in messages if message["role"] in _SYSTEM and message["content"]]
    others = [message for message in messages if message["role"] not in _SYSTEM]
    asked = {**request, "messages": others, **({"system": "\n\n".join(texts)} if texts else {})}
    return {"max_tokens": _LONGEST_MESSAGE, **message_body(variant, asked, WHOLE_WORK)}


def read_chat(answer: Mapping[str, Any]) -> Said:
    """A chat completion's first choice. Raises LookupError, TypeError or AttributeError for what is none."""
    message = answer["choices"][0]["message"]
    text = message.get("content")
    if isinstance(text, list):
        text = "".join(part.get("text") or "" for part in text if isinstance(part, dict))
    usage = read_usage(answer) or Usage()
    return Said(text, tool_calls_of(message), usage, answer.get("model"), answer.get("system_fingerprint"))


def read_message(answer: Mapping[str, Any]) -> Said:
    """A message of the Messages API. Raises LookupError, TypeError or AttributeError for what is none."""
    blocks = answer["content"]
    text = "".join(block["text"] for block in blocks if block.get("type") == "text")
    calls = [block for block in blocks if block.get("type") == "tool_use"]
    named = tuple(
        ToolCall(block["name"], block["input"] if isinstance(block["input"], dict) else None) for block in calls
    )
    return Said(text, named, read_usage(answer) or Usage(), answer.get("model"))
