"""Reading chat completions: what became of each choice, and of the answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from softlaunch.core.request_outcome import RequestOutcome, outcome_of_end
from softlaunch.gateway.protocols.answer import (
    Facts,
    MalformedAnswerError,
    ReportedError,
    Seen,
    WholeAnswer,
    best_of,
    name_of,
    not_an_answer,
    parsed_answer,
)
from softlaunch.gateway.refusals import read_error

_WORDS = frozenset({"text", "thinking", "reasoning"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request decides how its answer is read: how many choices, whether JSON, whether usage was asked for."""

    choices: int = 1
    json: bool = False
    usage: bool = False

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Asked":
        """From a client's request body, whatever nonsense that holds."""
        count, wanted, options = body.get("n"), body.get("response_format"), body.get("stream_options")
        if count is None and wanted is None and options is None:
            return PLAIN
        kind = wanted.get("type") if isinstance(wanted, dict) else None
        return cls(
            count if isinstance(count, int) and count > 1 else 1,
            kind in ("json_object", "json_schema"),
            isinstance(options, dict) and bool(options.get("include_usage")),
        )


PLAIN = Asked()
"""One answer in words."""
_NO_ENDS = frozenset({"null", "none"})
"""What some write for no end at all."""


class ChoiceSeen(Seen):
    """What has been seen of one choice."""

    def take(self, message: Mapping[str, Any], *, keep_content: bool) -> None:
        """A message, or a piece of one."""
        content = message.get("content")
        if content:
            text = content if isinstance(content, str) else _text_of_parts(content)
            self.says = self.says or _shows_something(content)
            self.add_text(text, keep=keep_content)
        if message.get("refusal"):
            self.refuses = True
        if message.get("audio"):
            self.says = True
        if message.get("tool_calls") or message.get("function_call"):
            self._take_calls(message)

    def finish(self, reason: str) -> None:
        """It ended, and why."""
        self.finish_reason = reason
        self.end = outcome_of_end(reason)

    def _take_calls(self, message: Mapping[str, Any]) -> None:
        legacy = message.get("function_call")
        calls = message.get("tool_calls") if isinstance(message.get("tool_calls"), list) else []
        for place, call in enumerate([*(calls or []), *([{"function": legacy}] if legacy else [])]):
            if not isinstance(call, dict):
                continue
            index = call.get("index")
            function = call.get("function") or call.get("custom")  # what a custom tool is given is no JSON
            named = function if isinstance(function, dict) else {}
            self.add_arguments(index if isinstance(index, int) else place, named.get("arguments"), named.get("name"))


def outcome_of(choices: Iterable[ChoiceSeen], *, json_wanted: bool) -> RequestOutcome:
    """What became of an answer: the best of its choices, since a user can take that one."""
    return best_of(choice.outcome(json_wanted=json_wanted) for choice in choices)


def read_completion(body: bytes, facts: Facts, asked: Asked) -> WholeAnswer:
    """A whole completion; fills `facts`. Raises MalformedAnswerError, and ReportedError for an error document."""
    answer = parsed_answer(body)
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices:
        raise not_an_answer(answer, "has no choices")
    facts.note(answer)
    if isinstance(answer.get("error"), dict) and answer["error"]:  # a proxy's, beside what had come until then
        raise ReportedError(read_error({"error": answer["error"]}), {"error": answer["error"]})
    if len(choices) == 1 and not asked.json:
        text = _plain_text(choices[0])
        if text is not None:
            return WholeAnswer(RequestOutcome.ANSWERED, "stop", text)
    seen = [_read_choice(choice, answer, keep_content=asked.json) for choice in choices]
    outcome = outcome_of(seen, json_wanted=asked.json)
    return WholeAnswer(outcome, seen[0].finish_reason, text_of(answer), seen=seen[0])


def _plain_text(choice: object) -> str | None:
    """The text of a choice that is text and nothing else, as most are; None for others, which `_read_choice` reads."""
    if not isinstance(choice, dict) or choice.get("finish_reason") != "stop" or "error" in choice:
        return None
    message = choice.get("message")
    if not isinstance(message, dict) or message.get("tool_calls") or message.get("function_call"):
        return None
    content = message.get("content")
    return content if isinstance(content, str) and content and not content.isspace() else None


def _read_choice(choice: object, answer: Mapping[str, Any], *, keep_content: bool) -> ChoiceSeen:
    if not isinstance(choice, dict):
        raise MalformedAnswerError("the provider's answer has a choice that is no object")
    finish_reason = finish_reason_of(choice)
    if is_failure(finish_reason) or isinstance(choice.get("error"), dict):
        document = {"error": choice.get("error") or answer.get("error") or {"message": "the model failed"}}
        raise ReportedError(read_error(document), document)
    seen = ChoiceSeen()
    if finish_reason is not None:
        seen.finish(finish_reason)
    message = choice.get("message")
    if isinstance(message, dict):
        seen.take(message, keep_content=keep_content)
    elif choice.get("text"):  # completions of before chats, which some proxies answer with
        seen.says = True
    return seen


def finish_reason_of(choice: Mapping[str, Any]) -> str | None:
    """Why a choice ended, None while it hasn't: a short name, whatever the provider wrote."""
    reason = choice.get("finish_reason")
    if not reason or (isinstance(reason, str) and reason.lower() in _NO_ENDS):
        return None
    return name_of(reason) or "unknown"


def is_failure(finish_reason: str | None) -> bool:
    """Whether a choice ended because something failed: the model, its engine, the network."""
    return outcome_of_end(finish_reason) is RequestOutcome.CUT


def text_of(answer: Mapping[str, Any]) -> str:
    """The text of a completion's first choice, empty where it is none (tool calls)."""
    choice = answer["choices"][0]
    message = choice.get("message") if isinstance(choice, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else _text_of_parts(content)


def _text_of_parts(content: object) -> str:
    """The text of a content in parts, as Mistral's reasoning models have it."""
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _shows_something(content: object) -> bool:
    """Whether a content in parts has one that isn't text: a picture, a sound."""
    parts = content if isinstance(content, list) else []
    return any(isinstance(part, dict) and part.get("type") not in _WORDS for part in parts)
