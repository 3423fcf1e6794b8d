"""The interface of a protocol: everything that the gateway asks about one API that applications speak.

A request is passed on to an endpoint that speaks the same API, and its answer comes back as it is. No protocol is
translated into another. A protocol is a folder beside this module, and one line in `registry`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from softlaunch.core.api import Api
from softlaunch.core.variant import Variant
from softlaunch.gateway.protocols.answer import Facts, WholeAnswer
from softlaunch.gateway.protocols.event_stream import EventStream
from softlaunch.gateway.wire import Fault

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How a stream is read: the largest event in bytes, and whether its text is kept."""

    longest_event: int
    keep_text: bool = False


class LlmProtocol(Protocol):
    """One API, towards clients and endpoints alike."""

    api: Api
    path: str
    """Where it is asked, behind `/v1` here and behind an endpoint's base URL there."""
    asks_for_usage: bool
    """Whether a stream tells its usage only where `stream_options.include_usage` asks for it."""

    is_judged: bool
    """Whether its requests are logged, copied and judged; those that ask no model are only passed on."""

    def check(self, body: Body) -> None:
        """Refuse a request that no endpoint could answer. Raises RefusedError with the parameter at fault."""

    def conversation(self, body: Body) -> object:
        """What tells a conversation from others: the content of the first user's message; None where there is none."""

    def question(self, body: Body) -> str:
        """The text of the last user's message, empty where there is none."""

    def size_before_answers(self, body: Body) -> int:
        """How many characters of text a request brought that no answer can have changed.

        They are what a conversation began with, whichever arm has answered in it since.
        """

    def request_body(self, variant: Variant, body: Body, work: int) -> dict[str, Any]:
        """The body for the variant's endpoint: its prompt and parameters put in, everything else as the client sent it.

        Raises TemplateVariablesError, and HeavyTemplateError where rendering takes more than `work`.
        """

    def thread(self, body: Body) -> str | None:
        """The id of the answer that a request continues, None where it continues none that its provider keeps."""

    def continuing(self, body: Body, own: str) -> Body:
        """The request with its provider's own id of what it continues."""

    def keeps_thread(self, body: Body) -> bool:
        """Whether the answer can be continued by its id."""

    def read(self, content: bytes, facts: Facts, asked: Body) -> WholeAnswer:
        """A whole answer to a client's body; fills `facts`.

        Raises MalformedAnswerError, and ReportedError for an error document.
        """

    def stream(self, facts: Facts, asked: Body, limits: StreamLimits) -> EventStream:
        """The reader of a streamed answer to a client's body."""

    def error(self, status: int, fault: Fault) -> bytes:
        """The document of an error, as clients of this API understand it."""

    def error_event(self, document: bytes) -> bytes:
        """An error's document, the provider's or one of `error`, as an event of a stream."""
