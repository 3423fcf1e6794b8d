"""The Responses API as one of the gateway's protocols."""

from typing import Any

import orjson

from softlaunch.core.api import Api
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import Variant
from softlaunch.gateway.checks.form import Form
from softlaunch.gateway.protocols.answer import Facts, WholeAnswer
from softlaunch.gateway.protocols.protocol import Body, LlmProtocol, StreamLimits
from softlaunch.gateway.protocols.responses.answers import ResponseStream, read_response
from softlaunch.gateway.protocols.responses.parameters import put_in
from softlaunch.gateway.protocols.responses.requests import (
    first_of_user,
    form_of,
    question_of,
    request_body,
    size_before_answers,
    wants_json,
)
from softlaunch.gateway.wire import bad_parameter


class Responses(LlmProtocol):
    """OpenAI's Responses."""

    api = Api.RESPONSES
    path = "/responses"

    def check(self, body: Body) -> None:
        """The input is text or a list of items; what else is wrong the endpoint says."""
        if not isinstance(body.get("input"), str | list | None):
            raise bad_parameter("input", "must be a text or a list of items")
        if not isinstance(body.get("previous_response_id"), str | None):
            raise bad_parameter("previous_response_id", "must be the id of a response")

    def conversation(self, body: Body) -> object:
        """The conversation that the request names, or the content of the first user's message."""
        return first_of_user(body)

    def question(self, body: Body) -> str:
        """The text of the last user's message."""
        return question_of(body)

    def size_before_answers(self, body: Body) -> int:
        """The characters of the instructions, of the input before any answer, and of the variables."""
        return size_before_answers(body)

    def request_body(self, variant: Variant, body: Body, work: int) -> dict[str, Any]:
        """The prompt goes into `instructions`, and before the input of a conversation that begins."""
        return request_body(variant, body, work)

    def thread(self, body: Body) -> str | None:
        """The response that this one continues."""
        return body.get("previous_response_id") or None

    def continuing(self, body: Body, own: str) -> Body:
        """With the provider's id of the response before."""
        return {**body, "previous_response_id": own}

    def keeps_thread(self, body: Body) -> bool:
        """Unless the client said `store: false`, its provider keeps the response, to be continued."""
        return body.get("store") is not False

    def with_parameters(self, body: Body, parameters: Parameters) -> Body:
        """Tools, format and effort in this API's own shapes."""
        return put_in(body, parameters)

    def read(self, content: bytes, facts: Facts, asked: Body) -> WholeAnswer:
        """A whole response."""
        return read_response(content, facts, json_wanted=wants_json(asked))

    def stream(self, facts: Facts, asked: Body, limits: StreamLimits) -> ResponseStream:
        """A response in events."""
        return ResponseStream(limits.longest_event, limits.keep_text, facts, json_wanted=wants_json(asked))

    def wants_json(self, body: Body) -> bool:
        """Where the text's format says so."""
        return wants_json(body)

    def form(self, body: Body) -> Form:
        """The schema of the text's format, and of the functions."""
        return form_of(body)

    def error_event(self, document: bytes) -> bytes:
        """An event named `error`; a provider's words of another kind become one."""
        try:
            found = orjson.loads(document)
        except orjson.JSONDecodeError:
            found = None
        error = found.get("error") if isinstance(found, dict) else None
        if not isinstance(error, dict):
            error = {"message": document.decode(errors="replace"), "code": "upstream_error"}
        fields = {name: error.get(name) for name in ("code", "message", "param")}
        return b"event: error\ndata: " + orjson.dumps({"type": "error", **fields, "sequence_number": 0}) + b"\n\n"
