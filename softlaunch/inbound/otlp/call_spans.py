"""Spans of model calls, by the names of OpenTelemetry's GenAI conventions, of openinference and of traceloop.

| what | names, the first that is there |
| --- | --- |
| it is a model call | `gen_ai.operation.name`; `openinference.span.kind`; `llm.request.type` |
| models | `gen_ai.request.model`, `gen_ai.response.model`; `llm.request.model_name`, `llm.model_name` |
| tokens | `gen_ai.usage.*`, also by their older names; `llm.token_count.*`; `llm.usage.*` |
| how it ended | `gen_ai.response.finish_reasons`; `llm.finish_reason`; `llm.response.finish_reason` |
| how it failed | `error.type`, `http.response.status_code`, the exception's event, and the status |
| whose it is | `softlaunch.*`; the app's flag by `feature_flag.*`; a unit also by the name that the policy says |
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from softlaunch.core.api import Api
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.usage import NO_USAGE, Usage, read_usage
from softlaunch.inbound.otlp.attributes import Attributes, number_of, read_attributes, text_of
from softlaunch.inbound.otlp.flags import NAMES as FLAG_NAMES
from softlaunch.inbound.otlp.flags import own_of_flags
from softlaunch.inbound.otlp.names import APP, OWN, REQUEST, REVISION, UNIT
from softlaunch.inbound.otlp.outcomes import answered_outcome, failed_outcome
from softlaunch.policy.units import UnitSource

_OPERATIONS = {"chat": Api.CHAT, "text_completion": Api.COMPLETIONS, "embeddings": Api.EMBEDDINGS}
_OLD_OPERATIONS = {"chat": Api.CHAT, "completion": Api.COMPLETIONS, "embedding": Api.EMBEDDINGS}
_KINDS = {"LLM": None, "EMBEDDING": Api.EMBEDDINGS}
_GENERATE = "generate_content"

_ASKED = ("gen_ai.request.model", "llm.request.model_name")
_RESOLVED = ("gen_ai.response.model", "llm.response.model_name", "llm.model_name")
_FINGERPRINT = (
    "openai.response.system_fingerprint",
    "gen_ai.openai.response.system_fingerprint",
    "gen_ai.openai.system_fingerprint",
)
_ENDED = (
    "gen_ai.response.finish_reasons",
    "gen_ai.response.finish_reason",
    "llm.finish_reason",
    "llm.response.finish_reason",
    "gen_ai.response.stop_reason",
    "llm.response.stop_reason",
    "gen_ai.completion.0.finish_reason",
)
_STREAMS = ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming")
_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
_FIRST_CHUNK_EVENTS = frozenset({"First Token Stream Event", "gen_ai.content.completion.chunk"})
_STATUS_CODES = ("http.response.status_code", "http.status_code")
_TOKENS = {
    "prompt_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "llm.token_count.prompt",
    ),
    "completion_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "llm.token_count.completion",
    ),
}
_INPUT_TOKENS = {
    "cached_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    "audio_tokens": ("llm.token_count.prompt_details.audio",),
}
_OUTPUT_TOKENS = {
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    "audio_tokens": ("llm.token_count.completion_details.audio",),
}
_UNITS = {
    UnitSource.USER: ("user.id", "enduser.id", "gen_ai.user", "llm.user"),
    UnitSource.SESSION: ("session.id",),
    UnitSource.CONVERSATION: ("gen_ai.conversation.id",),
}
_ALL = frozenset(
    {
        *(*OWN, REQUEST, *FLAG_NAMES),
        *(*_ASKED, *_RESOLVED, *_FINGERPRINT, *_ENDED, *_STREAMS, _FIRST_CHUNK, *_STATUS_CODES),
        *("error.type", "gen_ai.operation.name", "llm.request.type", "openinference.span.kind"),
        *(name for group in (_TOKENS, _INPUT_TOKENS, _OUTPUT_TOKENS) for names in group.values() for name in names),
        *(name for names in _UNITS.values() for name in names),
    }
)
_EXCEPTION = frozenset({"exception.type", "exception.message"})
_MOST_EVENTS = 256
_FAILED = 2  # STATUS_CODE_ERROR


@dataclass(frozen=True, slots=True)
class CallSpan:
    """A model call as its span tells of it. Times are epoch seconds; texts are empty where nothing was said."""

    trace_id: str
    span_id: str
    began: float
    ended: float
    own: Attributes
    names: Attributes
    outcome: RequestOutcome
    status: int
    usage: Usage
    asked_model: str
    resolved_model: str | None
    fingerprint: str | None
    finish_reason: str | None
    first_token_ms: float | None
    streamed: bool
    api: Api | None

    @property
    def key(self) -> str:
        """What no other span has."""
        return self.trace_id + self.span_id

    @property
    def app(self) -> str:
        """The app that it says it belongs to."""
        return text_of(self.own, APP)

    @property
    def revision(self) -> int | None:
        """The revision of the route by which it says that its arm was drawn."""
        said = number_of(self.own, REVISION)
        return int(said) if said is not None and said == int(said) else None

    def unit(self, source: UnitSource) -> str:
        """Whom it says that the split was made by: in our own words, or where the policy says that units are named."""
        return text_of(self.own, UNIT) or text_of(self.names, *_UNITS.get(source, ()))


def request_id(app: str, trace_id: str, span_id: str) -> str:
    """The id in the request log of a call with a span: anybody who knows the span can tell it."""
    return f"{app}-{trace_id[-16:]}{span_id}"


def read_call(span: Any, resource: Attributes, apps: Container[str] = ()) -> CallSpan | None:
    """A span as a model call; None where it is something else, such as a tool or an agent.

    A flag that is named as one of the `apps` says whose it is, where the span doesn't.
    """
    found = read_attributes(span.attributes, _ALL)
    is_call, api = _operation(found)
    if not is_call or REQUEST in found:  # our own gateways have logged what their spans tell of
        return None
    began, ended = span.start_time_unix_nano / 1e9, span.end_time_unix_nano / 1e9
    usage = _usage(found)
    reason = text_of(found, *_ENDED)
    outcome, status = _outcome(span, found, reason, usage, says=api is not Api.EMBEDDINGS)
    first_token_ms = _first_token_ms(span, found)
    own = {**resource, **{name: value for name, value in found.items() if name in OWN}}
    return CallSpan(
        span.trace_id.hex(),
        span.span_id.hex(),
        began,
        ended,
        own={**own, **own_of_flags(span, found, own, apps)},
        names=found,
        outcome=outcome,
        status=status,
        usage=usage,
        asked_model=text_of(found, *_ASKED),
        resolved_model=text_of(found, *_RESOLVED) or None,
        fingerprint=text_of(found, *_FINGERPRINT) or None,
        finish_reason=reason or None,
        first_token_ms=first_token_ms,
        streamed=first_token_ms is not None or any(found.get(name) is True for name in _STREAMS),
        api=api,
    )


def _operation(found: Attributes) -> tuple[bool, Api | None]:
    """Whether a span is a model call, and by which API as far as is told."""
    named = text_of(found, "gen_ai.operation.name")
    if named:
        return named in _OPERATIONS or named == _GENERATE, _OPERATIONS.get(named)
    kind = text_of(found, "openinference.span.kind").upper()
    if kind:
        return kind in _KINDS, _KINDS.get(kind)
    old = text_of(found, "llm.request.type")
    return old in _OLD_OPERATIONS, _OLD_OPERATIONS.get(old)


def _usage(found: Attributes) -> Usage:
    counts = {key: number_of(found, *names) for key, names in _TOKENS.items()}
    inputs = {key: number_of(found, *names) for key, names in _INPUT_TOKENS.items()}
    outputs = {key: number_of(found, *names) for key, names in _OUTPUT_TOKENS.items()}
    written = {**counts, "prompt_tokens_details": inputs, "completion_tokens_details": outputs}
    return read_usage({"usage": written}) or NO_USAGE


def _outcome(span: Any, found: Attributes, reason: str, usage: Usage, *, says: bool) -> tuple[RequestOutcome, int]:
    raised = [read_attributes(event.attributes, _EXCEPTION) for event in span.events[:_MOST_EVENTS]]
    error_type = text_of(found, "error.type")
    if span.status.code != _FAILED and not error_type:
        return answered_outcome(reason, usage.output_tokens, says=says), 200
    types = [error_type, *(text_of(one, "exception.type") for one in raised)]
    words = [span.status.message[:1000], *(text_of(one, "exception.message") for one in raised)]
    status = number_of(found, *_STATUS_CODES)
    known = int(status) if status is not None and 400 <= status < 600 else None
    first, _, _ = words[0].partition(":")  # `RateLimitError: Error code: 429`, where no attribute names the class
    return failed_outcome([*types, first if first.isidentifier() else ""], " ".join(filter(None, words)), known)


def _first_token_ms(span: Any, found: Attributes) -> float | None:
    seconds = number_of(found, _FIRST_CHUNK)
    if seconds is not None and seconds >= 0:
        return seconds * 1000
    at = [event.time_unix_nano for event in span.events[:_MOST_EVENTS] if event.name in _FIRST_CHUNK_EVENTS]
    return max(0.0, (min(at) - span.start_time_unix_nano) / 1e6) if at else None
