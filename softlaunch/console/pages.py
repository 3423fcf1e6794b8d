"""Pages as answers: the templates' environment, who asks, the browser's cookie, and errors in words."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any

from fastapi import Depends, Request
from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from softlaunch.console.access import Visitor
from softlaunch.console.guarding import COOKIE, StaleFormError, read_form
from softlaunch.console.queries.overview import count_waiting
from softlaunch.console.small_plots import day_line, step_bar
from softlaunch.console.state import Console
from softlaunch.core.formatting import show_duration
from softlaunch.reports.html import page_environment
from softlaunch.reports.plots import interval_axis, interval_plot
from softlaunch.reports.release_page import SIGNS, state_title

FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""Of a report as one file: its own styles and nothing else."""
STYLE, SCRIPT, ICON = "console.css", "console.js", "icon.svg"
_KINDS = {STYLE: "text/css; charset=utf-8", SCRIPT: "text/javascript; charset=utf-8", ICON: "image/svg+xml"}
_YEAR = 365 * 86400
Part = tuple[str, Callable[[], str]]
"""The live part of a page: its key, which is its address below /live/, and what renders it."""


def console_of(request: Request) -> Console:
    """The console that serves a request."""
    found: Console = request.app.state.console
    return found


def visitor_of(request: Request) -> Visitor:
    """Who asks; raises NotAdmittedError."""
    access = console_of(request).access
    names = request.headers.getlist(access.header) if access.header else []
    return access.visitor(names, request.client.host if request.client else "")


@dataclass(frozen=True, slots=True)
class Asking:
    """A request of somebody who was let in, and the console that answers it."""

    request: Request
    console: Console
    visitor: Visitor


def asking_of(request: Request) -> Asking:
    """A request with who asks; raises NotAdmittedError."""
    return Asking(request, console_of(request), visitor_of(request))


@dataclass(frozen=True, slots=True)
class Again:
    """Why a form is shown again, what was written into it, and the status of the answer."""

    problem: str = ""
    reason: str = ""
    status: int = 200


FIRST = Again()
"""A form that is shown for the first time."""


def objection(asking: Asking, form: Mapping[str, str], reason: str = "") -> Again | None:
    """Why a form that was posted changes nothing, whatever it is about; None where it may. Raises BadFormError."""
    if not asking.visitor.may_act:
        return Again(reason=reason, status=403)
    try:
        asking.console.tokens.check(asking.request, form)
    except StaleFormError as error:
        return Again(str(error), reason, 409)
    return None


AskingIn = Annotated[Asking, Depends(asking_of)]
FormIn = Annotated[dict[str, str], Depends(read_form)]


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The reports' environment with the console's templates before theirs: one look, one way to word numbers."""
    made = page_environment().overlay(
        loader=ChoiceLoader([PackageLoader("softlaunch.console"), PackageLoader("softlaunch.reports")])
    )
    made.globals = {
        **made.globals,
        "signs": SIGNS,
        "axis": interval_axis(),
        "plot": interval_plot,
        "day_line": day_line,
        "step_bar": step_bar,
        "ago": show_ago,
        "state_title": state_title,
        "moment_of": lambda seconds: datetime.fromtimestamp(seconds, UTC),
        "style": asset_address(STYLE),
        "script": asset_address(SCRIPT),
        "icon": asset_address(ICON),
    }
    return made


def show_ago(moment: datetime, now: datetime) -> str:
    """`12 min ago`, to the minute, so that a page doesn't change each second; `just now` within a minute."""
    seconds = (now - moment).total_seconds()
    return "just now" if seconds < 60 else f"{show_duration(60 * (seconds // 60))} ago"


def page(asking: Asking, template: str, *, status: int = 200, **context: Any) -> Response:
    """A page for whoever asks; a browser that has no cookie gets one."""
    request, console = asking.request, asking.console
    cookie = console.tokens.cookie_of(request)
    with console.database.read() as session:
        waiting = count_waiting(session, console.clock())
    html = render(
        template,
        visitor=asking.visitor,
        token=console.tokens.token_for(cookie),
        waiting=waiting,
        address=request.url.path,
        now=console.clock(),
        **context,
    )
    return _with_cookie(asking, HTMLResponse(html, status), cookie)


def own_page(asking: Asking, make: Callable[[str], str], policy: str) -> Response:
    """A page with a frame and a security policy of its own; `make` is given the token of its forms."""
    tokens = asking.console.tokens
    cookie = tokens.cookie_of(asking.request)
    html = make(tokens.token_for(cookie))
    return _with_cookie(asking, HTMLResponse(html, headers={"Content-Security-Policy": policy}), cookie)


def _with_cookie(asking: Asking, answer: Response, cookie: str) -> Response:
    if asking.request.cookies.get(COOKIE) != cookie:
        secure = asking.console.access.secure
        answer.set_cookie(COOKIE, cookie, httponly=True, samesite="lax", secure=secure, path="/")
    return answer


def render(template: str, **context: Any) -> str:
    """A template's text."""
    return environment().get_template(template).render(**context)


def live_page(asking: Asking, template: str, part: Part, *, fresh: bool = False, **context: Any) -> Response:
    """A page with a part that is kept up to date while somebody looks at it."""
    key, work = part
    made = asking.console.live.rendered(key, work, fresh=fresh)
    html = Markup(made.html)  # noqa: S704  (a rendered template)
    return page(asking, template, live=html, live_key=key, live_digest=made.digest, **context)


@lru_cache(maxsize=4)
def asset(name: str) -> str:
    """The console's own style, script or icon."""
    return environment_of_assets().get_template(name).render()


@lru_cache(maxsize=1)
def environment_of_assets() -> Environment:
    """Templates of style and script; nothing in them comes from elsewhere, so nothing is escaped."""
    loader = ChoiceLoader([PackageLoader("softlaunch.console", "static"), PackageLoader("softlaunch.reports")])
    return Environment(loader=loader, autoescape=False)  # noqa: S701  (style and script of ours, without any value)


def asset_address(name: str) -> str:
    """Where an asset is; another content has another address, so that browsers may keep it."""
    return f"/static/{name}?{hashlib.sha256(asset(name).encode()).hexdigest()[:12]}"


def asset_answer(name: str) -> Response:
    """An asset as an answer that may be kept."""
    headers = {"Cache-Control": f"public, max-age={_YEAR}, immutable"}
    return Response(asset(name), media_type=_KINDS[name], headers=headers)
