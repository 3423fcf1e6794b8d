"""What of a chat completion's request is text, and whose."""

from collections.abc import Mapping
from typing import Any

from softlaunch.gateway.checks.form import Form, mapping, mappings

_ANSWERERS = ("assistant", "tool", "function")


def question_of(body: Mapping[str, Any]) -> str:
    """The text of the last user message, empty where there is none."""
    for message in reversed(body["messages"]):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            parts = content if isinstance(content, list) else []
            texts = [part.get("text") for part in parts if isinstance(part, dict)]
            return "\n".join(text for text in texts if isinstance(text, str))
    return ""


def size_before_answers(body: Mapping[str, Any]) -> int:
    """How many characters of text a request brought that no answer can have changed.

    They are those of its messages up to the first one by the assistant or a tool, and of its variables: what a
    conversation began with, whichever arm has answered in it since.
    """
    size = 0
    for message in body["messages"]:
        if message.get("role") in _ANSWERERS:
            break
        content = message.get("content")
        size += len(content) if isinstance(content, str) else _text_size(content)
    variables = body.get("variables")
    if variables:
        size += sum(len(value) for value in variables.values() if isinstance(value, str))
    return size


def _text_size(content: object) -> int:
    """Characters in the texts of a message's parts; images and sounds have none."""
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return sum(len(text) for text in texts if isinstance(text, str))


def first_of_user(body: Mapping[str, Any]) -> object:
    """The content of the first user's message, None where there is none."""
    return next((message.get("content") for message in body["messages"] if message.get("role") == "user"), None)


def form_of(body: Mapping[str, Any]) -> Form:
    """The schemas of the answer's text and of its tools' arguments."""
    wanted = mapping(mapping(body.get("response_format")).get("json_schema")).get("schema")
    tools: dict[str, object] = {}
    for tool in [*mappings(body.get("tools")), *mappings(body.get("functions"))]:
        named = tool.get("function") or tool.get("custom") or tool
        if isinstance(named, dict) and isinstance(named.get("name"), str):
            tools[named["name"]] = named.get("parameters")
    return Form(wanted, tools)
