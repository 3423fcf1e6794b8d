"""The page of all apps, and that of one."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import Response

from softlaunch.console.background import Found
from softlaunch.console.pages import AskingIn, Part, live_page, render
from softlaunch.console.queries.catalog import serving_variant
from softlaunch.console.queries.overview import AppLine, Golden, read_app, read_overview
from softlaunch.console.queries.releases import list_page
from softlaunch.console.state import Console
from softlaunch.core.formatting import show_duration
from softlaunch.evals.suites.suite import load_suite
from softlaunch.policy.load import folder_of_golden_set, golden_set_path
from softlaunch.policy.model import Policy

router = APIRouter()
_GOLDEN_SECONDS = 300.0
_DAY = 86400
_Page = Annotated[int, Query(ge=1, le=1000)]
_Named = Annotated[str, Query(max_length=100)]


@router.get("/")
def overview(asking: AskingIn, q: _Named = "", page: _Page = 1) -> Response:
    """Every app."""
    return live_page(asking, "apps.html.j2", overview_part(asking.console, q, page), named=q)


def overview_part(console: Console, named: str, page: int) -> Part:
    """The key of the live part of this page, and what renders it."""

    def part() -> str:
        now = console.clock()
        with console.database.read() as session:
            console.recent.look(session, now.timestamp())
            seen = read_overview(session, now, named=named, page=page)
        days = {line.name: console.recent.day(line.name, now.timestamp()) for line in seen.apps}
        golden = {line.name: golden_age(console, line) for line in seen.apps}
        return render("apps_live.html.j2", seen=seen, days=days, golden=golden, now=now, named=named)

    return f"apps?page={page}&q={_quoted(named)}", part


@router.get("/apps/{name}")
def app(asking: AskingIn, name: str) -> Response:
    """One app."""
    part = app_part(asking.console, name, may_act=asking.visitor.may_act)
    with asking.console.database.read() as session:
        lines, more = list_page(session, name, None, 1)
        serving = serving_variant(session, name)
    return live_page(asking, "app.html.j2", part, name=name, lines=lines, more=more, serving=serving)


def app_part(console: Console, name: str, *, may_act: bool) -> Part:
    """The key of the live part of an app's page, and what renders it. Raises NotFoundError when rendered."""

    def part() -> str:
        now = console.clock()
        with console.database.read() as session:
            console.recent.look(session, now.timestamp())
            line = read_app(session, name, now)
        day, golden = console.recent.day(name, now.timestamp()), golden_age(console, line)
        return render("app_live.html.j2", line=line, day=day, golden=golden, now=now, may_act=may_act)

    return f"apps/{_quoted(name)}{'' if may_act else '?look=1'}", part


def golden_age(console: Console, line: AppLine) -> str:
    """`golden set 12 d old`: by the date in its header, read beside the page because it may be large."""
    held = line.golden
    if held is None or not held.policy.get("eval", {}).get("golden_set"):
        return "no golden set"
    named = (line.name, held.policy_path, str(held.policy["eval"]["golden_set"]))
    found = console.background.get(("golden", *named), lambda: _as_of(held), _GOLDEN_SECONDS)
    return _golden_words(found, console.clock())


def _golden_words(found: Found, now: datetime) -> str:
    if found.pending:
        return "golden set: loading"
    if found.problem:
        return "golden set can't be read from here"
    if found.value is None:
        return "golden set without a date"
    days = max((now.date() - found.value).days, 0)
    return f"golden set {show_duration(days * _DAY) if days else 'of today'}{' old' if days else ''}"


def _as_of(held: Golden) -> Any:
    policy, path = Policy.model_validate(dict(held.policy)), Path(held.policy_path)
    return load_suite(golden_set_path(policy, path, folder_of_golden_set(policy, path))).header.as_of


def _quoted(text: str) -> str:
    return quote(text, safe="")
