"""Reading answers of the Messages API, whole and in events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from softlaunch.core.request_outcome import outcome_of_end
from softlaunch.gateway.protocols.answer import (
    Facts,
    MalformedAnswerError,
    ReportedError,
    Seen,
    WholeAnswer,
    name_of,
    not_an_answer,
    parsed_answer,
)
from softlaunch.gateway.protocols.event_stream import SingleAnswerStream, parsed
from softlaunch.gateway.refusals import read_error

_THOUGHTS = frozenset({"thinking", "redacted_thinking"})


@dataclass(slots=True)
class MessageSeen(Seen):
    """What has been seen of one message."""

    def take_block(self, place: object, block: Mapping[str, Any], *, keep_content: bool) -> None:
        """A block as it begins, or whole."""
        kind = block.get("type")
        if kind == "text":
            text = block.get("text")
            self.add_text(text if isinstance(text, str) else "", keep=keep_content)
        elif kind == "tool_use":
            self.add_arguments(place, _arguments_of(block.get("input")), block.get("name"))
        elif kind not in _THOUGHTS:
            self.says = True

    def finish(self, reason: object) -> None:
        """It ended, and why."""
        if reason is not None:
            self.finish_reason = name_of(reason) or "unknown"
            self.end = outcome_of_end(self.finish_reason)


def _arguments_of(given: object) -> str | None:
    """A call's input as text; in a stream it comes behind, in pieces."""
    if not isinstance(given, dict | None):
        return "[]"
    try:
        return orjson.dumps(given).decode() if given else None
    except orjson.JSONEncodeError:  # nested deeper than what may be written
        return None


def read_message(content: bytes, facts: Facts, *, json_wanted: bool) -> WholeAnswer:
    """A whole message; fills `facts`. Raises MalformedAnswerError, and ReportedError for an error document."""
    answer = parsed_answer(content)
    blocks = answer.get("content") if isinstance(answer, dict) else None
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise not_an_answer(answer, "is no message")
    facts.note(answer)
    seen = MessageSeen()
    for place, block in enumerate(blocks):
        seen.take_block(place, block, keep_content=json_wanted)
    seen.finish(answer.get("stop_reason"))
    texts = [block.get("text") for block in blocks if block.get("type") == "text"]
    text = "".join(text for text in texts if isinstance(text, str))
    return WholeAnswer(seen.outcome(json_wanted=json_wanted), seen.finish_reason, text, seen=seen)


@dataclass(slots=True)
class MessageStream(SingleAnswerStream[MessageSeen]):
    """The events of a message."""

    _seen: MessageSeen = field(default_factory=MessageSeen)
    _told_whole: set[object] = field(default_factory=set)
    """The calls whose input came with their beginning; what follows in pieces is the same once more."""

    def _take_document(self, event: bytes, content: bytes, passed: list[bytes]) -> None:
        document = parsed(content)
        if not isinstance(document, dict):
            raise MalformedAnswerError("the provider's stream has an event that is no object")
        kind = document.get("type")
        if kind == "ping":
            self._take_ping(event if self._begun else b": ping\n\n", passed)
        elif kind == "error":
            self._report(event, document, passed)
        elif kind == "message_stop":
            self._end(event, passed)
        else:
            self._note(kind, document)
            self._pass_or_hold(event, passed)

    def _note(self, kind: object, document: Mapping[str, Any]) -> None:
        match kind:
            case "message_start":
                self._started = True
                self.facts.note(_mapping(document.get("message")))
            case "content_block_start":
                block = _mapping(document.get("content_block"))
                self._seen.take_block(document.get("index"), block, keep_content=self.json_wanted)
                if block.get("type") == "tool_use":
                    self.token_seen = True
                    if block.get("input"):
                        self._told_whole.add(document.get("index"))
            case "content_block_delta":
                self._take_delta(document.get("index"), _mapping(document.get("delta")))
            case "message_delta":
                self.facts.note({"usage": document.get("usage")})
                self._seen.finish(_mapping(document.get("delta")).get("stop_reason"))
            case _:
                if not self._started and read_error(document) is not None:
                    raise ReportedError(read_error(document), document)

    def _take_delta(self, place: object, delta: Mapping[str, Any]) -> None:
        text, arguments, thought = delta.get("text"), delta.get("partial_json"), delta.get("thinking")
        self.token_seen = self.token_seen or bool(text or arguments or thought)
        if isinstance(text, str):
            self._seen.add_text(text, keep=self.json_wanted)
            self._hear(text)
        if place in self._seen.arguments and isinstance(arguments, str) and arguments:
            if place in self._told_whole:
                self._told_whole.discard(place)
                self._seen.arguments[place].clear()
            self._seen.add_arguments(place, arguments)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
