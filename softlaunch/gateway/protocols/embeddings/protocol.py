"""Embeddings as one of the gateway's protocols."""

from typing import Any

from softlaunch.core.api import Api
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import Variant
from softlaunch.gateway.protocols.answer import Facts, MalformedAnswerError, WholeAnswer
from softlaunch.gateway.protocols.embeddings.answers import inputs_of, read_embeddings
from softlaunch.gateway.protocols.event_stream import EventStream
from softlaunch.gateway.protocols.protocol import Body, LlmProtocol, StreamLimits
from softlaunch.gateway.wire import bad_parameter


class Embeddings(LlmProtocol):
    """OpenAI's embeddings. Of a variant only its model counts: a prompt or a temperature would change the vectors."""

    api = Api.EMBEDDINGS
    path = "/embeddings"
    is_checked = False
    has_texts = False

    def check(self, body: Body) -> None:
        """An input there must be, and no stream; what else is wrong the endpoint says."""
        given = body.get("input")
        if not isinstance(given, str | list) or not given:
            raise bad_parameter("input", "must be a text, or a list of texts or tokens")
        if body.get("stream"):
            raise bad_parameter("stream", "must be left out: embeddings come whole")

    def conversation(self, body: Body) -> object:  # noqa: ARG002
        """There is none."""
        return None

    def question(self, body: Body) -> str:  # noqa: ARG002
        """Nobody asks anything."""
        return ""

    def size_before_answers(self, body: Body) -> int:
        """The characters of the input's texts; of tokens their number."""
        return _size(body["input"])

    def request_body(self, variant: Variant, body: Body, work: int) -> dict[str, Any]:  # noqa: ARG002
        """The client's own, with the variant's model."""
        sent = {key: value for key, value in body.items() if key != "variables"}
        return {**sent, "model": variant.model.model}

    def with_parameters(self, body: Body, parameters: Parameters) -> Body:  # noqa: ARG002
        """The body as it is: a further field could change the vectors."""
        return body

    def read(self, content: bytes, facts: Facts, asked: Body) -> WholeAnswer:
        """A vector for each input."""
        return read_embeddings(content, facts, inputs_of(asked))

    def stream(self, facts: Facts, asked: Body, limits: StreamLimits) -> EventStream:  # noqa: ARG002
        """Raises MalformedAnswerError: `check` refuses requests for one."""
        raise MalformedAnswerError("embeddings come whole")


def _size(given: object) -> int:
    if isinstance(given, str):
        return len(given)
    if not isinstance(given, list) or not given:
        return 1
    return len(given) if isinstance(given[0], int) else sum(map(_size, given))
