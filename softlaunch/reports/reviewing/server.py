"""The review of an eval over HTTP on this machine: one page, and a place that takes votes.

Only this machine is served. A page of another origin can't vote: votes need a token that only this page carries, and a
host name that was made to point here (DNS rebinding) is refused, because it isn't ours.
"""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from softlaunch.evals.judges.votes import EvalLabel, Vote, put_label, read_labels, remove_label
from softlaunch.reports.eval_page import PageExtras, render_eval
from softlaunch.reports.reviewing.reviewed import Reviewed
from softlaunch.store.database import Database

HEADERS = {"Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}
"""What every page of a review is sent with."""
_LONGEST_BODY = 10_000


class _Said(BaseModel):
    """A vote as the page sends it; none takes an earlier one back."""

    model_config = ConfigDict(extra="forbid")

    case_id: str
    vote: Vote | None
    note: str = ""


class Review:
    """One person's review of one run."""

    def __init__(
        self, database: Database, reviewed: Reviewed, reviewer: str, clock: Callable[[], datetime], token: str = ""
    ) -> None:
        self._database = database
        self._reviewed = reviewed
        self._reviewer = reviewer
        self._clock = clock
        self._token = token or secrets.token_urlsafe(32)
        self._rows = {row.case_id: row for row in reviewed.report.cases}

    @property
    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [Route("/", self._page), Route("/labels", self._label, methods=["POST"])]
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
        return Starlette(routes=routes, middleware=[hosts])

    def _page(self, request: Request) -> Response:  # noqa: ARG002  (Starlette hands it over)
        with self._database.read() as session:
            labels = read_labels(session, self._reviewed.app, self._reviewed.run_id)
        votes = {one.case_id: one.vote.value for one in labels if one.labelled_by == self._reviewer}
        extras = PageExtras(self._reviewed.reasons, votes, self._reviewed.run_id, self._token)
        return HTMLResponse(reviewed_page(self._reviewed, extras), headers=HEADERS)

    async def _label(self, request: Request) -> Response:
        given = request.headers.get("x-softlaunch-token", "")
        if not secrets.compare_digest(given.encode(), self._token.encode()):  # as bytes: a header may hold any
            return PlainTextResponse("votes are taken from the page of this review only: reload it", 403)
        body = await bounded(request)
        said = None if body is None else _parsed(body)
        if said is None or said.case_id not in self._rows:
            return PlainTextResponse("expected a case of this eval and a vote: stable, candidate or tie", 422)
        self._keep(said)
        return Response(status_code=204)

    def _keep(self, said: _Said) -> None:
        row, run = self._rows[said.case_id], self._reviewed
        with self._database.begin() as session:
            if said.vote is None:
                remove_label(session, run.run_id, said.case_id, self._reviewer)
                return
            label = EvalLabel(
                run_id=run.run_id,
                app=run.app,
                case_id=said.case_id,
                vote=said.vote,
                question=row.asked,
                reference=row.wanted,
                stable_answer=row.stable.answer or "",
                candidate_answer=row.candidate.answer or "",
                labelled_by=self._reviewer,
                note=said.note.replace("\x00", ""),  # which PostgreSQL doesn't store
            )
            put_label(session, label, self._clock())


def reviewed_page(reviewed: Reviewed, extras: PageExtras) -> str:
    """The page of a run, with or without a place that takes votes."""
    return render_eval(
        reviewed.report,
        f"{reviewed.app}, eval {reviewed.run_id}",
        reviewed.labels,
        notes=reviewed.notes,
        extras=extras,
    )


async def bounded(request: Request) -> bytes | None:
    """The body, or None when it is longer than any vote."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_BODY:
            return None
    return bytes(body)


def _parsed(body: bytes) -> _Said | None:
    try:
        content: Any = orjson.loads(body)
        return _Said.model_validate(content)
    except (orjson.JSONDecodeError, ValidationError):
        return None
