"""The review of an eval over HTTP on this machine: one page, and a place that takes votes.

Only this machine is served. A page of another origin can't vote: votes need a token that only this page carries, and a
host name that was made to point here (DNS rebinding) is refused, because it isn't ours.
"""

import secrets
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qsl, quote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from softlaunch.reports.eval_page import VoteForm
from softlaunch.reports.reviewing.ballot import Ballot
from softlaunch.reports.reviewing.reviewed import Reviewed
from softlaunch.store.database import Database

HEADERS = {"Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}
"""What every page of a review is sent with."""
_LONGEST_BODY = 10_000


class Review:
    """One person's review of one run."""

    def __init__(
        self, database: Database, reviewed: Reviewed, reviewer: str, clock: Callable[[], datetime], token: str = ""
    ) -> None:
        self._ballot = Ballot(database, reviewed, reviewer, clock)
        self._token = token or secrets.token_urlsafe(32)

    @property
    def app(self) -> Starlette:
        """The ASGI application."""
        return served_here(self._page, self._label)

    def _page(self, request: Request) -> Response:  # noqa: ARG002  (Starlette hands it over)
        return HTMLResponse(self._ballot.page(VoteForm("/labels", self._token)), headers=HEADERS)

    async def _label(self, request: Request) -> Response:
        said = await read_fields(request)
        if not secrets.compare_digest(said.get("token", "").encode(), self._token.encode()):
            return PlainTextResponse("votes are taken from the page of this review only: reload it", 403)
        if not self._ballot.take(said):
            return PlainTextResponse("expected a case of this eval and a vote: stable, candidate or tie", 422)
        return RedirectResponse(f"/#case-{quote(said['case_id'], safe='')}", 303)


def served_here(page: Callable[[Request], Response], label: Callable[[Request], object]) -> Starlette:
    """An application for this machine alone: a page, and the place to which its forms are sent."""
    routes = [Route("/", page), Route("/labels", label, methods=["POST"])]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
    return Starlette(routes=routes, middleware=[hosts])


async def read_fields(request: Request) -> dict[str, str]:
    """The fields of a form; none where it is longer than any of ours."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_BODY:
            return {}
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
