"""Reading a streamed chat completion: its choices, their deltas, and when all of them have finished."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.gateway.protocols.answer import MalformedAnswerError
from softlaunch.gateway.protocols.chat.answers import Asked, ChoiceSeen, finish_reason_of, is_failure, outcome_of
from softlaunch.gateway.protocols.event_stream import EventStream, parsed
from softlaunch.gateway.refusals import read_error


@dataclass(slots=True)
class ChatStream(EventStream):
    """The chunks of a chat completion. The final one that only carries usage is left out unless the client asked."""

    asked: Asked = field(default_factory=Asked)
    _choices: dict[int, ChoiceSeen] = field(default_factory=dict)
    _unfinished: set[int] = field(default_factory=set)

    @property
    def has_answer(self) -> bool:
        """Whether a choice has begun."""
        return bool(self._choices)

    @property
    def finished(self) -> bool:
        """Whether every choice that was asked for has finished."""
        return bool(self._choices) and not self._unfinished and len(self._choices) >= self.asked.choices

    @property
    def whole(self) -> bool:
        """Whether each choice that began has finished, or the protocol's end was seen."""
        return bool(self._choices) and not self.failed and (self.ended or not self._unfinished)

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        first = self.seen
        return first.finish_reason if first is not None else None

    @property
    def seen(self) -> ChoiceSeen | None:
        """What has been seen of the first choice."""
        return self._choices.get(min(self._choices, default=0))

    def outcome(self) -> RequestOutcome:
        """What became of the best of the choices."""
        return outcome_of(self._choices.values(), json_wanted=self.asked.json)

    def _take_document(self, event: bytes, content: bytes, passed: list[bytes]) -> None:
        chunk = parsed(content)
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
            piece = self._piece_of(choice)
            if isinstance(piece, dict):
                self._read_delta(piece, seen, is_first=index == 0)
            reason = finish_reason_of(choice)
            if reason is not None:
                seen.finish(reason)
                if is_failure(reason):
                    failed = True
                else:
                    self._unfinished.discard(index)
        return failed

    def _piece_of(self, choice: Mapping[str, Any]) -> object:
        """What of a message a choice brings; some send the last piece as a whole message, and some proxies a text."""
        text = choice.get("text")
        return choice.get("delta") or choice.get("message") or ({"content": text} if text else None)

    def _read_delta(self, delta: Mapping[str, Any], seen: ChoiceSeen, *, is_first: bool) -> None:
        if not self.token_seen:
            self.token_seen = any(value for key, value in delta.items() if key != "role")
        seen.take(delta, keep_content=self.asked.json)
        content = delta.get("content")
        if is_first and content and isinstance(content, str):
            self._hear(content)


def _error_in(chunk: Mapping[str, Any]) -> object:
    of_choices = (choice.get("error") for choice in chunk["choices"])
    return chunk.get("error") or next(filter(None, of_choices), None) or {"message": "the model failed"}
