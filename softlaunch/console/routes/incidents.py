"""Incidents, open and resolved, and their runbooks."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from softlaunch.console.access import ORIGIN
from softlaunch.console.pages import FIRST, Again, Asking, AskingIn, FormIn, Part, live_page, objection, page, render
from softlaunch.console.runbooks import kind_named, runbook_page
from softlaunch.console.state import Console
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.ledger.incidents import close_incident, list_incidents, read_incident
from softlaunch.ledger.releases import Actor

router = APIRouter()
_SHOWN = 100
_LONGEST_REASON = 500
_App = Annotated[str, Query(max_length=100)]


@router.get("/incidents")
def incidents(
    asking: AskingIn,
    app: _App = "",
    resolved: Annotated[bool, Query(alias="all")] = False,
) -> Response:
    """The newest 100 incidents; those that are resolved where they are asked for."""
    part = incidents_part(asking.console, app, resolved=resolved)
    return live_page(asking, "incidents.html.j2", part, app=app, resolved=resolved)


def incidents_part(console: Console, app: str, *, resolved: bool) -> Part:
    """The key of the live part of that page, and what renders it."""

    def part() -> str:
        with console.database.read() as session:
            found = list_incidents(session, app or None, _SHOWN, resolved=resolved)
        return render("incidents_live.html.j2", incidents=found, now=console.clock())

    return f"incidents?app={quote(app, safe='')}&all={int(resolved)}", part


@router.get("/incidents/{number}")
def incident(asking: AskingIn, number: int) -> Response:
    """One incident, with its evidence."""
    return _incident(asking, number)


@router.post("/incidents/{number}")
def resolve(asking: AskingIn, form: FormIn, number: int) -> Response:
    """Resolve it because a person says so."""
    reason = form.get("reason", "").strip()[:_LONGEST_REASON]
    console = asking.console
    refused = objection(asking, form, reason)
    if refused is not None:
        return _incident(asking, number, refused)
    if not reason:
        problem = "Describe what was done, for the next person who has this problem."
        return _incident(asking, number, Again(problem, status=422))
    with console.database.begin() as session:
        by = str(Actor(asking.visitor.name, ORIGIN))
        closed = close_incident(session, number, by, reason, console.clock())
    console.live.forget()
    if not closed:
        return _incident(asking, number, Again("Someone else has already resolved it.", reason, 409))
    return RedirectResponse(f"/incidents/{number}", 303)


def _incident(asking: Asking, number: int, again: Again = FIRST) -> Response:
    with asking.console.database.read() as session:
        found = read_incident(session, number)
    texts = {"problem": again.problem, "reason": again.reason}
    return page(asking, "incident.html.j2", status=again.status, incident=found, **texts)


@router.get("/runbooks")
def runbooks(asking: AskingIn) -> Response:
    """All of them."""
    return page(asking, "runbooks.html.j2", kinds=list(IncidentKind))


@router.get("/runbooks/{name}")
def runbook(asking: AskingIn, name: str) -> Response:
    """One runbook as a page."""
    kind = kind_named(name)
    return page(asking, "runbook.html.j2", kind=kind, text=runbook_page(kind))
