"""Requests of the Responses API: what of them is text, and how a variant's prompt goes into them."""

from collections.abc import Iterable, Mapping
from typing import Any

from softlaunch.core.system_messages import SystemRule
from softlaunch.core.variant import Variant
from softlaunch.gateway.checks.form import Form, mapping, mappings
from softlaunch.gateway.protocols.parameters import lengths, parameters_of
from softlaunch.gateway.protocols.responses.parameters import put_in

_SYSTEM = ("system", "developer")
_NAMES = {"temperature": "temperature", "top_p": "top_p", **lengths("max_output_tokens")}
_TEXTS = frozenset({"input_text", "output_text", "text"})
Body = Mapping[str, Any]


def request_body(variant: Variant, request: Body, work: int) -> dict[str, Any]:
    """The body for the variant's endpoint.

    The prompt's system messages go before the client's `instructions`; `system: replace` leaves these out, and system
    messages in the input too. Its other messages go before the input where that begins a conversation: one that is
    continued has them already. Raises what rendering raises, and UnsuitableVariantError.
    """
    body = {key: value for key, value in request.items() if key != "variables"}
    body.update(parameters_of(variant, _NAMES, "Responses"))
    if variant.parameters is not None:
        body = put_in(body, variant.parameters)
    body["model"] = variant.model.model
    own = variant.prompt.render_own(request.get("variables") or {}, work)
    if variant.prompt.system is SystemRule.REPLACE:
        body.pop("instructions", None)
        if isinstance(body.get("input"), list):
            body["input"] = [item for item in body["input"] if not _is_system(item)]
    texts = [message["content"] for message in own if message["role"] in _SYSTEM and message["content"]]
    if texts:
        body["instructions"] = _joined("\n\n".join(texts), body.get("instructions"))
    others = [message for message in own if message["role"] not in _SYSTEM]
    if others and not continues(request):
        body["input"] = [*others, *_items(body.get("input"))]
    return body


def continues(body: Body) -> bool:
    """Whether the request goes on with what its provider has kept."""
    return bool(body.get("previous_response_id") or body.get("conversation"))


def first_of_user(body: Body) -> object:
    """What tells a conversation from others: its own name where the request says it, or the first user's words."""
    named = body.get("conversation")
    if named:
        return named.get("id") if isinstance(named, dict) else named
    return next((item.get("content") for item in _items(body.get("input")) if item.get("role") == "user"), None)


def question_of(body: Body) -> str:
    """The text of the last user's message, empty where there is none."""
    for item in reversed(_items(body.get("input"))):
        if item.get("role") == "user":
            return "\n".join(_texts(item.get("content")))
    return ""


def size_before_answers(body: Body) -> int:
    """Characters of the instructions, of the input up to the first item that a model or a tool made, of variables."""
    size = sum(map(len, _texts(body.get("instructions"))))
    for item in _items(body.get("input")):
        if item.get("role") == "assistant" or item.get("type", "message") != "message":
            break
        size += sum(map(len, _texts(item.get("content"))))
    variables = body.get("variables") or {}
    return size + sum(len(value) for value in variables.values() if isinstance(value, str))


def wants_json(body: Body) -> bool:
    """Whether the answer's text is to be JSON."""
    return _format(body).get("type") in ("json_schema", "json_object")


def form_of(body: Body) -> Form:
    """The schemas of the answer's text and its functions' arguments; a prompt that the provider keeps may have more."""
    tools = mappings(body.get("tools"))
    schemas = {tool["name"]: tool.get("parameters") for tool in tools if isinstance(tool.get("name"), str)}
    return Form(_format(body).get("schema"), None if body.get("prompt") else schemas)


def _format(body: Body) -> Mapping[str, Any]:
    return mapping(mapping(body.get("text")).get("format"))


def _joined(text: str, client: object) -> object:
    if not client:
        return text
    if isinstance(client, str):
        return f"{text}\n\n{client}"
    return [{"role": "developer", "content": text}, *client] if isinstance(client, list) else client


def _items(given: object) -> list[Mapping[str, Any]]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []


def _is_system(item: object) -> bool:
    return isinstance(item, dict) and item.get("role") in _SYSTEM


def _texts(content: object) -> Iterable[str]:
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") in _TEXTS]
    return [text for text in texts if isinstance(text, str)]
