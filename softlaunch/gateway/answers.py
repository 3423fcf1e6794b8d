"""Reading a provider's answers: what they cost and who gave them, and whether a stream is whole."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from softlaunch.usage import Usage, read_usage

_LONGEST_NAME = 200
_LONGEST_EVENT = 4 * 1024 * 1024
_DONE = b"[DONE]"
_OTHER_LINES = (b":", b"event:", b"id:", b"retry:")


class MalformedAnswerError(ValueError):
    """A provider's answer that is no chat completion."""


@dataclass(slots=True)
class Facts:
    """What an answer says about itself; None where it doesn't."""

    resolved_model: str | None = None
    fingerprint: str | None = None
    usage: Usage = field(default_factory=Usage)

    def note(self, answer: Mapping[str, Any]) -> None:
        """Take what a completion, or one chunk of it, says."""
        self.resolved_model = _name(answer.get("model")) or self.resolved_model
        self.fingerprint = _name(answer.get("system_fingerprint")) or self.fingerprint
        self.usage = self.usage.updated(read_usage(answer))


def read_completion(body: bytes, facts: Facts) -> dict[str, Any]:
    """A whole completion; fills `facts`. Raises MalformedAnswerError."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedAnswerError(f"the provider's answer is no JSON: {error}") from error
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list) or not answer["choices"]:
        raise MalformedAnswerError("the provider's answer has no choices")
    facts.note(answer)
    return answer


def text_of(answer: Mapping[str, Any]) -> str:
    """The text of a completion's first choice, empty where it is none (tool calls)."""
    choice = answer["choices"][0]
    message = choice.get("message") if isinstance(choice, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""


@dataclass(slots=True)
class StreamReader:
    """Server-sent events of a streamed completion, taken apart as they come and put back as they were.

    `usage_wanted`: whether the client asked for the final chunk that only carries usage; otherwise it is left out.
    `longest_event` bounds an event, in bytes.
    """

    usage_wanted: bool
    facts: Facts = field(default_factory=Facts)
    token_seen: bool = False
    keep_text: bool = False
    texts: list[str] = field(default_factory=list)
    longest_event: int = _LONGEST_EVENT
    _rest: bytes = b""
    _open: set[int] = field(default_factory=set)
    _finished: set[int] = field(default_factory=set)
    _begun: bool = False
    _failed: bool = False
    _broken: MalformedAnswerError | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Whole events to pass on, possibly none. Raises MalformedAnswerError at an event that is no chunk.

        One that came in a piece with good ones is kept for `check`, so that these are passed on however events arrive.
        """
        *events, self._rest = _events(self._rest + chunk)
        if len(self._rest) > self.longest_event:
            raise MalformedAnswerError(f"the provider's stream has an event of more than {self.longest_event} bytes")
        passed = b""
        try:
            for event in events:
                if self._passes(event):
                    passed += event
        except MalformedAnswerError as error:
            if not passed:
                raise
            self._broken = error
        return passed

    def check(self) -> None:
        """Raise MalformedAnswerError for an event that stood behind those that the last piece brought."""
        if self._broken is not None:
            raise self._broken

    def close(self) -> bytes:
        """What is left when the stream has ended: its last event may lack its blank line."""
        event, self._rest = self._rest, b""
        return event + b"\n\n" if event.strip() and self._passes(event) else b""

    @property
    def whole(self) -> bool:
        """Whether every choice that began has finished, and at least one did."""
        return bool(self._finished) and not self._failed and not self._open

    def _passes(self, event: bytes) -> bool:
        content = b"\n".join(_data_lines(event))
        if not content:
            return self._passes_comment(event)
        if content == _DONE:
            return True
        try:
            chunk = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise MalformedAnswerError(f"the provider's stream has an event that is no JSON: {error}") from error
        if not isinstance(chunk, dict):
            raise MalformedAnswerError("the provider's stream has an event that is no object")
        if chunk.get("error"):
            self._note_error()
        self._begun = True
        self.facts.note(chunk)
        choices = chunk.get("choices")
        if not choices:
            return self.usage_wanted or not chunk.get("usage")
        self._read_choices(choices)
        return True

    def _passes_comment(self, event: bytes) -> bool:
        """Providers keep connections alive with comments; before the first chunk these aren't an answer yet."""
        if not all(line.startswith(_OTHER_LINES) for line in event.splitlines() if line):
            raise MalformedAnswerError("the provider was asked for server-sent events and sent something else")
        return self._begun

    def _note_error(self) -> None:
        self._failed = True
        if not self._begun:
            raise MalformedAnswerError("the provider's stream began with an error")

    def _read_choices(self, choices: object) -> None:
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise MalformedAnswerError("the provider's stream has a chunk whose choices are no list of objects")
        for choice in choices:
            index = choice["index"] if isinstance(choice.get("index"), int) else 0
            delta = choice.get("delta")
            if isinstance(delta, dict):
                self._read_delta(delta)
            if choice.get("finish_reason"):
                self._open.discard(index)
                self._finished.add(index)
            elif index not in self._finished:
                self._open.add(index)

    def _read_delta(self, delta: Mapping[str, Any]) -> None:
        self.token_seen = self.token_seen or any(value for key, value in delta.items() if key != "role")
        content = delta.get("content")
        if self.keep_text and isinstance(content, str):
            self.texts.append(content)


def _events(buffer: bytes) -> list[bytes]:
    """Events with their blank lines, then what is left over. Lines end in LF or CR LF."""
    separator = b"\r\n\r\n" if b"\r\n\r\n" in buffer else b"\n\n"
    *events, rest = buffer.split(separator)
    return [*(event + separator for event in events), rest]


def _data_lines(event: bytes) -> Iterator[bytes]:
    for line in event.splitlines():
        if line.startswith(b"data:"):
            yield line[5:].strip()


def _name(value: object) -> str | None:
    return value[:_LONGEST_NAME].replace("\x00", "") if isinstance(value, str) else None
