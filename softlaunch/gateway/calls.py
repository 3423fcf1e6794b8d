"""Calls to providers and their answers: what is asked, what became of it, and where a stream goes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from softlaunch.core.api import Api
from softlaunch.core.request_outcome import GIVEN, RequestOutcome
from softlaunch.core.variant import ModelVersion, Variant
from softlaunch.gateway.checks.said import Said
from softlaunch.gateway.deadlines import TimeLimits
from softlaunch.gateway.protocols.answer import Facts, Seen, WholeAnswer
from softlaunch.gateway.protocols.protocol import LlmProtocol
from softlaunch.gateway.wire import JSON, Fault, Headers


class Sink(Protocol):
    """Where a streamed answer goes as it comes; `passed` are the provider's headers that go with it."""

    passed: Headers

    async def write(self, content: bytes) -> None:
        """Whole events; the first ones come with a status of 200."""

    async def ping(self, content: bytes) -> None:
        """A provider's sign of life before its first token; for a stream that was opened already."""

    def over(self) -> None:
        """Every choice has finished: a client that leaves from now on has its whole answer."""


class NoSink:
    """Nobody reads: the answer to a copy."""

    def __init__(self) -> None:
        self.passed: Headers = []

    async def write(self, content: bytes) -> None:
        """Do nothing."""

    async def ping(self, content: bytes) -> None:
        """Do nothing."""

    def over(self) -> None:
        """Do nothing."""


@dataclass(slots=True)
class Call:
    """A client's request body and headers for one variant; `keep_text` asks for the answer's text.

    Not to be changed; frozen it would take four times as long to make.
    """

    protocol: LlmProtocol
    variant: Variant
    body: Mapping[str, Any]
    limits: TimeLimits
    keep_text: bool = False
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    rewrite: Callable[[bytes, str | None], bytes] | None = None
    """What makes of whole documents and events, and of the answer's id, those that go to the client."""
    fallbacks: Sequence["Call"] = ()
    """The calls to make in its place, in order, where it brings no answer."""

    @property
    def asked(self) -> Mapping[str, Any]:
        """The body that the answer is read by: what the client and the variant's parameters ask for."""
        parameters = self.variant.parameters
        return self.body if parameters is None else self.protocol.with_parameters(self.body, parameters)

    @property
    def streamed(self) -> bool:
        """Whether the answer is asked for piece by piece."""
        return self.body.get("stream") is True


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A request about an answer that a provider keeps: the API, the client's headers, the limit to connect, a body."""

    api: Api
    headers: Mapping[bytes, bytes]
    connect_seconds: float
    content: bytes = b""


@dataclass(slots=True)
class Answer:
    """What became of one call.

    `body` is still to be sent with `status`, `headers` and what is `passed` on of the provider's, unless `streamed`:
    then the sink has had the beginning, and `body` is what remains to be added. Latencies are milliseconds from the
    call's beginning until the answer was over, without the time that a slow reader took to accept a stream. `attempts`
    counts how often the provider was asked.
    """

    protocol: LlmProtocol
    status: int = 200
    outcome: RequestOutcome = RequestOutcome.ANSWERED
    body: bytes = b""
    headers: Headers = field(default_factory=lambda: JSON)
    passed: Headers = field(default_factory=list)
    streamed: bool = False
    latency_ms: float = 0.0
    first_token_ms: float | None = None
    finish_reason: str | None = None
    attempts: int = 0
    facts: Facts = field(default_factory=Facts)
    text: str = ""
    answered_by: ModelVersion | None = None
    """The fallback model that gave it; None where the variant's own did."""
    said: Said | None = None
    """What is checked of it; None where there is no answer, or none in words."""
    checks: int | None = None
    """What the checks found, see `softlaunch.core.answer_checks`; None before it was looked at."""
    is_pending: bool = False
    """The provider still works on it, and wants to be asked for it by its id."""

    def read_whole(self, whole: WholeAnswer, call: Call) -> None:
        """Take what was read of an answer in one piece."""
        self.is_pending = whole.is_pending
        self.outcome, self.finish_reason = whole.outcome, whole.finish_reason
        self.text = whole.text if call.keep_text else ""
        if not whole.is_pending:
            self.hear(Said.whole(whole.text), whole.seen, call)

    def hear(self, said: Said, seen: Seen | None, call: Call) -> None:
        """Take what it said, for the checks, where it said something that can be checked."""
        if not call.protocol.is_checked:
            return
        if seen is not None:
            asked = call.asked
            seen.note(said, call.protocol.form(asked), json_wanted=call.protocol.wants_json(asked))
        self.said = said

    @property
    def told(self) -> Mapping[str, int | None]:
        """What its row says of it without its text."""
        return {"answer_size": None if self.said is None else self.said.size, "checks": self.checks}

    @property
    def given(self) -> bool:
        """Whether the provider gave an answer, usable or not."""
        return self.outcome in GIVEN

    def fail(self, status: int, outcome: RequestOutcome, message: str, kind: str = "upstream_error") -> None:
        """Turn into a failure; a stream that has begun ends with an error event."""
        self.outcome = outcome
        body = self.protocol.error(status, Fault(message, kind, outcome))
        self.status = self.status if self.streamed else status
        self.body = self.protocol.error_event(body) if self.streamed else body
