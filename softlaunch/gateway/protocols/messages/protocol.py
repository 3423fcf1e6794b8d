"""The Messages API as one of the gateway's protocols."""

from typing import Any

import orjson

from softlaunch.core.api import Api
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import Variant
from softlaunch.gateway.checks.form import Form
from softlaunch.gateway.protocols.answer import Facts, WholeAnswer
from softlaunch.gateway.protocols.messages.answers import MessageStream, read_message
from softlaunch.gateway.protocols.messages.parameters import put_in
from softlaunch.gateway.protocols.messages.requests import (
    first_of_user,
    form_of,
    question_of,
    request_body,
    size_before_answers,
    wants_json,
)
from softlaunch.gateway.protocols.protocol import Body, LlmProtocol, StreamLimits
from softlaunch.gateway.wire import Fault, bad_parameter

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class Messages(LlmProtocol):
    """Anthropic's Messages."""

    api = Api.MESSAGES
    path = "/messages"

    def check(self, body: Body) -> None:
        """Messages there must be; what else is wrong the endpoint says."""
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
            raise bad_parameter("messages", "must be a list of at least one message object")

    def conversation(self, body: Body) -> object:
        """The content of the first user's message."""
        return first_of_user(body)

    def question(self, body: Body) -> str:
        """The text of the last user's message."""
        return question_of(body)

    def size_before_answers(self, body: Body) -> int:
        """The characters of the system's text, of the messages before the assistant's, and of the variables."""
        return size_before_answers(body)

    def request_body(self, variant: Variant, body: Body, work: int) -> dict[str, Any]:
        """The prompt goes into `system`, and before the client's messages."""
        return request_body(variant, body, work)

    def with_parameters(self, body: Body, parameters: Parameters) -> Body:
        """Tools, format and effort in this API's own shapes."""
        return put_in(body, parameters)

    def read(self, content: bytes, facts: Facts, asked: Body) -> WholeAnswer:
        """A whole message."""
        return read_message(content, facts, json_wanted=wants_json(asked))

    def stream(self, facts: Facts, asked: Body, limits: StreamLimits) -> MessageStream:
        """A message in events."""
        return MessageStream(limits.longest_event, limits.keep_text, facts, json_wanted=wants_json(asked))

    def wants_json(self, body: Body) -> bool:
        """Where the output's format says so."""
        return wants_json(body)

    def form(self, body: Body) -> Form:
        """The schema of the output's format, and those of the tools."""
        return form_of(body)

    def error(self, status: int, fault: Fault) -> bytes:
        """Anthropic's document, whose type goes by the status."""
        kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")
        return orjson.dumps({"type": "error", "error": {"type": kind, "message": fault.message}})

    def error_event(self, document: bytes) -> bytes:
        """An event named `error`; a provider's words of another kind become one."""
        try:
            error = orjson.loads(document)
        except orjson.JSONDecodeError:
            error = None
        if not isinstance(error, dict) or error.get("type") != "error":
            error = {"type": "error", "error": {"type": "api_error", "message": document.decode(errors="replace")}}
        return b"event: error\ndata: " + orjson.dumps(error) + b"\n\n"
