"""Requests of the Messages API: what of them is text, and how a variant's prompt goes into them."""

from collections.abc import Mapping
from typing import Any

from softlaunch.core.system_messages import SystemRule
from softlaunch.core.variant import Variant
from softlaunch.gateway.checks.form import Form, mapping, mappings
from softlaunch.gateway.protocols.messages.parameters import put_in
from softlaunch.gateway.protocols.parameters import lengths, parameters_of

_SYSTEM = ("system", "developer")
_NAMES = {
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop_sequences",
    **lengths("max_tokens"),
}
Body = Mapping[str, Any]


def request_body(variant: Variant, request: Body, work: int) -> dict[str, Any]:
    """The body for the variant's endpoint.

    The prompt's system messages go before the client's `system` by the prompt's rule, as text where that is text and as
    a first block where it is blocks; its other messages go before the client's. Raises what rendering raises, and
    UnsuitableVariantError.
    """
    body = {key: value for key, value in request.items() if key != "variables"}
    body.update(parameters_of(variant, _NAMES, "Messages"))
    if variant.parameters is not None:
        body = put_in(body, variant.parameters)
    body["model"] = variant.model.model
    own = variant.prompt.render_own(request.get("variables") or {}, work)
    texts = [message["content"] for message in own if message["role"] in _SYSTEM and message["content"]]
    if variant.prompt.system is SystemRule.REPLACE:
        body.pop("system", None)
    if texts:
        body["system"] = _joined("\n\n".join(texts), body.get("system"))
    body["messages"] = [*(message for message in own if message["role"] not in _SYSTEM), *request["messages"]]
    return body


def _joined(text: str, client: object) -> object:
    if not client:
        return text
    if isinstance(client, str):
        return f"{text}\n\n{client}"
    return [{"type": "text", "text": text}, *client] if isinstance(client, list) else client


def first_of_user(body: Body) -> object:
    """The content of the first user's message, None where there is none."""
    return next((message.get("content") for message in body["messages"] if message.get("role") == "user"), None)


def question_of(body: Body) -> str:
    """The text of the last user's message that has any: one may hold only results of tools."""
    for message in reversed(body["messages"]):
        text = "\n".join(_texts(message.get("content"))) if message.get("role") == "user" else ""
        if text:
            return text
    return ""


def size_before_answers(body: Body) -> int:
    """Characters of the system's text, of the messages up to the first by the assistant, and of the variables."""
    size = sum(map(len, _texts(body.get("system"))))
    for message in body["messages"]:
        if message.get("role") == "assistant":
            break
        size += sum(map(len, _texts(message.get("content"))))
    variables = body.get("variables") or {}
    return size + sum(len(value) for value in variables.values() if isinstance(value, str))


def wants_json(body: Body) -> bool:
    """Whether the answer's text is to be JSON."""
    return _format(body).get("type") == "json_schema"


def form_of(body: Body) -> Form:
    """The schemas of the answer's text and of its tools' arguments; Anthropic's own tools have a name alone."""
    tools = mappings(body.get("tools"))
    schemas = {tool["name"]: tool.get("input_schema") for tool in tools if isinstance(tool.get("name"), str)}
    return Form(_format(body).get("schema"), schemas)


def _format(body: Body) -> Mapping[str, Any]:
    return mapping(mapping(body.get("output_config")).get("format") or body.get("output_format"))


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    blocks = content if isinstance(content, list) else []
    texts = [block.get("text") for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
    return [text for text in texts if isinstance(text, str)]
