"""The list of releases, the page of one, and its static report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from markupsafe import Markup
from sqlmodel import Session
from starlette.responses import FileResponse, HTMLResponse, Response

from softlaunch.catalog.variant_changes import diff_variants
from softlaunch.console.background import Found
from softlaunch.console.counting import counted_view, find_row
from softlaunch.console.pages import FILE_POLICY, AskingIn, Part, live_page, page, render
from softlaunch.console.queries import releases as queries
from softlaunch.console.queries.costs import read_costs
from softlaunch.console.queries.judged import read_judged
from softlaunch.console.queries.time_left import Left, foresee, left_by_stage, left_in_all, left_of_eval
from softlaunch.console.state import Console
from softlaunch.core.errors import NotFoundError
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.forecast.wording import in_a_sentence
from softlaunch.ledger.looks import GateLook, read_looks
from softlaunch.ledger.releases import read_release
from softlaunch.policy.release import Release, State
from softlaunch.releases.early import may_advance_early
from softlaunch.releases.freezing import COUNTED, UNFREEZE
from softlaunch.releases.views import ReleaseView, deciding_verdicts, read_view
from softlaunch.releases.wording import outcome_rows
from softlaunch.reports.gate_history import arms_plot, harm_plot, thinned
from softlaunch.reports.release_page import (
    Link,
    release_tone,
    render_release,
    seconds_in,
    stage_result,
    stage_tone,
)
from softlaunch.store.tables import EvalRunRow, VoteRow

router = APIRouter()
_FORECAST_SECONDS = 900.0
_STATIC_POLICY = "frame-ancestors 'none'"
_STATES = ("live", "promoted", "rolled_back", "rejected", "aborted", "concluded")


@dataclass(frozen=True, slots=True)
class GateHistory:
    """The plots of a gate over time, as far as there is anything to plot."""

    name: str
    tone: str
    arms: Markup
    harm: Markup
    when: str


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened to a release, or that a person decided about it."""

    at: datetime
    what: str
    why: str
    by: str


