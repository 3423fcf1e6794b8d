"""What every protocol's answers have in common: facts about who gave them, and what became of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.usage import NO_USAGE, Usage, read_usage
from softlaunch.gateway.refusals import ProviderError

_LONGEST_NAME = 200
_RANKS = (
    RequestOutcome.ANSWERED,
    RequestOutcome.TRUNCATED,
    RequestOutcome.INVALID,
    RequestOutcome.EMPTY,
    RequestOutcome.FILTERED,
)


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

    def note(self, answer: Mapping[str, Any]) -> None:
        """Take what an answer, or one piece of it, says."""
        self.resolved_model = name_of(answer.get("model")) or self.resolved_model
        self.fingerprint = name_of(answer.get("system_fingerprint")) or self.fingerprint
        self.usage = self.usage.updated(read_usage(answer))


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """An answer as it was read; `text` is that of the first choice, empty where it has none."""

    outcome: RequestOutcome
    finish_reason: str | None
    text: str


def best_of(outcomes: Iterable[RequestOutcome]) -> RequestOutcome:
    """What became of an answer with several choices: the best of them, since a user can take that one."""
    return min(outcomes, key=_RANKS.index)


def name_of(value: object) -> str | None:
    """A short name as a provider writes it, None where it is none."""
    return value[:_LONGEST_NAME].replace("\x00", "") if isinstance(value, str) else None


def is_json(text: str) -> bool:
    """Whether a text is a JSON document."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def is_json_object(text: str) -> bool:
    """Whether a tool call's arguments are a JSON object; nothing at all stands for no arguments."""
    stripped = text.strip()
    return not stripped or (stripped.startswith("{") and is_json(stripped))
