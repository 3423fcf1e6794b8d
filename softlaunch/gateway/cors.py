"""Cross-origin requests: which web pages may call the gateway from a browser. None, unless the settings name them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.model_headers import is_header_value
from softlaunch.gateway.wire import Headers

ANY = "*"
_ORIGIN = re.compile(r"(?i)[a-z][a-z0-9+.-]*://[^/\s,?#]+")
_HOURS_24 = b"86400"
_EXPOSED = b", ".join(
    [
        b"x-softlaunch-request-id",
        b"x-softlaunch-variant",
        b"x-softlaunch-arm",
        b"x-softlaunch-settings",
        b"x-softlaunch-lease-left",
        b"etag",
        b"x-request-id",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
    ]
)


def checked_origin(text: str) -> str:
    """An origin as browsers write it. Raises SoftlaunchError."""
    origin = text.strip()
    if origin != ANY and not _ORIGIN.fullmatch(origin):
        raise SoftlaunchError(
            f"{origin!r} is no origin: write scheme, host and port as browsers do, such as https://chat.example.com, "
            "without a path or a slash at the end"
        )
    return origin.lower()


@dataclass(frozen=True, slots=True)
class Cors:
    """Origins such as `https://chat.example.com` whose pages may read answers; `*` is every page.

    No cookie is ever looked at, so a page can do what the key that it has allows, and no more.
    """

    origins: Sequence[str] = ()

    def headers(self, request: Mapping[bytes, bytes]) -> Headers:
        """What an answer to this request tells the browser; nothing where the page isn't of an allowed origin."""
        if not self.origins:
            return []
        varies = (b"vary", b"origin")
        origin = request.get(b"origin", b"")
        known = origin.decode("latin-1")
        if not known or not is_header_value(known) or not {ANY, known} & {*self.origins}:
            return [varies]
        return [varies, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED)]

    def preflight(self, request: Mapping[bytes, bytes], methods: bytes) -> Headers:
        """What is told besides to the question that a browser asks before the request itself."""
        if len(self.headers(request)) < 2:
            return []
        wanted = request.get(b"access-control-request-headers", b"")
        allowed = [(b"access-control-allow-headers", wanted)] if is_header_value(wanted.decode("latin-1")) else []
        return [*allowed, (b"access-control-allow-methods", methods), (b"access-control-max-age", _HOURS_24)]
