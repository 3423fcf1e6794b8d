"""What became of a call, by what the application was told or met: the outcomes of gateways, for both arms alike."""

from collections.abc import Mapping
from typing import Any

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.request_outcome import RequestOutcome, outcome_of_end

_NO_ANSWERS = frozenset({RequestOutcome.FILTERED, RequestOutcome.CUT})
_LEFT = frozenset({"CancelledError", "GeneratorExit", "KeyboardInterrupt", "SystemExit"})
_CONNECTING = ("Connect", "SSL", "DNS", "gaierror", "Proxy")
_BROKEN = ("RemoteProtocolError", "ReadError", "IncompleteRead", "ClientPayloadError", "ConnectionReset", "Chunked")


def outcome_of_answer(finish_reason: str | None, text: str | None = None) -> RequestOutcome:
    """Of an answer that is there, by why it ended and, where it is given, its text."""
    outcome = outcome_of_end(finish_reason)
    is_empty = text is not None and not text.strip() and outcome not in _NO_ANSWERS
    return RequestOutcome.EMPTY if is_empty else outcome


def outcome_of_error(error: BaseException, *, began: bool = False) -> tuple[RequestOutcome, int | None]:
    """Of an exception in place of an answer, or in the midst of one (`began`); with HTTP's status where it has one.

    A status and a provider's words mean what they mean to a gateway. Of other exceptions the class decides, and what
    nobody knows counts as an answer that is none: both arms are judged by it.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _LEFT:
        return RequestOutcome.CLIENT_GONE, None
    status = _status_of(error)
    if status is not None:
        return (RequestOutcome.CUT if began else _of_status(status, error)), status
    if not began and isinstance(getattr(error, "body", None), Mapping):  # an error in place of an answer
        return _of_status(200, error), None
    return (_in_the_midst if began else _before)(error, "|".join(names)), None


def _before(error: BaseException, names: str) -> RequestOutcome:
    """Of an exception before anything came, which has no status; `names` are those of its class and their bases."""
    if isinstance(error, SoftlaunchError):  # such as a variable that the prompt lacks
        return RequestOutcome.REQUEST_AT_FAULT
    if isinstance(error, TimeoutError) or "Timeout" in names:
        return RequestOutcome.CONNECT if "ConnectTimeout" in names else RequestOutcome.TOTAL_TIMEOUT
    if any(part in names for part in _BROKEN) and not isinstance(error, ConnectionError):
        return RequestOutcome.CUT
    is_connection = isinstance(error, OSError) or any(part in names for part in _CONNECTING)
    return RequestOutcome.CONNECT if is_connection else RequestOutcome.MALFORMED


def _in_the_midst(error: BaseException, names: str) -> RequestOutcome:
    is_timeout = isinstance(error, TimeoutError) or "Timeout" in names
    return RequestOutcome.IDLE_TIMEOUT if is_timeout else RequestOutcome.CUT


def _of_status(status: int, error: BaseException) -> RequestOutcome:
    from softlaunch.gateway.refusals import classify, read_error  # loads orjson, which only failures need

    return classify(status, read_error(_document_of(error))).outcome


def _status_of(error: BaseException) -> int | None:
    """The status that an HTTP client's exception carries, wherever it does."""
    response = getattr(error, "response", None)
    for value in (
        getattr(error, "status_code", None),
        getattr(response, "status_code", None),
        getattr(error, "status", None),
        getattr(error, "code", None) if type(error).__name__ == "HTTPError" else None,
    ):
        if isinstance(value, int) and not isinstance(value, bool) and 300 <= value < 600:
            return value
    return None


def _document_of(error: BaseException) -> Any:
    """The provider's words, as OpenAI's and Anthropic's packages keep them, or else those of the exception."""
    body = getattr(error, "body", None)
    if isinstance(body, Mapping):
        return dict(body) if "error" in body else {"error": dict(body)}
    return {"error": {"message": str(error)}}
