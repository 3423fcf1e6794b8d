"""Signed units: where a policy asks for it, whom a request is for is taken from nobody but who holds the app's secret.

A key that may chat can otherwise name any user, and as many of them as it likes; each is evidence of its own. An
unsigned request is refused, and not served as a unit of its own: that would be one more invented user.
"""

import hashlib
import hmac
from collections.abc import Mapping

from softlaunch.gateway.requests import ChatRequest
from softlaunch.gateway.units import unit_of
from softlaunch.gateway.wire import RefusedError
from softlaunch.policy.model import UnitPolicy

SIGNATURE = b"x-softlaunch-unit-signature"


def sign_unit(unit: str | bytes, secret: str) -> str:
    """The header's value for a unit: HMAC-SHA256 of its UTF-8 in hexadecimal."""
    content = unit if isinstance(unit, bytes) else unit.encode()
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def check_unit(request: ChatRequest, policy: UnitPolicy, environment: Mapping[str, str]) -> None:
    """Raises RefusedError unless the policy asks for no signature, or the unit has the right one."""
    if policy.signed_by is None:
        return
    secret = environment.get(policy.signed_by)
    if not secret:
        text = f"this app's units are signed: set {policy.signed_by} in the gateway's environment"
        raise RefusedError(503, text, kind="server_error", code="unit_secret_missing")
    unit = unit_of(request.body, request.headers, policy, request.request_id)
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
