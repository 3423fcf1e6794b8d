"""Completions as one of the gateway's protocols."""

from typing import Any

from softlaunch.core.api import Api
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import Variant
from softlaunch.gateway.protocols.answer import Facts, WholeAnswer
from softlaunch.gateway.protocols.completions.answers import TextStream, read_texts
from softlaunch.gateway.protocols.completions.requests import (
    asked_of,
    check,
    request_body,
    size_before_answers,
    texts_of,
    with_parameters,
)
from softlaunch.gateway.protocols.protocol import Body, LlmProtocol, StreamLimits
from softlaunch.gateway.wire import bad_parameter


class Completions(LlmProtocol):
    """OpenAI's completions of before chats."""

    api = Api.COMPLETIONS
    path = "/completions"
    is_checked = False
    asks_for_usage = True

    def check(self, body: Body) -> None:
        """A prompt there must be; what else is wrong the endpoint says."""
        check(body)
        if not isinstance(body.get("stream_options"), dict | None):
            raise bad_parameter("stream_options", "must be an object")

    def conversation(self, body: Body) -> object:
        """The prompt: nothing else tells one from another."""
        return body.get("prompt")

    def question(self, body: Body) -> str:
        """The first text that is to go on."""
        return next(iter(texts_of(body)), "")

    def size_before_answers(self, body: Body) -> int:
        """The characters of the prompt, and of the variables."""
        return size_before_answers(body)

    def request_body(self, variant: Variant, body: Body, work: int) -> dict[str, Any]:
        """The variant's prompt goes before the client's, as text."""
        return request_body(variant, body, work)

    def with_parameters(self, body: Body, parameters: Parameters) -> Body:
        """The parameters' further fields; tools, formats and effort are of later APIs."""
        return with_parameters(body, parameters)

    def read(self, content: bytes, facts: Facts, asked: Body) -> WholeAnswer:
        """A whole completion."""
        return read_texts(content, facts, asked_of(asked))

    def stream(self, facts: Facts, asked: Body, limits: StreamLimits) -> TextStream:
        """A completion in chunks."""
        return TextStream(limits.longest_event, limits.keep_text, facts, asked=asked_of(asked))
