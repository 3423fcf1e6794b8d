"""What every request meets first: its host, who asks, whether a form is ours; and the headers of every answer."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from softlaunch.console.access import Access
from softlaunch.core.errors import SoftlaunchError

COOKIE = "softlaunch_console"
TOKEN_FIELD = "token"  # noqa: S105  (the name of a field)
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_LARGEST_FORM = 64 * 1024
_MOST_FIELDS = 50


class BadFormError(SoftlaunchError):
    """What was posted isn't a form of the console."""


class StaleFormError(SoftlaunchError):
    """A form of a page from before the console was started, or of another browser; nothing was changed."""


class Guard:
    """Middleware: refuses hosts that aren't ours (DNS rebinding), and puts its headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", POLICY)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if _host_name(host) not in self._access.hosts:
            text = "The console isn't known by this address; set SOFTLAUNCH_CONSOLE_URL to the one that people use.\n"
            await PlainTextResponse(text, 421)(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)


class Tokens:
    """Tokens by which a form proves that a page of this console, opened in the same browser, made it.

    Besides, the browser must say that the request comes from here. The secret lives as long as the process: a form from
    before a restart is refused, and what it wanted is asked again.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or secrets.token_bytes(32)

    def cookie_of(self, request: Request) -> str:
        """The browser's own random text, new where it has none."""
        held = request.cookies.get(COOKIE, "")
        return held if 20 <= len(held) <= 100 and held.isascii() else secrets.token_urlsafe(32)

    def token_for(self, cookie: str) -> str:
        """The token of a browser's forms."""
        return hmac.new(self._secret, cookie.encode(), hashlib.sha256).hexdigest()

    def check(self, request: Request, form: Mapping[str, str]) -> None:
        """Raise BadFormError for what another site sends, StaleFormError for a token that isn't of now and here."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
        elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
        if elsewhere or site not in {"same-origin", "none"}:
            raise BadFormError("This form was sent from another site, so nothing was done; open the console itself.")
        expected = self.token_for(request.cookies.get(COOKIE, ""))
        if not hmac.compare_digest(expected.encode(), form.get(TOKEN_FIELD, "").encode()):
            raise StaleFormError(
                "The console was started again, or cookies are off, since this page was made. Nothing was changed: "
                "check the current state, and confirm again."
            )


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a posted form; raises BadFormError for anything else, or too much of it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_FORM:
            raise BadFormError("The form is larger than any of the console's; shorten what you wrote.")
    if kind != "application/x-www-form-urlencoded":
        raise BadFormError("Expected a form as browsers send it (application/x-www-form-urlencoded).")
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise BadFormError("The form can't be read; go back and send it again.") from error
    return {name: value.replace("\x00", "") for name, value in fields}


def _host_name(host: str) -> str:
    """The name in a Host header, without its port; IPv6 without brackets."""
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return name.lower()
