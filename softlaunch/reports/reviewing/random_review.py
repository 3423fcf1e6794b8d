"""Answers that were drawn at random, one after the other: people label them without knowing the arm.

The page needs no script: each label is a form that is sent. It is served on this machine, or by the console.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from softlaunch.ledger.review_draws import next_answer, put_value
from softlaunch.policy.named_metrics import MetricKind, MetricPolicy
from softlaunch.reports.eval_page import VoteForm
from softlaunch.reports.html import page_environment
from softlaunch.reports.reviewing.server import HEADERS, read_fields, served_here
from softlaunch.store.database import Database

_CHOICES = {
    MetricKind.SHARE: (("yes", 1.0), ("no", 0.0)),
    MetricKind.SCORE: (("1, worst", 0.0), ("2", 0.25), ("3", 0.5), ("4", 0.75), ("5, best", 1.0)),
}
_AS_FORM = "form-action 'self'"


class RandomBallot:
    """One person's labels of an app's drawn answers, as values of a metric that its policy declares."""

    def __init__(
        self, database: Database, app: str, metric: MetricPolicy, reviewer: str, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._name = app
        self._metric = metric
        self._reviewer = reviewer
        self._clock = clock

    def page(self, form: VoteForm) -> str:
        """The next answer with the choices, or that there is none left."""
        with self._database.read() as session:
            shown = next_answer(session, self._name, self._metric.name)
        return (
            page_environment()
            .get_template("random_review.html.j2")
            .render(
                app=self._name,
                metric=self._metric.name,
                better=self._metric.better.value,
                shown=shown,
                choices=_CHOICES[self._metric.kind],
                form=form,
                form_action=_AS_FORM,
            )
        )

    def take(self, said: Mapping[str, str]) -> bool:
        """Keep the label of a form, unless somebody has labelled that answer before; False where it is none of ours."""
        values = {str(value) for _, value in _CHOICES[self._metric.kind]}
        drawn_id, value = said.get("drawn", ""), said.get("value", "")
        if not (drawn_id.isascii() and drawn_id.isdigit() and len(drawn_id) < 19) or value not in values:
            return False
        with self._database.begin() as session:
            now = self._clock().timestamp()
            put_value(session, self._name, int(drawn_id), float(value), now, self._reviewer)
        return True


class RandomReview:
    """One person's labels of drawn answers, served on this machine."""

    def __init__(
        self,
        database: Database,
        app: str,
        metric: MetricPolicy,
        reviewer: str,
        clock: Callable[[], datetime],
        token: str = "",
    ) -> None:
        self._ballot = RandomBallot(database, app, metric, reviewer, clock)
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
            return PlainTextResponse("labels are taken from the page of this review only: reload it", 403)
        if not self._ballot.take(said):
            return PlainTextResponse("expected a drawn answer and one of the choices of its page", 422)
        return RedirectResponse("/", 303)
