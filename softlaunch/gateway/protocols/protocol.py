"""The interface of a protocol: everything that the gateway asks about one API that applications speak.

A request is passed on to an endpoint that speaks the same API, and its answer comes back as it is. No protocol is
translated into another. A protocol is a folder beside this module, and one line in `registry`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from softlaunch.core.api import Api
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import Variant
from softlaunch.gateway.checks.form import Form
from softlaunch.gateway.protocols.answer import Facts, WholeAnswer
from softlaunch.gateway.protocols.event_stream import EventStream
from softlaunch.gateway.wire import Fault, error_body

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How a stream is read: the largest event in bytes, and whether its text is kept."""

    longest_event: int
    keep_text: bool = False


class LlmProtocol(ABC):
    """One API, towards clients and endpoints alike."""

    api: Api
    path: str
    """Where it is asked, behind `/v1` here and behind an endpoint's base URL there."""
    asks_for_usage = False
    """Whether a stream tells its usage only where `stream_options.include_usage` asks for it."""
    is_judged = True
    """Whether its requests are logged, copied and judged; those that ask no model are only passed on."""
    is_checked = True
    """Whether its answers are words to a user, which are checked."""
    has_texts = True
    """Whether its answers are texts, which may be kept and compared."""

    @abstractmethod
    def check(self, body: Body) -> None:
        """Refuse a request that no endpoint could answer. Raises RefusedError with the parameter at fault."""

    @abstractmethod
    def conversation(self, body: Body) -> object:
        """What tells a conversation from others: the content of the first user's message; None where there is none."""

    @abstractmethod
    def question(self, body: Body) -> str:
        """The text of the last user's message, empty where there is none."""

    @abstractmethod
    def size_before_answers(self, body: Body) -> int:
        """How many characters of text a request brought that no answer can have changed.

        They are what a conversation began with, whichever arm has answered in it since.
        """

    @abstractmethod
    def request_body(self, variant: Variant, body: Body, work: int) -> dict[str, Any]:
        """The body for the variant's endpoint: its prompt and parameters put in, everything else as the client sent it.

        Raises TemplateVariablesError, and HeavyTemplateError where rendering takes more than `work`; and
        UnsuitableVariantError.
        """

    @abstractmethod
    def with_parameters(self, body: Body, parameters: Parameters) -> Body:
        """A client's body with what a variant's parameters set in it: the body that an answer is read by.

        Raises UnsuitableVariantError.
        """

    @abstractmethod
    def read(self, content: bytes, facts: Facts, asked: Body) -> WholeAnswer:
        """A whole answer to a client's body; fills `facts`.

        Raises MalformedAnswerError, and ReportedError for an error document.
        """

    @abstractmethod
    def stream(self, facts: Facts, asked: Body, limits: StreamLimits) -> EventStream:
        """The reader of a streamed answer to a client's body."""

    def wants_json(self, body: Body) -> bool:  # noqa: ARG002
        """Whether the answer's text is to be JSON."""
        return False

    def form(self, body: Body) -> Form:  # noqa: ARG002
        """What a body asks of its answer's form, whatever nonsense that holds."""
        return Form()

    def error_event(self, document: bytes) -> bytes:
        """An error's document, the provider's or one of `error`, as an event of a stream.

        It is a chunk that is an error, as OpenAI's clients read it; a provider's words of another kind become one.
        """
        try:
            error = orjson.loads(document)
        except orjson.JSONDecodeError:
            error = {"error": {"message": document.decode(errors="replace"), "type": "upstream_error"}}
        return b"data: " + orjson.dumps(error) + b"\n\n"

    def error(self, status: int, fault: Fault) -> bytes:  # noqa: ARG002
        """The document of an error, as clients of this API understand it; OpenAI's unless it says otherwise."""
        return error_body(fault)

    def thread(self, body: Body) -> str | None:  # noqa: ARG002
        """The id of the answer that a request continues; None where each request brings its whole conversation."""
        return None

    def continuing(self, body: Body, own: str) -> Body:  # noqa: ARG002
        """The request with its provider's own id of what it continues."""
        return body

    def keeps_thread(self, body: Body) -> bool:  # noqa: ARG002
        """Whether the answer can be continued by its id."""
        return False
