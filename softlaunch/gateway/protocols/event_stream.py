"""Reading a streamed answer as it comes: what is passed on, what is held back, and when it is over."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import orjson

from softlaunch.core.odd_json import read_json
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.gateway.checks.said import Listener
from softlaunch.gateway.protocols.answer import Facts, MalformedAnswerError, ReportedError, Seen
from softlaunch.gateway.refusals import read_error
from softlaunch.gateway.sse import EventSplitter, EventTooLongError, data_of, is_field, lines_of

_DONE = b"[DONE]"
_SIGNS_OF_LIFE = frozenset({b"", b"ping", b'"ping"', b"keepalive", b"keep-alive", b"{}", b"[]", b"null", b'""'})
_MOST_HELD = 64
SeenT = TypeVar("SeenT", bound=Seen)


@dataclass(slots=True)
class EventStream(ABC):
    """Server-sent events of one streamed answer, taken apart as they come and put back as they were.

    What comes before the first token (the role, filters of the prompt) is held back until there is one, so that a
    failure up to then can still be answered by another. `pings` are signs of life of that time. What the events mean is
    the protocol's: it says in `_take_document` what it read, and when the answer is over.
    """

    longest_event: int = 64 * 1024 * 1024
    keep_text: bool = False
    facts: Facts = field(default_factory=Facts)
    token_seen: bool = False
    ended: bool = False
    """The protocol's own end was seen."""
    failed: bool = False
    """An error was reported after the answer had begun."""
    pings: bytes = b""
    texts: list[str] = field(default_factory=list)
    heard: Listener = field(default_factory=Listener)
    _splitter: EventSplitter = field(init=False)
    _held: list[bytes] = field(default_factory=list)
    _begun: bool = False
    _broken: MalformedAnswerError | None = None

    def __post_init__(self) -> None:
        self._splitter = EventSplitter(self.longest_event)

    def feed(self, chunk: bytes) -> bytes:
        """Whole events to pass on, possibly none.

        Raises MalformedAnswerError at an event that isn't the protocol's and ReportedError at an error before the first
        token. One that came in a piece with good ones is kept for `check`, so that these are passed on however events
        arrive.
        """
        passed: list[bytes] = []
        try:
            for event in self._splitter.feed(chunk):
                self._take(event, passed)
                if self.ended or self.failed:
                    break
        except EventTooLongError as error:
            self._keep_or_raise(MalformedAnswerError(f"the provider's stream has {error}"), passed)
        except MalformedAnswerError as error:
            self._keep_or_raise(error, passed)
        return passed[0] if len(passed) == 1 else b"".join(passed)

    def _keep_or_raise(self, error: MalformedAnswerError, passed: list[bytes]) -> None:
        if not passed:
            raise error
        self._broken = error

    def check(self) -> None:
        """Raise MalformedAnswerError for an event that stood behind those that the last piece brought."""
        if self._broken is not None:
            raise self._broken

    def close(self) -> bytes:
        """What is left when the stream has ended: its last event may lack its blank line."""
        event = self._splitter.close()
        passed: list[bytes] = []
        if event and not self.ended:
            self._take(event, passed)
        if self._held and self.whole:
            passed = [*self._held, *passed]
            self._held = []
        return b"".join(passed)

    @property
    @abstractmethod
    def has_answer(self) -> bool:
        """Whether anything of an answer has been seen."""

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether everything that was asked for has come: the client has its whole answer."""

    @property
    @abstractmethod
    def whole(self) -> bool:
        """Whether this answer has an end: what began has finished, or the protocol's end was seen."""

    @property
    @abstractmethod
    def finish_reason(self) -> str | None:
        """Why the answer ended."""

    @property
    @abstractmethod
    def seen(self) -> Seen | None:
        """What has been seen of the first choice."""

    @abstractmethod
    def outcome(self) -> RequestOutcome:
        """What became of a whole answer."""

    @abstractmethod
    def _take_document(self, event: bytes, content: bytes, passed: list[bytes]) -> None:
        """An event with data that is neither a sign of life nor the mark of the end."""

    def _hear(self, text: str) -> None:
        """A piece of the first choice's text."""
        self.heard.hear(text)
        if self.keep_text:
            self.texts.append(text)

    def _take(self, event: bytes, passed: list[bytes]) -> None:
        content = data_of(event)
        if content is None:
            self._take_other(event, passed)
        elif content == _DONE:
            self._end(event, passed)
        elif content in _SIGNS_OF_LIFE or content.startswith(b":"):
            self._take_ping(b": ping\n\n", passed)
        else:
            self._take_document(event, content, passed)

    def _take_other(self, event: bytes, passed: list[bytes]) -> None:
        """An event without data: a comment, a name, an id; or something that is no event at all."""
        for line in lines_of(event):
            if line.startswith(b"{") and read_error(parsed(line)) is not None:
                self._report(event, parsed(line), passed)
                return
            if not is_field(line):
                raise MalformedAnswerError("the provider was asked for server-sent events and sent something else")
        if event.strip():
            self._take_ping(event, passed)

    def _take_ping(self, event: bytes, passed: list[bytes]) -> None:
        if self._begun:
            passed.append(event)
        else:
            self.pings = event

    def _end(self, event: bytes, passed: list[bytes]) -> None:
        if not self.has_answer:
            raise MalformedAnswerError("the provider's stream ended without a choice")
        self.ended = True
        self._begin(passed)
        passed.append(event)

    def _begin(self, passed: list[bytes]) -> None:
        self._begun = True
        passed.extend(self._held)
        self._held = []

    def _pass_or_hold(self, event: bytes, passed: list[bytes]) -> None:
        if not self._begun and (self.token_seen or self.finished or len(self._held) >= _MOST_HELD):
            self._begin(passed)
        if self._begun:
            passed.append(event)
        else:
            self._held.append(event)

    def _report(self, event: bytes, document: object, passed: list[bytes]) -> None:
        """An error: in place of an answer, or in the midst of one, where the client gets it as it came."""
        if self.finished:  # what fails after the answer is over changes nothing
            self.ended = True
            passed.append(event)
            return
        if not self._begun:
            raise ReportedError(read_error(document), document)
        self.failed = True
        passed.append(event if data_of(event) is not None else b"data: " + orjson.dumps(document) + b"\n\n")


@dataclass(slots=True)
class SingleAnswerStream(EventStream, Generic[SeenT]):
    """A stream of one answer, which says itself when it has finished."""

    json_wanted: bool = False
    _seen: SeenT = field(init=False)
    _started: bool = False

    @property
    def has_answer(self) -> bool:
        """Whether the answer has begun."""
        return self._started

    @property
    def finished(self) -> bool:
        """Whether it said why it ended: nothing of it follows."""
        return self._seen.finish_reason is not None

    @property
    def whole(self) -> bool:
        """Whether it has finished, or the protocol's end was seen."""
        return self._started and not self.failed and (self.ended or self.finished)

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended."""
        return self._seen.finish_reason

    @property
    def seen(self) -> SeenT:
        """What has been seen of the answer."""
        return self._seen

    def outcome(self) -> RequestOutcome:
        """What became of the answer."""
        return self._seen.outcome(json_wanted=self.json_wanted)


def parsed(content: bytes) -> object:
    """The JSON of an event. Raises MalformedAnswerError."""
    try:
        return read_json(content)
    except orjson.JSONDecodeError as error:
        raise MalformedAnswerError(f"the provider's stream has an event that is no JSON: {error}") from error
