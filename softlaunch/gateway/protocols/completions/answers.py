"""Reading completions, whole and in chunks: a choice is a text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from softlaunch.gateway.protocols.answer import Facts, ReportedError, WholeAnswer, not_an_answer, parsed_answer
from softlaunch.gateway.protocols.chat.answers import Asked, ChoiceSeen, finish_reason_of, is_failure, outcome_of
from softlaunch.gateway.protocols.chat.stream import ChatStream
from softlaunch.gateway.refusals import read_error


def read_texts(content: bytes, facts: Facts, asked: Asked) -> WholeAnswer:
    """A whole completion; fills `facts`. Raises MalformedAnswerError, and ReportedError for an error document."""
    answer = parsed_answer(content)
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise not_an_answer(answer, "has no choices")
    facts.note(answer)
    seen = [_read_choice(choice, keep_content=asked.json) for choice in choices]
    text = choices[0].get("text")
    outcome = outcome_of(seen, json_wanted=asked.json)
    return WholeAnswer(outcome, seen[0].finish_reason, text if isinstance(text, str) else "")


def _read_choice(choice: Mapping[str, Any], *, keep_content: bool) -> ChoiceSeen:
    reason = finish_reason_of(choice)
    if is_failure(reason) or isinstance(choice.get("error"), dict):
        document = {"error": choice.get("error") or {"message": "the model failed"}}
        raise ReportedError(read_error(document), document)
    seen = ChoiceSeen()
    if reason is not None:
        seen.finish(reason)
    seen.take(_as_message(choice), keep_content=keep_content)
    return seen


@dataclass(slots=True)
class TextStream(ChatStream):
    """The chunks of a completion."""

    def _piece_of(self, choice: Mapping[str, Any]) -> object:
        """The text as a message has it."""
        return _as_message(choice)


def _as_message(choice: Mapping[str, Any]) -> dict[str, Any]:
    text = choice.get("text")
    return {"content": text if isinstance(text, str) else ""}
