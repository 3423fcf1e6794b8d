"""What a provider's error means: whose fault it is, and whether its words are meant for the client.

The dialects of OpenAI, Azure, vLLM, SGLang, llama.cpp, Groq, OpenRouter, Anthropic's compatibility, Moonshot, DeepSeek,
DashScope and FastAPI, by status, code, type and, where those tell too little, by words.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from softlaunch.core.request_outcome import RequestOutcome

_MOST_WORDS = 4000
_NUMBERS = ("status", "status_code", "code")
_ACCOUNT = re.compile(
    r"insufficient[_ ](quota|balance|credits?|funds)|exceeded[_ ](your[_ ])?current[_ ]quota|billing_(hard|not)"
    r"|plans? (and|&) billing|credit balance|out of credits?"
    r"|payment[_ ]required|account\b.{0,40}\b(deactivated|disabled|suspended|inactive)|arrearage"
    r"|authentication[_ ]error|(invalid|incorrect|missing|expired)[_ ]api[_ ]key"
    r"|api[_ ]key\b.{0,20}\b(invalid|expired|missing|not)"
    r"|invalid[_ ]authentication|unsupported[_ ]country"
)
_MODEL = re.compile(
    r"model[_ ]not[_ ]found|deployment[_ ]?not[_ ]?found|model_decommissioned|unknown model|no such model"
    r"|not a valid model|\b(model|deployment)\b.{0,200}\b(do(es)? not exist|doesn't exist|not found|not available"
    r"|deprecated|decommissioned|retired)"
)
_FAILED_ITSELF = re.compile(
    r"tool_use_failed|json_validate_failed|output_parse_failed|failed to (call a function|generate json)"
)
_MODERATED = re.compile(
    r"content[_ ]?filter|content[_ ]policy|content_management|moderation|flagged|responsible ?ai|content exists risk"
    r"|data_?inspection_?failed|inappropriate content|safety system|usage policies"
    r"|sensitive (content|information|words)"
)
_TOO_LONG = re.compile(
    r"context[_ ](length|window|size|limit)|maximum context|exceed_context_size|string_above_max_length|too many tokens"
    r"|\b(prompt|input|request|messages?)\b.{0,60}\btoo (long|large)|reduce (the|your) (length|prompt|input|messages?)"
    r"|tokens?\b.{0,80}\b(exceed|more than|longer than|larger than|maximum|limit of)|request_too_large"
)
_RATE = re.compile(r"rate[_ ]?limit|too[_ ]many[_ ]requests|(requests|tokens)[_ ]per[_ ](minute|day)|throttl|quota")
_TROUBLE = re.compile(
    r"overloaded|server[_ ]?error|internal|api[_ ]error|unavailable|bad gateway|upstream|no instances|timed? ?out"
    r"|deadline"
)
_INVALID = re.compile(r"invalid|bad ?request|unsupported|validation|unprocessable|not allowed|required|missing|must ")
_ANOTHER_OBJECT = re.compile(r"\b(files?|images?|documents?|audio|urls?|responses?|threads?|batch|tools?)\b")
_OURS = frozenset({401, 402, 403, 405, 407, 409, 410, 421, 423, 426})
"""Statuses that speak of endpoint, key or account, which the variant names: never the client's doing."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A provider's error: the outcome, the status for the client, and whether the provider's words are meant for it."""

    outcome: RequestOutcome
    status: int
    shown: bool = True


@dataclass(frozen=True, slots=True)
class ProviderError:
    """What an error document says: a status where it names one, and its codes, types and words in lower case."""

    status: int | None
    code: str
    words: str

    @property
    def all_words(self) -> str:
        """Code and words together."""
        return f"{self.code} {self.words}"


def read_error(document: object) -> ProviderError | None:
    """The error that a JSON document reports; None where it is no error document.

    Known shapes: `{"error": {...}}`, `{"error": "..."}`, `[{"error": {...}}]`, flat ones with `object: error` or a
    `message` and a `code`, `type` or `status`, `{"detail": ...}`, and Anthropic's `{"type": "error", "error": {...}}`.
    """
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    if isinstance(error, dict) and error:
        return _of_fields(error, document)
    if isinstance(error, str) and error:
        return _of_fields({**document, "message": document.get("message") or error, "type": error}, {})
    if document.get("choices"):
        return None
    return _of_fields(document, {}) if _is_flat_error(document) else None


