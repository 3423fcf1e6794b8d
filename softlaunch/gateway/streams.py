"""Reading a streamed completion as it comes: what is passed on, when it is over, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.gateway.answers import (
    Asked,
    ChoiceSeen,
    Facts,
    MalformedAnswerError,
    ReportedError,
    finish_reason_of,
    outcome_of,
)
from softlaunch.gateway.refusals import read_error
from softlaunch.gateway.sse import EventSplitter, EventTooLongError, data_of, is_field, lines_of

_DONE = b"[DONE]"
_SIGNS_OF_LIFE = frozenset({b"", b"ping", b'"ping"', b"keepalive", b"keep-alive", b"{}", b"[]", b"null", b'""'})
_MOST_HELD = 64


@dataclass(slots=True)
class StreamReader:
    """Server-sent events of a streamed completion, taken apart as they come and put back as they were.

    What comes before the first token (the role, filters of the prompt) is held back until there is one, so that a
    failure up to then can still be answered by another. `pings` are signs of life of that time. The final chunk that
    only carries usage is left out unless the client asked for it.
    """

    asked: Asked = field(default_factory=Asked)
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
    _splitter: EventSplitter = field(init=False)
    _choices: dict[int, ChoiceSeen] = field(default_factory=dict)
    _unfinished: set[int] = field(default_factory=set)
    _held: list[bytes] = field(default_factory=list)
    _begun: bool = False
    _broken: MalformedAnswerError | None = None

    def __post_init__(self) -> None:
        self._splitter = EventSplitter(self.longest_event)

    def feed(self, chunk: bytes) -> bytes:
        """Whole events to pass on, possibly none.

        Raises MalformedAnswerError at an event that is no chunk and ReportedError at an error before the first token.
        One that came in a piece with good ones is kept for `check`, so that these are passed on however events arrive.
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
    def finished(self) -> bool:
        """Whether every choice that was asked for has finished: the client has its whole answer."""
        return bool(self._choices) and not self._unfinished and len(self._choices) >= self.asked.choices

    @property
    def whole(self) -> bool:
        """Whether this answer has an end: each choice that began has finished, or the protocol's end was seen."""
        return bool(self._choices) and not self.failed and (self.ended or not self._unfinished)

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        first = self._choices.get(min(self._choices, default=0))
        return first.finish_reason if first is not None else None

    def outcome(self) -> RequestOutcome:
        """What became of a whole answer."""
        return outcome_of(self._choices.values(), json_wanted=self.asked.json)

    def _take(self, event: bytes, passed: list[bytes]) -> None:
        content = data_of(event)
        if content is None:
            self._take_other(event, passed)
        elif content == _DONE:
            self._end(event, passed)
        elif content in _SIGNS_OF_LIFE or content.startswith(b":"):
            self._take_ping(b": ping\n\n", passed)
        else:
            self._take_chunk(event, _parsed(content), passed)

    def _take_other(self, event: bytes, passed: list[bytes]) -> None:
        """An event without data: a comment, a name, an id; or something that is no event at all."""
        for line in lines_of(event):
            if line.startswith(b"{") and read_error(_parsed(line)) is not None:
                self._report(event, _parsed(line), passed)
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
        if not self._choices:
            raise MalformedAnswerError("the provider's stream ended without a choice")
        self.ended = True
        self._begin(passed)
        passed.append(event)

    def _begin(self, passed: list[bytes]) -> None:
        self._begun = True
        passed.extend(self._held)
        self._held = []

    def _take_chunk(self, event: bytes, chunk: object, passed: list[bytes]) -> None:
        if isinstance(chunk, list) or (isinstance(chunk, dict) and not chunk.get("choices")):
            if isinstance(chunk, dict) and chunk.get("type") == "ping":
                self._take_ping(b": ping\n\n", passed)
                return
            if read_error(chunk) is not None:
                self._report(event, chunk, passed)
                return
        if not isinstance(chunk, dict):
            raise MalformedAnswerError("the provider's stream has an event that is no object")
        self.facts.note(chunk)
        choices = chunk.get("choices")
        if not choices:
            if self.asked.usage or not chunk.get("usage"):
                self._pass_or_hold(event, passed)
            return
        if self._read_choices(choices) or chunk.get("error"):
            self._report(event, {"error": _error_in(chunk)}, passed)
            return
        self._pass_or_hold(event, passed)

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

    def _read_choices(self, choices: object) -> bool:
        """Whether one of them says that it failed."""
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise MalformedAnswerError("the provider's stream has a chunk whose choices are no list of objects")
        failed = False
        for choice in choices:
            index = choice["index"] if isinstance(choice.get("index"), int) else 0
            seen = self._choices.get(index)
            if seen is None:
                seen = self._choices[index] = ChoiceSeen()
                self._unfinished.add(index)
            delta = choice.get("delta") or choice.get("message")  # some send the last piece as a whole message
            if isinstance(delta, dict):
                self._read_delta(delta, seen)
            reason = finish_reason_of(choice)
            if reason is not None:
                seen.finish_reason = reason
                if reason == "error":
                    failed = True
                else:
                    self._unfinished.discard(index)
        return failed

    def _read_delta(self, delta: Mapping[str, Any], seen: ChoiceSeen) -> None:
        if not self.token_seen:
            self.token_seen = any(value for key, value in delta.items() if key != "role")
        seen.take(delta, keep_content=self.asked.json)
        content = delta.get("content")
        if self.keep_text and isinstance(content, str):
            self.texts.append(content)


def _parsed(content: bytes) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise MalformedAnswerError(f"the provider's stream has an event that is no JSON: {error}") from error


def _error_in(chunk: Mapping[str, Any]) -> object:
    of_choices = (choice.get("error") for choice in chunk["choices"])
    return chunk.get("error") or next(filter(None, of_choices), None) or {"message": "the model failed"}
