"""What every protocol's answers have in common: facts about who gave them, and what became of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from softlaunch.core.odd_json import read_json
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.usage import NO_USAGE, Usage, read_usage
from softlaunch.gateway.checks.form import Form
from softlaunch.gateway.checks.said import Said
from softlaunch.gateway.refusals import ProviderError, read_error

_LONGEST_NAME = 200
_LONGEST_CHECKED = 4 * 1024 * 1024
_RANKS = (
    RequestOutcome.ANSWERED,
    RequestOutcome.TRUNCATED,
    RequestOutcome.INVALID,
    RequestOutcome.EMPTY,
    RequestOutcome.FILTERED,
    RequestOutcome.CUT,
    RequestOutcome.CLIENT_GONE,
)
_NO_ANSWERS = frozenset({RequestOutcome.FILTERED, RequestOutcome.CUT, RequestOutcome.CLIENT_GONE})


class MalformedAnswerError(ValueError):
    """A provider's answer that is none of its protocol."""


class ReportedError(Exception):
    """An error that a provider reports in place of an answer, with a success as HTTP's status."""

    def __init__(self, error: ProviderError | None, document: object) -> None:
        super().__init__("the provider reported an error in place of an answer")
        self.error = error
        try:
            self.body = orjson.dumps(document)
        except orjson.JSONEncodeError:  # nested deeper than what may be written
            self.body = orjson.dumps({"error": {"message": "the provider reported an error that can't be shown"}})


@dataclass(slots=True)
class Facts:
    """What an answer says about itself; None where it doesn't."""

    resolved_model: str | None = None
    fingerprint: str | None = None
    usage: Usage = NO_USAGE
    answer_id: str | None = None
    """Its id, where it can be continued by it."""

    def note(self, answer: Mapping[str, Any]) -> None:
        """Take what an answer, or one piece of it, says."""
        self.resolved_model = name_of(answer.get("model")) or self.resolved_model
        self.fingerprint = name_of(answer.get("system_fingerprint")) or self.fingerprint
        self.usage = self.usage.updated(read_usage(answer))


class WholeAnswer(NamedTuple):
    """An answer as it was read; `text` is that of the first choice, empty where it has none.

    One that `is_pending` is still being worked on, and has to be asked for by its id. `seen` is None where there is
    nothing but the text.
    """

    outcome: RequestOutcome
    finish_reason: str | None
    text: str
    is_pending: bool = False
    seen: "Seen | None" = None


def parsed_answer(content: bytes) -> Any:
    """The document of a whole answer. Raises MalformedAnswerError."""
    try:
        return read_json(content)
    except orjson.JSONDecodeError as error:
        raise MalformedAnswerError(f"the provider's answer is no JSON: {error}") from error


def not_an_answer(answer: object, what: str) -> Exception:
    """What to raise for a document that is none of the protocol's answers: the error that it reports, if it does."""
    reported = read_error(answer)
    return (
        MalformedAnswerError(f"the provider's answer {what}") if reported is None else ReportedError(reported, answer)
    )


def best_of(outcomes: Iterable[RequestOutcome]) -> RequestOutcome:
    """What became of an answer with several choices: the best of them, since a user can take that one."""
    return min(outcomes, key=_RANKS.index)


def name_of(value: object) -> str | None:
    """A short name as a provider writes it, None where it is none."""
    if not isinstance(value, str):
        return None
    return value[:_LONGEST_NAME].replace("\x00", "") if len(value) > _LONGEST_NAME or "\x00" in value else value


@dataclass(slots=True)
class Seen:
    """What has been seen of one answer: whether it says anything, its tool calls' arguments, and how it ended."""

    says: bool = False
    refuses: bool = False
    calls: bool = False
    finish_reason: str | None = None
    end: RequestOutcome = RequestOutcome.ANSWERED
    """What the provider's word for the end comes to, such as FILTERED or TRUNCATED."""
    content: list[str] = field(default_factory=list)
    arguments: dict[object, list[str]] = field(default_factory=dict)
    names: dict[object, str] = field(default_factory=dict)
    """Which tools its calls name."""
    _calls_at: dict[object, object] = field(default_factory=dict)
    _size: int = 0

    def add_text(self, text: str, *, keep: bool) -> None:
        """A piece of its text, which is kept where it has to be checked."""
        if text and not text.isspace():
            self.says = True
        if keep and text:
            self._keep(self.content, text)

    def add_arguments(self, call: object, text: object, name: object = None) -> None:
        """A piece of the arguments of one of its calls of tools, as JSON; anything else is no arguments.

        Some providers number every call 0, or none of them: where the arguments of a call are whole already, one that
        names a tool is the next call.
        """
        self.calls = True
        place, call = call, self._calls_at.get(call, call)
        if name and self.arguments.get(call) and _is_json_object("".join(self.arguments[call])):
            call = self._calls_at[place] = (place, len(self.arguments))
        if isinstance(name, str) and name:
            self.names[call] = name
        kept = self.arguments.setdefault(call, [])
        if isinstance(text, str):
            self._keep(kept, text)

    def outcome(self, *, json_wanted: bool) -> RequestOutcome:
        """What became of it, once it is over."""
        if self.end in _NO_ANSWERS:
            return self.end
        if not (self.says or self.refuses or self.calls):
            return RequestOutcome.EMPTY
        if self._size <= _LONGEST_CHECKED and self._is_invalid(json_wanted=json_wanted):
            return RequestOutcome.INVALID
        return self.end

    def note(self, said: Said, form: Form, *, json_wanted: bool) -> None:
        """Add what checks want to know, once it is over and isn't `invalid` already."""
        said.refuses, said.is_cut = self.refuses, self.end is RequestOutcome.TRUNCATED
        called = [(self.names.get(call), "".join(parts)) for call, parts in self.arguments.items()]
        said.is_off_form = not all(form.offers(name) for name, _ in called)
        if said.is_off_form or self._size > _LONGEST_CHECKED:
            return
        is_json = json_wanted and self.says and not (self.refuses or self.calls)
        said.documents = form.documents("".join(self.content) if is_json else None, called)

    def _keep(self, parts: list[str], text: str) -> None:
        """Keep text to be parsed, as far as a check of it is bounded."""
        self._size += len(text)
        if self._size <= _LONGEST_CHECKED:
            parts.append(text)

    def _is_invalid(self, *, json_wanted: bool) -> bool:
        if any(not _is_json_object("".join(parts)) for parts in self.arguments.values()):
            return True
        return json_wanted and self.says and not (self.refuses or self.calls) and not _is_json("".join(self.content))


def _is_json(text: str) -> bool:
    """Whether a text is a JSON document."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _is_json_object(text: str) -> bool:
    """Whether a tool call's arguments are a JSON object; nothing at all stands for no arguments."""
    stripped = text.strip()
    return not stripped or (stripped.startswith("{") and _is_json(stripped))