def _is_flat_error(document: Mapping[str, Any]) -> bool:
    if "error" in (document.get("object"), document.get("type")) or document.get("success") is False:
        return True
    if "detail" in document and len(document) <= 2:
        return True
    named = document.get("code") or "error" in str(document.get("type", "")).lower() or _status(document.get("status"))
    return "message" in document and bool(named)


def classify(status: int, error: ProviderError | None) -> Refusal:
    """What an error comes to. `status` is HTTP's; with a success the document's own decides, or else its words."""
    said = error or ProviderError(None, "", "")
    if 200 <= status < 300:
        status = said.status or 0
    if status == 0:
        return _of_words(said)
    if status >= 500:
        too_long = _TOO_LONG.search(said.all_words) is not None
        return Refusal(RequestOutcome.REQUEST_AT_FAULT if too_long else RequestOutcome.PROVIDER_FAILED, status)
    if status < 400 or status in {401, 402, 407}:
        return _HIDDEN
    if status == 429:
        return _HIDDEN if _ACCOUNT.search(said.all_words) else Refusal(RequestOutcome.RATE_LIMITED, status)
    return _of_client_error(status, said)


_HIDDEN = Refusal(RequestOutcome.PROVIDER_FAILED, 502, shown=False)


def _of_client_error(status: int, error: ProviderError) -> Refusal:
    """Of the statuses from 400 to 499 that don't speak for themselves."""
    known = _of_known_words(error, status)
    if known is not None:
        return known
    if status in _OURS or (status == 404 and not _names_another_object(error)):
        return _HIDDEN
    if status == 408:
        return Refusal(RequestOutcome.TOTAL_TIMEOUT, status)
    if status == 498 or _RATE.search(error.code):  # 498 is Groq's word for no capacity
        return Refusal(RequestOutcome.RATE_LIMITED, status)
    return Refusal(RequestOutcome.REQUEST_AT_FAULT, status)


def _of_known_words(error: ProviderError, status: int) -> Refusal | None:
    """By words that mean the same under any status."""
    words = error.all_words
    if _FAILED_ITSELF.search(words):
        return Refusal(RequestOutcome.MALFORMED, status)
    if _TOO_LONG.search(words) or _MODERATED.search(words):
        return Refusal(RequestOutcome.REQUEST_AT_FAULT, status)
    return _HIDDEN if _ACCOUNT.search(words) or _MODEL.search(words) else None


def _names_another_object(error: ProviderError) -> bool:
    return "model" not in error.all_words and _ANOTHER_OBJECT.search(error.words) is not None


def _of_words(error: ProviderError) -> Refusal:
    """Of an error that comes with success as HTTP's status and names no status of its own."""
    known = _of_known_words(error, 400)
    if known is not None:
        return known
    words = error.all_words
    if _RATE.search(words):
        return Refusal(RequestOutcome.RATE_LIMITED, 429)
    if _INVALID.search(words) and not _TROUBLE.search(words):
        return Refusal(RequestOutcome.REQUEST_AT_FAULT, 400)
    return Refusal(RequestOutcome.PROVIDER_FAILED, 502)


def _of_fields(error: Mapping[str, Any], around: Mapping[str, Any]) -> ProviderError:
    inner = error.get("innererror")
    metadata = error.get("metadata")
    codes = [error.get("code"), error.get("type"), around.get("type"), around.get("code")]
    codes += [inner.get("code")] if isinstance(inner, dict) else []
    codes += list(metadata) if isinstance(metadata, dict) else []
    code = " ".join(str(one) for one in codes if isinstance(one, str | int) and not isinstance(one, bool))
    words = [error.get("message"), error.get("detail"), error.get("msg"), error.get("reason")]
    said = " ".join(_as_text(one)[:_MOST_WORDS] for one in words if one)
    numbers = (*(error.get(key) for key in _NUMBERS), around.get("status"), around.get("code"))
    status = next((found for one in numbers if (found := _status(one)) is not None), None)
    return ProviderError(status, code[:_MOST_WORDS].lower(), said[:_MOST_WORDS].lower())


def _as_text(value: object) -> str:
    """Words, or a document of them such as FastAPI's `detail`; nothing where that can't be written."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return ""


def _status(value: object) -> int | None:
    """An HTTP error status; vLLM and others write it as a number or a string of digits, Google in words."""
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    is_status = isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600
    return value if is_status and isinstance(value, int) else None
