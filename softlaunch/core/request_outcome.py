"""The outcomes of one request: one closed list, which gateway, log, gates, breaker and incidents share."""

from collections.abc import Mapping
from enum import StrEnum


class RequestOutcome(StrEnum):
    """What became of one request, for both arms by the same rule: the column `requests.outcome`."""

    __hash__ = str.__hash__  # equal to its text, and without a call of Python's for each look into a table

    ANSWERED = "answered"
    """Text, a refusal in words or tool calls, whole and in the form that was asked for."""
    TRUNCATED = "truncated"
    """An answer that the limit of tokens cut short."""
    EMPTY = "empty"
    """Whole, and without text, refusal or tool call; of embeddings, without a vector for each input."""
    FILTERED = "filtered"
    """Withheld, or broken off, by the provider's content filter."""
    INVALID = "invalid"
    """Whole, and not in the form that was asked for: JSON or a tool call's arguments that don't parse, no numbers."""
    PROVIDER_FAILED = "provider_failed"
    """A fault of the provider or of our account there: 5xx, no credit, a bad key, an unknown model."""
    RATE_LIMITED = "rate_limited"
    CONNECT = "connect"
    """The provider couldn't be reached, or closed the connection before it answered."""
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"  # noqa: S105  (a limit in time)
    IDLE_TIMEOUT = "idle_timeout"
    """The answer had begun, and then nothing came for too long."""
    TOTAL_TIMEOUT = "total_timeout"
    CUT = "cut"
    """The answer broke off, or an error was reported in its midst."""
    MALFORMED = "malformed"
    """What came is no answer of the protocol."""
    REQUEST_AT_FAULT = "request_at_fault"
    """Refused for what it asks: invalid, too long, moderated, unsupported, or lacking a variable of the prompt."""
    CLIENT_GONE = "client_gone"
    """The client left before its answer was over."""


ARM_FAILURES = frozenset(
    {
        RequestOutcome.PROVIDER_FAILED,
        RequestOutcome.RATE_LIMITED,
        RequestOutcome.CONNECT,
        RequestOutcome.FIRST_TOKEN_TIMEOUT,
        RequestOutcome.IDLE_TIMEOUT,
        RequestOutcome.TOTAL_TIMEOUT,
        RequestOutcome.CUT,
        RequestOutcome.MALFORMED,
    }
)
"""No answer, and never the request's doing: an error of the arm."""
UNUSABLE = frozenset({RequestOutcome.EMPTY, RequestOutcome.FILTERED, RequestOutcome.INVALID})
"""An answer that came and serves nobody: no error, but what the metric `unusable` counts."""
GOOD = frozenset({RequestOutcome.ANSWERED, RequestOutcome.TRUNCATED})
GIVEN = GOOD | UNUSABLE
"""The provider gave an answer."""
TIMEOUTS = frozenset({RequestOutcome.FIRST_TOKEN_TIMEOUT, RequestOutcome.IDLE_TIMEOUT, RequestOutcome.TOTAL_TIMEOUT})

_TRUNCATED_ENDS = (
    "length max_tokens max_output_tokens model_length model_context_window_exceeded token_limit incomplete"
)
_FILTERED_ENDS = (
    "content_filter content_filtered contentfilter safety image_safety recitation blocklist prohibited_content spii"
    " refusal sensitive guardrail_intervened error_toxic"
)
_FAILED_ENDS = "error failed network_error insufficient_system_resource abort aborted"
_OF_ENDS: Mapping[str, RequestOutcome] = {
    **dict.fromkeys(_TRUNCATED_ENDS.split(), RequestOutcome.TRUNCATED),
    **dict.fromkeys(_FILTERED_ENDS.split(), RequestOutcome.FILTERED),
    **dict.fromkeys(_FAILED_ENDS.split(), RequestOutcome.CUT),
}


def outcome_of_end(reason: str | None) -> RequestOutcome:
    """What an answer came to, by its provider's word for why it ended; ANSWERED by any word that isn't known.

    The words are those of OpenAI, Anthropic, Google, Mistral, Cohere, Bedrock, watsonx, DeepSeek, Zhipu, vLLM and
    SGLang, in small letters or large ones, with hyphens or underscores.
    """
    if reason is None:
        return RequestOutcome.ANSWERED
    return _OF_ENDS.get(reason.lower().replace("-", "_"), RequestOutcome.ANSWERED)


OF_ERRORS: Mapping[str | None, RequestOutcome] = {
    None: RequestOutcome.ANSWERED,
    "timeout": RequestOutcome.TOTAL_TIMEOUT,
    "connect": RequestOutcome.CONNECT,
    "http_5xx": RequestOutcome.PROVIDER_FAILED,
    "http_429": RequestOutcome.RATE_LIMITED,
    "http_4xx": RequestOutcome.REQUEST_AT_FAULT,
    "malformed": RequestOutcome.MALFORMED,
    "stream_cut": RequestOutcome.CUT,
    "client_gone": RequestOutcome.CLIENT_GONE,
    "render": RequestOutcome.REQUEST_AT_FAULT,
}
"""The outcomes of rows that ledgers and archives of before this table keep, by their column `error`."""
