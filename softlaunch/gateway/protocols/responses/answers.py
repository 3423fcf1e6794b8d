"""Reading answers of the Responses API, whole and in events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from softlaunch.core.request_outcome import RequestOutcome, outcome_of_end
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
from softlaunch.gateway.refusals import classify, read_error

_SILENT = frozenset({"reasoning", "compaction"})
_CALLS = frozenset({"function_call"})
_PENDING = frozenset({"queued", "in_progress"})
_FAILED, _CANCELLED = "failed", "cancelled"
_DELTA = ".delta"


@dataclass(slots=True)
class ResponseSeen(Seen):
    """What has been seen of one response."""

    texts: list[str] = field(default_factory=list)

    def take_items(self, items: object, *, keep_content: bool) -> None:
        """Its output, whole."""
        for place, item in enumerate(items if isinstance(items, list) else []):
            if isinstance(item, dict):
                self.take_item(place, item, keep_content=keep_content)

    def take_item(self, place: object, item: Mapping[str, Any], *, keep_content: bool) -> None:
        """One item of its output, whole."""
        kind = item.get("type")
        if kind == "message":
            parts = item.get("content")
            for part in parts if isinstance(parts, list) else []:
                if isinstance(part, dict):
                    self._take_part(part, keep_content=keep_content)
        elif kind in _CALLS:
            self.arguments.pop(place, None)
            self.add_arguments(place, item.get("arguments"), item.get("name"))
        elif kind not in _SILENT:
            self.says = True

    def take_again(self, items: object, *, keep_content: bool) -> None:
        """Its output, whole, in the place of what came of it piece by piece; where none is told that stays."""
        if items:
            self.content.clear()
            self.take_items(items, keep_content=keep_content)

    def finish(self, response: Mapping[str, Any]) -> None:
        """It ended, and how."""
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        self.finish_reason = name_of(reason) or name_of(response.get("status")) or "completed"
        is_cancelled = response.get("status") == _CANCELLED
        self.end = RequestOutcome.CLIENT_GONE if is_cancelled else outcome_of_end(self.finish_reason)

    def _take_part(self, part: Mapping[str, Any], *, keep_content: bool) -> None:
        text = part.get("text")
        if part.get("type") == "refusal":
            self.refuses = True
        elif isinstance(text, str):
            self.texts.append(text)
            self.add_text(text, keep=keep_content)
        else:
            self.says = True


def read_response(content: bytes, facts: Facts, *, json_wanted: bool) -> WholeAnswer:
    """A whole response; fills `facts`.

    One that failed is passed on as it is, and its outcome is that of its error. Raises MalformedAnswerError, and
    ReportedError for an error document and for a failure whose words speak of our account.
    """
    answer = parsed_answer(content)
    if not isinstance(answer, dict) or not isinstance(answer.get("output"), list):
        raise not_an_answer(answer, "is no response")
    note(facts, answer)
    seen = ResponseSeen()
    seen.take_items(answer["output"], keep_content=json_wanted)
    seen.finish(answer)
    text = "".join(seen.texts)
    if answer.get("status") in _PENDING:
        return WholeAnswer(RequestOutcome.ANSWERED, None, "", is_pending=True)
    if answer.get("status") == _FAILED:
        return WholeAnswer(_outcome_of_failed(answer), seen.finish_reason, text)
    return WholeAnswer(seen.outcome(json_wanted=json_wanted), seen.finish_reason, text, seen=seen)


def _outcome_of_failed(answer: Mapping[str, Any]) -> RequestOutcome:
    error = read_error(answer)
    refusal = classify(200, error)
    if not refusal.shown:
        raise ReportedError(error, {"error": answer.get("error")})
    return refusal.outcome


def note(facts: Facts, response: Mapping[str, Any]) -> None:
    """Take what a response says of itself, its id too."""
    facts.note(response)
    facts.answer_id = name_of(response.get("id")) or facts.answer_id


@dataclass(slots=True)
class ResponseStream(SingleAnswerStream[ResponseSeen]):
    """The events of a response."""

    _seen: ResponseSeen = field(default_factory=ResponseSeen)

    def _take_document(self, event: bytes, content: bytes, passed: list[bytes]) -> None:
        document = parsed(content)
        if not isinstance(document, dict):
            raise MalformedAnswerError("the provider's stream has an event that is no object")
        kind = document.get("type")
        if kind in ("ping", "keepalive"):
            self._take_ping(event if self._begun else b": ping\n\n", passed)
            return
        response = document.get("response")
        if isinstance(response, dict):
            note(self.facts, response)
        has_failed = isinstance(response, dict) and response.get("status") == _FAILED
        if kind in {"error", "response.failed"} or has_failed or (kind is None and read_error(document) is not None):
            self._report(event, {"error": _error_in(document)}, passed)
            return
        self._note(str(kind), document, response if isinstance(response, dict) else {})
        self._pass_or_hold(event, passed)
        self.ended = self.finished

    def _note(self, kind: str, document: Mapping[str, Any], response: Mapping[str, Any]) -> None:
        self._started = self._started or kind.startswith("response.")
        if kind in ("response.completed", "response.incomplete"):
            self._seen.take_again(response.get("output"), keep_content=self.json_wanted)
            self._seen.finish(response)
        elif kind == "response.output_item.done":
            item = document.get("item")
            if isinstance(item, dict):
                keeps = self.json_wanted and not self._seen.content
                self._seen.take_item(document.get("output_index"), item, keep_content=keeps)
        elif kind.endswith(_DELTA):
            delta = document.get("delta")
            self.token_seen = self.token_seen or bool(delta)
            if kind == "response.output_text.delta" and isinstance(delta, str):
                self._seen.add_text(delta, keep=self.json_wanted)
                self._hear(delta)


def _error_in(document: Mapping[str, Any]) -> object:
    response = document.get("response")
    if isinstance(response, dict):
        return response.get("error") or {"message": "the response failed"}
    return document.get("error") or {name: document.get(name) for name in ("message", "code", "param")}
