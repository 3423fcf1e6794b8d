"""Whom a request is for: the unit that traffic is split by, and how many requests name nobody.

The policy's own source is asked first, then the others in this order: the body's `user`, the policy's header (by
default `x-user-id`), `safety_identifier`, `metadata.user_id`, `prompt_cache_key`. The first text that isn't blank is
the unit. Sessions and conversations are asked only where the policy says so. A request that names nobody is a unit of
its own: its user may meet another arm with each question.
"""

import hashlib
import hmac
import logging
from collections import Counter
from collections.abc import Callable, Mapping

import orjson

from softlaunch.gateway.metrics import Metrics
from softlaunch.gateway.requests import AppRequest
from softlaunch.gateway.wire import RefusedError
from softlaunch.policy.limited import OnlyPolicy
from softlaunch.policy.units import UnitPolicy, UnitSource

_LOGGER = logging.getLogger(__name__)
_ENOUGH = 100


def unit_of(request: AppRequest, policy: UnitPolicy) -> str:
    """Whom the request is for, as the policy tells units apart; the request itself when it names nobody."""
    for source in (policy.source, *_ORDER):
        named = _SOURCES[source](request, policy)
        if named:
            return named
    return request.request_id


def occasion_of(request: AppRequest, unit: str, policy: UnitPolicy, now: float) -> str | None:
    """On which occasion a unit asks, where its arm is drawn afresh on each; None where it isn't.

    That is the number of the epoch of epoch seconds `now`, the same in every gateway, or the conversation. A request
    that names nobody, or that begins no conversation, has none.
    """
    if policy.redraw is None or unit == request.request_id:
        return None
    if isinstance(policy.redraw, float):
        return epoch_of(policy.redraw, now)
    return _of_conversation(request, policy) or None


def names_thread(request: AppRequest, policy: UnitPolicy) -> bool:
    """Whether the request's unit is a conversation by the policy's own word, and not somebody named in its place."""
    source = UnitSource.CONVERSATION if policy.redraw is not None else policy.source
    return bool(_SOURCES[source](request, policy))


def is_inside(request: AppRequest, unit: str, only: OnlyPolicy | None) -> bool:
    """Whether a request belongs to whom a stage is limited to; everybody does where it isn't."""
    if only is None:
        return True
    if not only.header:
        return unit in only.values
    return _header(request, only.header).strip() in only.values


def epoch_of(length: float, now: float) -> str:
    """The occasion of a unit whose arm is drawn afresh in every epoch of so many seconds; the same in every gateway."""
    return str(int(now // length))


class Units:
    """The units of a gateway's requests, and a hint in its log, once for each app, where most requests name nobody."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._seen: Counter[str] = Counter()
        self._unnamed: Counter[str] = Counter()

    def of(self, request: AppRequest, policy: UnitPolicy) -> str:
        """Whom a request is for; counts it."""
        unit = unit_of(request, policy)
        self._seen[request.app] += 1
        if unit == request.request_id:
            self._metrics.unnamed(request.app)
            self._unnamed[request.app] += 1
        if self._seen[request.app] == _ENOUGH and self._unnamed[request.app] * 2 > _ENOUGH:
            _LOGGER.warning(
                "%d of the first %d requests of %s name no user, so a user may meet another arm each time: send 'user' "
                "or 'safety_identifier' with them, or set where to find the name in the policy's 'unit'",
                self._unnamed[request.app],
                _ENOUGH,
                request.app,
            )
        return unit


def _field(name: str) -> Callable[[AppRequest, UnitPolicy], str]:
    return lambda request, policy: _text(request.body.get(name))  # noqa: ARG005


def _of_metadata(name: str) -> Callable[[AppRequest, UnitPolicy], str]:
    def read(request: AppRequest, policy: UnitPolicy) -> str:  # noqa: ARG001
        metadata = request.body.get("metadata")
        return _text(metadata.get(name)) if isinstance(metadata, dict) else ""

    return read


def _of_header(request: AppRequest, policy: UnitPolicy) -> str:
    return _text(_header(request, policy.header))


def _header(request: AppRequest, name: str) -> str:
    """A header as text: bytes that are UTF-8 are it, so that a name is the same in a header and in a body."""
    value = request.headers.get(name.lower().encode(), b"")
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _of_conversation(request: AppRequest, policy: UnitPolicy) -> str:  # noqa: ARG001
    """The hash of the conversation's own name, or of what the first user said."""
    named = request.body.get("conversation")
    content = (named.get("id") if isinstance(named, dict) else named) or request.protocol.conversation(request.body)
    return "" if content is None else unit_of_conversation(content)


def unit_of_conversation(content: object) -> str:
    """The unit of a conversation with this id, or that begins with these words.

    Empty for what is nested deeper than what can be passed on.
    """
    try:
        said = repr(content).encode() if isinstance(content, str) else orjson.dumps(content, option=_SORTED)
    except orjson.JSONEncodeError:
        return ""
    return hashlib.blake2b(said, digest_size=16).hexdigest()


def _text(value: object) -> str:
    return value if isinstance(value, str) and value.strip() else ""


_SORTED = orjson.OPT_SORT_KEYS
_ORDER = (
    UnitSource.USER,
    UnitSource.HEADER,
    UnitSource.SAFETY_IDENTIFIER,
    UnitSource.METADATA,
    UnitSource.PROMPT_CACHE_KEY,
)
_SOURCES: Mapping[UnitSource, Callable[[AppRequest, UnitPolicy], str]] = {
    UnitSource.USER: _field("user"),
    UnitSource.HEADER: _of_header,
    UnitSource.CONVERSATION: _of_conversation,
    UnitSource.SAFETY_IDENTIFIER: _field("safety_identifier"),
    UnitSource.METADATA: _of_metadata("user_id"),
    UnitSource.SESSION: _of_metadata("session_id"),
    UnitSource.PROMPT_CACHE_KEY: _field("prompt_cache_key"),
}


SIGNATURE = b"x-softlaunch-unit-signature"


def sign_unit(unit: str | bytes, secret: str) -> str:
    """The header's value for a unit: HMAC-SHA256 of its UTF-8 in hexadecimal."""
    content = unit if isinstance(unit, bytes) else unit.encode()
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def check_unit(request: AppRequest, policy: UnitPolicy, environment: Mapping[str, str]) -> None:
    """Raises RefusedError unless the policy asks for no signature, or the unit has the right one."""
    if policy.signed_by is None:
        return
    secret = environment.get(policy.signed_by)
    if not secret:
        text = f"this app's units are signed: set {policy.signed_by} in the gateway's environment"
        raise RefusedError(503, text, kind="server_error", code="unit_secret_missing")
    unit = unit_of(request, policy)
    given = request.headers.get(SIGNATURE, b"").strip().lower()
    if not any(hmac.compare_digest(given, sign_unit(signed, secret).encode()) for signed in _as_sent(unit)):
        text = (
            "this app wants to know whom a request is for from somebody who holds its secret: name the unit, and send "
            f"HMAC-SHA256({policy.signed_by}, unit) in hexadecimal as {SIGNATURE.decode()}"
        )
        raise RefusedError(403, text, code="unit_not_signed")


def _as_sent(unit: str) -> set[bytes]:
    """The unit's bytes, in UTF-8 or as they stood in a header."""
    try:
        return {unit.encode(), unit.encode("latin-1")}
    except UnicodeEncodeError:
        return {unit.encode()}
