"""Chat completions as one of the gateway's protocols."""

from typing import Any

from softlaunch.core.api import Api
from softlaunch.core.chat_parameters import put_in
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import Variant
from softlaunch.gateway.checks.form import Form
from softlaunch.gateway.protocols.answer import Facts, WholeAnswer
from softlaunch.gateway.protocols.chat.answers import Asked, read_completion
from softlaunch.gateway.protocols.chat.requests import first_of_user, form_of, question_of, size_before_answers
from softlaunch.gateway.protocols.chat.stream import ChatStream
from softlaunch.gateway.protocols.protocol import Body, LlmProtocol, StreamLimits
from softlaunch.gateway.wire import bad_parameter


class ChatCompletions(LlmProtocol):
    """OpenAI's chat completions."""

    api = Api.CHAT
    path = "/chat/completions"
    asks_for_usage = True

    def check(self, body: Body) -> None:
        """Messages there must be; what else is wrong the endpoint says."""
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
            raise bad_parameter("messages", "must be a list of at least one message object")
        if not isinstance(body.get("stream_options"), dict | None):
            raise bad_parameter("stream_options", "must be an object")

    def conversation(self, body: Body) -> object:
        """The content of the first user's message."""
        return first_of_user(body)

    def question(self, body: Body) -> str:
        """The text of the last user's message."""
        return question_of(body)

    def size_before_answers(self, body: Body) -> int:
        """The characters of the messages up to the first one by the assistant or a tool, and of the variables."""
        return size_before_answers(body)

    def request_body(self, variant: Variant, body: Body, work: int) -> dict[str, Any]:
        """The prompt's messages go before the client's."""
        return variant.request_body(body, work)

    def with_parameters(self, body: Body, parameters: Parameters) -> Body:
        """Tools, format and effort in this API's own shapes."""
        return put_in(body, parameters)

    def read(self, content: bytes, facts: Facts, asked: Body) -> WholeAnswer:
        """A whole completion."""
        return read_completion(content, facts, Asked.of(asked))

    def stream(self, facts: Facts, asked: Body, limits: StreamLimits) -> ChatStream:
        """A completion in chunks."""
        return ChatStream(limits.longest_event, limits.keep_text, facts, asked=Asked.of(asked))

    def wants_json(self, body: Body) -> bool:
        """Where the response's format says so."""
        return Asked.of(body).json

    def form(self, body: Body) -> Form:
        """The schema of the response's format, and of the functions and custom tools."""
        return form_of(body)
