"""Answers that were drawn at random, one after the other, on a page of this machine: people label them without knowing
the arm. The page needs no script: each label is a form that is sent.
"""

import secrets
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from softlaunch.ledger.review_draws import next_answer, put_value
from softlaunch.policy.named_metrics import MetricKind, MetricPolicy
from softlaunch.reports.html import page_environment
from softlaunch.reports.reviewing.server import HEADERS, bounded
from softlaunch.store.database import Database

_CHOICES = {
    MetricKind.SHARE: (("yes", 1.0), ("no", 0.0)),
    MetricKind.SCORE: (("1, worst", 0.0), ("2", 0.25), ("3", 0.5), ("4", 0.75), ("5, best", 1.0)),
}
_AS_FORM = "form-action 'self'"


class RandomReview:
    """One person's labels of an app's drawn answers, as values of a metric that its policy declares."""

    def __init__(
        self,
        database: Database,
        app: str,
        metric: MetricPolicy,
        reviewer: str,
        clock: Callable[[], datetime],
        token: str = "",
    ) -> None:
        self._database = database
        self._name = app
        self._metric = metric
        self._reviewer = reviewer
        self._clock = clock
        self._token = token or secrets.token_urlsafe(32)

    @property
    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [Route("/", self._page), Route("/labels", self._label, methods=["POST"])]
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
        return Starlette(routes=routes, middleware=[hosts])

    def _page(self, request: Request) -> Response:  # noqa: ARG002  (Starlette hands it over)
        with self._database.read() as session:
            shown = next_answer(session, self._name, self._metric.name)
        template = page_environment().get_template("random_review.html.j2")
        choices, better = _CHOICES[self._metric.kind], self._metric.better.value
        page = template.render(
            app=self._name,
            metric=self._metric.name,
            better=better,
            shown=shown,
            choices=choices,
            token=self._token,
            form_action=_AS_FORM,
        )
        return HTMLResponse(page, headers=HEADERS)

    async def _label(self, request: Request) -> Response:
        body = await bounded(request)
        said = {} if body is None else parse_qs(body.decode("utf-8", "replace"))
        given = {name: values[0] for name, values in said.items()}
        if not secrets.compare_digest(given.get("token", "").encode(), self._token.encode()):
            return PlainTextResponse("labels are taken from the page of this review only: reload it", 403)
        values = {str(value) for _, value in _CHOICES[self._metric.kind]}
        drawn_id, value = given.get("drawn", ""), given.get("value", "")
        if not (drawn_id.isascii() and drawn_id.isdigit() and len(drawn_id) < 19) or value not in values:
            return PlainTextResponse("expected a drawn answer and one of the choices of its page", 422)
        with self._database.begin() as session:
            now = self._clock().timestamp()
            put_value(session, self._name, int(drawn_id), float(value), now, self._reviewer)
        return RedirectResponse("/", 303)
