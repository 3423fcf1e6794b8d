"""A client's request, parsed once: what is wrong with it is said before any provider is asked."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from softlaunch.core.api import Api
from softlaunch.core.request_ids import request_id_for
from softlaunch.gateway.protocols.protocol import LlmProtocol
from softlaunch.gateway.table import AppRoute, RouteTable
from softlaunch.gateway.wire import Headers, RefusedError, bad_parameter, clipped, read_object

_FLAG, _OBJECT = (bool, NoneType), (dict, NoneType)
_LISTS = frozenset({b"tracestate", b"baggage", b"content-encoding", b"access-control-request-headers"})


@dataclass(slots=True)
class AppRequest:
    """What a client asks of an app. `size` is the body's, in bytes; `headers` have lower-case names.

    Not to be changed once it is sealed.
    """

    protocol: LlmProtocol
    request_id: str
    app: str
    body: Mapping[str, Any]
    headers: Mapping[bytes, bytes]
    size: int
    key: bytes = b""
    """The key of the gateway's that asked, empty at an open gateway."""

    @property
    def streamed(self) -> bool:
        """Whether the answer is to come piece by piece."""
        return self.body.get("stream") is True


def parse(protocol: LlmProtocol, content: bytes, headers: Mapping[bytes, bytes], deployment: str = "") -> AppRequest:
    """A request of the app that the body names as its model, or that the path names as a deployment.

    Raises RefusedError with 400 and the name of the parameter at fault.
    """
    body = read_object(content)
    app = deployment or body.get("model")
    if not isinstance(app, str) or not app:
        raise bad_parameter("model", "must name an app")
    if not isinstance(body.get("stream"), _FLAG):
        raise bad_parameter("stream", "must be true or false")
    if not isinstance(body.get("variables"), _OBJECT):
        raise bad_parameter("variables", "must be an object")
    protocol.check(body)
    return AppRequest(protocol, request_id_for(app), app, body, headers, len(content))


def find_app_route(table: RouteTable, app: str) -> AppRoute:
    """The app's route. Raises RefusedError: 404 that lists the known apps, 503 before the ledger was ever read."""
    served = table.get(app)
    if served is not None:
        return served
    if not table.has_been_read:
        text = "the gateway hasn't been able to read its routes yet; check its database"
        raise RefusedError(503, text, kind="server_error", code="starting", headers=retry_after(1))
    known = ", ".join(sorted(table.all())) or "none: start one with `softlaunch init`"
    raise RefusedError(
        404, f"there is no app {clipped(app)!r}; known apps: {known}", param="model", code="model_not_found"
    )


def check_served(api: Api, app_route: AppRoute) -> None:
    """Raises RefusedError with 404 where the app's model doesn't serve the API that is asked for."""
    if api in app_route.stable_apis:
        return
    route = app_route.route
    known = ", ".join(app_route.stable_apis)
    text = (
        f"app {route.app} can't be asked by the API {api}: its model {route.stable.model.name} serves {known}. Ask it "
        "by one of these; where its endpoint does serve that, say so under 'apis' in models.yaml"
    )
    raise RefusedError(404, text, param="model", code="unsupported_api")


def one_of_each(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """A request's headers by lower-case name; lists that may be sent in parts are put together, of others the last."""
    named = dict(headers)
    if len(named) == len(headers):
        return named
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found[name] = b", ".join([found[name], value]) if name in _LISTS and name in found else value
    return found


def check_key(headers: Mapping[bytes, bytes], keys: Sequence[bytes]) -> None:
    """Raises RefusedError with 401 unless one of the keys, if there are any, is presented.

    It stands in `Authorization: Bearer KEY`, or in `api-key` or `x-api-key` as other APIs have it.
    """
    if not keys:
        return
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    given = [headers.get(name, b"").strip() for name in (b"api-key", b"x-api-key")]
    given.append(token.strip() if scheme.lower() == b"bearer" else b"")
    matches = [hmac.compare_digest(one, key) for one in given for key in keys]  # every key, so that time tells nothing
    if not any(matches):
        text = "this gateway needs one of its API keys as 'Authorization: Bearer KEY', or as 'api-key' or 'x-api-key'"
        raise RefusedError(401, text, code="invalid_api_key", headers=[(b"www-authenticate", b"Bearer")])


def retry_after(seconds: int) -> Headers:
    """The header that tells a client when to come back."""
    return [(b"retry-after", str(seconds).encode())]