@router.get("/releases")
def releases(
    asking: AskingIn,
    app: Annotated[str, Query(max_length=100)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    number: Annotated[int, Query(ge=1, le=1000, alias="page")] = 1,
) -> Response:
    """Releases and A/B tests, newest first."""
    with asking.console.database.read() as session:
        lines, more = queries.list_page(session, app or None, state or None, number)
    chosen: dict[str, Any] = {"app": app, "state": state, "states": _STATES}
    return page(asking, "releases.html.j2", lines=lines, more=more, number=number, **chosen)


@router.get("/releases/{release_id}")
def release(
    asking: AskingIn,
    release_id: str,
    said: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """One release, live; `said` is the number of the vote that somebody has just given."""
    with asking.console.database.read() as session:
        found = read_release(session, release_id)
        around = queries.neighbours(session, found)
        vote = None if said is None else session.get(VoteRow, said)
    told = vote.told if vote is not None and vote.release_id == release_id else ""
    part = release_part(asking.console, release_id, may_act=asking.visitor.may_act)
    diffs = diff_variants(found.stable, found.candidate)
    return live_page(
        *(asking, "release.html.j2", part), fresh=bool(told), release=found, around=around, diffs=diffs, told=told
    )


def release_part(console: Console, release_id: str, *, may_act: bool) -> Part:
    """The key of the live part of a release's page, and what renders it. Raises NotFoundError when rendered."""

    def part() -> str:
        now = console.clock()
        with console.database.read() as session:
            view, known = counted_view(console, session, find_row(session, release_id), now)
            read = _read(session, view)
            read["judged"] = read_judged(session, release_id, now.timestamp(), with_texts=may_act)
            read["costs"] = None if known is None else read_costs(session, view, known.costs)
        context = {"is_counted": known is not None, "may_act": may_act}
        return render("release_live.html.j2", **_context(console, view, now), **read, **context)

    return f"releases/{release_id}{'' if may_act else '?look=1'}", part


@router.get("/releases/{release_id}/report")
def report(asking: AskingIn, release_id: str, download: bool = False) -> Response:  # noqa: FBT001  (a query of the address)
    """The report as one file that needs nothing from elsewhere; the link to the eval's leads back here."""
    console = asking.console
    with console.database.read() as session:
        view = read_view(session, find_row(session, release_id), console.clock())
        kinds = queries.kinds_of(session, view)
    has_eval = _eval_file(console, view.release).is_file()
    runbooks = [Link(kind.words, f"/runbooks/{kind.value}") for kind in kinds]
    html = render_release(view, eval_page=f"/releases/{release_id}/eval" if has_eval else None, runbooks=runbooks)
    headers = {"Content-Security-Policy": FILE_POLICY}
    if download:
        headers["Content-Disposition"] = f'attachment; filename="{view.release.id}.html"'
    return HTMLResponse(html, headers=headers)


@router.get("/releases/{release_id}/eval")
def eval_report(asking: AskingIn, release_id: str) -> Response:
    """The eval's page from the reports folder. It brings its own policy, which allows its script by hash."""
    console = asking.console
    with console.database.read() as session:
        found = read_release(session, release_id)
    path = _eval_file(console, found)
    if not path.is_file():
        raise NotFoundError(f"{release_id} has no page of an eval here; the reports folder is {console.reports}")
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": _STATIC_POLICY})


def _read(session: Session, view: ReleaseView) -> dict[str, Any]:
    """What the page has besides the view."""
    looks = read_looks(session, view.release.id)
    kinds: list[IncidentKind] = queries.kinds_of(session, view)
    return {
        "kinds": kinds,
        "histories": {position: _histories(gates) for position, gates in looks.items()},
        "failures": queries.failures(session, view.release),
        "has_run": session.get(EvalRunRow, view.release.id) is not None,
        "story": _story(view, queries.votes(session, view.release.id)),
    }


def _context(console: Console, view: ReleaseView, now: datetime) -> dict[str, Any]:
    release = view.release
    lefts, in_all, note = _time_left(console, view, now) if release.state.live else ({}, None, "")
    expires = release.driver_expires_at
    return {
        "view": view,
        "now": now,
        "tone": release_tone(view),
        "decided": deciding_verdicts(view),
        "stages": [stage for stage in view.stages if stage.record.entered_at is not None],
        "stage_tone": stage_tone,
        "stage_result": lambda stage: stage_result(view, stage),
        "seconds": seconds_in,
        "became": outcome_rows(view.outcomes),
        "may_advance": may_advance_early(release),
        "driven": expires is not None and expires > now,
        "run_url": release.run_url if release.run_url.startswith(("http://", "https://")) else "",
        "has_eval": _eval_file(console, release).is_file(),
        "lefts": lefts,
        "in_all": in_all,
        "forecast_note": note,
    }


def _time_left(console: Console, view: ReleaseView, now: datetime) -> tuple[Mapping[int, Left], Left | None, str]:
    """What is left by stage and in all, and what the forecast says of itself; worked out beside the page."""
    release = view.release
    known = {stage.stage.position: left for stage in view.stages if (left := left_of_eval(stage, now)) is not None}
    if release.emergency or release.state is State.TESTING:
        return known, None, ""
    found: Found = console.background.get(
        ("plan of", release.id),
        lambda: foresee(
            console.database, release.app, release.policy, release.stable.digest, now, console.poll_seconds
        ),
        _FORECAST_SECONDS,
    )
    if found.value is None:
        note = f"How long it takes isn't known: {found.problem}." if found.problem else ""
        return known, None, note
    lefts = {**left_by_stage(view, found.value, now), **known}
    return lefts, left_in_all(lefts), f"Forecast for a candidate that is fine: {in_a_sentence(found.value)}"


def _histories(gates: Mapping[str, Sequence[GateLook]]) -> list[GateHistory]:
    found = []
    for name, looks in gates.items():
        gate, looks = name.split(" per ")[0], thinned(looks)  # noqa: PLW2901  (fewer of the same)
        arms, harm = arms_plot(gate, looks), harm_plot(gate, looks)
        if arms or harm:
            lately = any(look.candidate_lately is not None for look in looks)
            when = ", the last five minutes at each moment" if lately else ", all so far at each moment"
            found.append(GateHistory(name, looks[-1].outcome.value, arms, harm, when))
    return found


def _story(view: ReleaseView, votes: Sequence[VoteRow]) -> list[Told]:
    """Transitions and people's votes, oldest first."""
    moved = [Told(one.happened_at, one.to_state.replace("_", " "), one.reason, one.actor) for one in view.history]
    said = [
        Told(one.said_at, f"{one.said.replace('_', ' ')}: {one.told}", one.reason, f"{one.name} ({one.origin})")
        for one in votes
        if (one.said, one.ruling) != (UNFREEZE, COUNTED)  # it is among the transitions
    ]
    return sorted([*moved, *said], key=lambda one: one.at)


def _eval_file(console: Console, release: Release) -> Any:
    return console.reports / f"{release.id}-eval.html"
