"""Evals: the list, one of them, its report as one file, and the review of its answers."""

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from softlaunch.console.background import Found
from softlaunch.console.eval_results import Conclusion, EvalResult, count_calls
from softlaunch.console.pages import AskingIn, FormIn, Part, live_page, objection, own_page, render
from softlaunch.console.queries.evals import EvalLine, list_evals, read_eval, recorded_verdicts, voters
from softlaunch.console.state import Console
from softlaunch.reports.eval_page import PageExtras, VoteForm
from softlaunch.reports.reviewing.ballot import Ballot, reviewed_page
from softlaunch.reports.reviewing.reviewed import read_reviewed

router = APIRouter()
_SETTLED_SECONDS, _FRESH_SECONDS = 3600.0, 15.0
_UNDER_WAY_DAYS = 1
_BRINGS_ITS_OWN = "frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
"""The page brings its own policy, which allows its script by hash."""
_App = Annotated[str, Query(max_length=100)]
_Page = Annotated[int, Query(ge=1, le=1000, alias="page")]


@router.get("/evals")
def evals(asking: AskingIn, app: _App = "", number: _Page = 1) -> Response:
    """Evals of all apps, or of one, newest first."""
    with asking.console.database.read() as session:
        _, more = list_evals(session, app or None, number)
    return live_page(
        asking, "evals.html.j2", evals_part(asking.console, app, number), app=app, more=more, number=number
    )


def evals_part(console: Console, app: str, number: int) -> Part:
    """The key of the live part of that page, and what renders it: figures come in as they are worked out."""

    def part() -> str:
        now = console.clock()
        with console.database.read() as session:
            lines, _ = list_evals(session, app or None, number)
            recorded = recorded_verdicts(session, [line.release_id for line in lines if line.release_id])
        tallies = {line.id: _tally(console, line, now) for line in lines}
        came_to: dict[str, Conclusion | Found] = {}
        for line in lines:
            verdicts = recorded.get(line.release_id or "")
            came_to[line.id] = Conclusion.of(verdicts) if verdicts else _conclusion(_result(console, line, now))
        return render("evals_live.html.j2", lines=lines, came_to=came_to, tallies=tallies, now=now, app=app)

    return f"evals?app={quote(app, safe='')}&page={number}", part


@router.get("/evals/{run_id}")
def one_eval(asking: AskingIn, run_id: str) -> Response:
    """One eval: what it came to, segments, and the cases that lost most."""
    with asking.console.database.read() as session:
        line = read_eval(session, run_id)
    return live_page(asking, "eval_run.html.j2", eval_part(asking.console, run_id), line=line)


def eval_part(console: Console, run_id: str) -> Part:
    """The key of the live part of an eval's page, and what renders it. Raises NotFoundError when rendered."""

    def part() -> str:
        now = console.clock()
        with console.database.read() as session:
            line = read_eval(session, run_id)
            voted = voters(session, run_id)
        result, tally = _result(console, line, now), _tally(console, line, now)
        return render("eval_run_live.html.j2", line=line, found=result, tally=tally, voted=voted, now=now)

    return f"evals/{quote(run_id, safe='')}", part


@router.get("/evals/{run_id}/report")
def report(asking: AskingIn, run_id: str, download: bool = False) -> Response:  # noqa: FBT001  (a query of the address)
    """The report as one file that needs nothing from elsewhere."""
    with asking.console.database.read() as session:
        read_eval(session, run_id)
    reviewed = asking.console.reviewed.read(asking.console.database, run_id, asking.console.clock())
    headers = {"Content-Security-Policy": _BRINGS_ITS_OWN}
    if download:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(run_id, safe='')}.html"
    return HTMLResponse(reviewed_page(reviewed, PageExtras(reviewed.reasons, run_id=run_id)), headers=headers)


@router.get("/evals/{run_id}/review")
def review(asking: AskingIn, run_id: str) -> Response:
    """Both answers to every case, and the forms that take votes; the report alone for who may only look."""
    address = f"/evals/{quote(run_id, safe='')}"
    if not asking.visitor.may_act:
        return RedirectResponse(f"{address}/report", 303)
    ballot = _ballot(asking, run_id, fresh=True)
    return own_page(
        asking,
        lambda token: ballot.page(VoteForm(f"{address}/labels", token, address, f"{run_id} in the console")),
        _BRINGS_ITS_OWN,
    )


@router.post("/evals/{run_id}/labels")
def label(asking: AskingIn, form: FormIn, run_id: str) -> Response:
    """Keep a vote, or take it back."""
    refused = objection(asking, form)
    if refused is not None:
        return PlainTextResponse(refused.problem or "You may see this review, but not vote.", refused.status)
    if not _ballot(asking, run_id, fresh=False).take(form):
        return PlainTextResponse("Expected a case of this eval and a vote: stable, candidate, tie or none.", 422)
    asking.console.live.forget()
    case = quote(form["case_id"], safe="")
    return RedirectResponse(f"/evals/{quote(run_id, safe='')}/review#case-{case}", 303)


def _ballot(asking: AskingIn, run_id: str, *, fresh: bool) -> Ballot:
    console = asking.console
    with console.database.read() as session:
        read_eval(session, run_id)
    reviewed = console.reviewed.read(console.database, run_id, console.clock(), fresh=fresh)
    return Ballot(console.database, reviewed, asking.visitor.name, console.clock)


def _result(console: Console, line: EvalLine, now: datetime) -> Found:
    def work() -> EvalResult:
        return EvalResult.of(read_reviewed(console.database, line.id))  # not kept: a list has more than are kept

    return console.background.get(("eval", line.id), work, _seconds(line, now))


def _tally(console: Console, line: EvalLine, now: datetime) -> Found:
    return console.background.get(
        ("calls of", line.id), lambda: count_calls(console.database, line.id), _seconds(line, now)
    )


def _conclusion(found: Found) -> Conclusion | Found:
    result: EvalResult | None = found.value
    return found if result is None else result.conclusion


def _seconds(line: EvalLine, now: datetime) -> float:
    """How long what was worked out holds: answers still come in of what was begun lately."""
    return _FRESH_SECONDS if (now - line.started_at).days < _UNDER_WAY_DAYS else _SETTLED_SECONDS
