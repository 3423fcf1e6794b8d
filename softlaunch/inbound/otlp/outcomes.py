"""What became of a model call, by what its span says: the outcomes of the request log, for both arms by one rule."""

import re
from collections.abc import Iterable

from softlaunch.core.request_outcome import RequestOutcome, outcome_of_end
from softlaunch.gateway.refusals import ProviderError, classify

_STATUS = re.compile(r"(?:error|status)[ _-]?(?:code)?\W{1,3}([45]\d\d)\b|^\s*([45]\d\d)\b", re.IGNORECASE)
_WITHOUT_STATUS = (
    (re.compile(r"cancel|generatorexit|client_?gone|clientdisconnect|abort"), RequestOutcome.CLIENT_GONE),
    (re.compile(r"time_?d?_?out|deadline"), RequestOutcome.TOTAL_TIMEOUT),
    (re.compile(r"connect|unknownhost|gaierror|dns|socket|networkerror|fetch"), RequestOutcome.CONNECT),
    (re.compile(r"rate_?limit|too_?many_?requests|throttl"), RequestOutcome.RATE_LIMITED),
    (re.compile(r"authentic|permission|unauthori[sz]ed|forbidden|not_?found|quota|billing"), None),
    (
        re.compile(r"bad_?request|unprocessable|invalid_?request|context_?(length|window)"),
        RequestOutcome.REQUEST_AT_FAULT,
    ),
    (re.compile(r"decode|json|validation|malformed|parse"), RequestOutcome.MALFORMED),
)
"""By the name of an error that has no HTTP status; None is a fault of ours or of the provider."""


def answered_outcome(finish_reason: str, output_tokens: int | None, *, says: bool) -> RequestOutcome:
    """The outcome of a call without error; `says` where its answer is a text, and not numbers.

    An answer without a token is empty.
    """
    named = outcome_of_end(finish_reason)
    is_empty = says and output_tokens == 0 and named is RequestOutcome.ANSWERED
    return RequestOutcome.EMPTY if is_empty else named


def failed_outcome(error_types: Iterable[str], words: str, status: int | None) -> tuple[RequestOutcome, int]:
    """The outcome of a call with an error, and the HTTP status that it had or stands for.

    error_types: its names, such as error.type or the exception's class. words: what was said of it. status: HTTP's.
    """
    names = [name.rpartition(".")[2] for name in error_types if name]
    status = status or next((int(name) for name in names if re.fullmatch(r"[45]\d\d", name)), None)
    if status is None:
        found = _STATUS.search(words)
        status = int(found.group(1) or found.group(2)) if found else None
    if status is not None:
        refused = classify(status, ProviderError(None, " ".join(names).lower(), words.lower()))
        return refused.outcome, status
    return _by_name(" ".join(names).lower())


def _by_name(names: str) -> tuple[RequestOutcome, int]:
    for pattern, outcome in _WITHOUT_STATUS:
        if pattern.search(names):
            known = outcome or RequestOutcome.PROVIDER_FAILED
            return known, _STATUSES.get(known, 502)
    return RequestOutcome.PROVIDER_FAILED, 502


_STATUSES = {
    RequestOutcome.CLIENT_GONE: 499,
    RequestOutcome.TOTAL_TIMEOUT: 504,
    RequestOutcome.RATE_LIMITED: 429,
    RequestOutcome.REQUEST_AT_FAULT: 400,
}
"""The statuses that gateways log for these; 502 for what else failed."""
