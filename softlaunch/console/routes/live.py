"""Where pages hear of what changed: a stream of events for each live part, and the console's style and script."""

from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from softlaunch.console.pages import ICON, SCRIPT, STYLE, AskingIn, Part, asset_answer
from softlaunch.console.routes.apps import app_part, overview_part
from softlaunch.console.routes.deciding import approvals_part
from softlaunch.console.routes.evals import eval_part, evals_part
from softlaunch.console.routes.incidents import incidents_part
from softlaunch.console.routes.releases import release_part
from softlaunch.console.routes.trials import trial_part
from softlaunch.console.state import Console
from softlaunch.core.errors import NotFoundError

router = APIRouter()
_Seen = Annotated[str, Query(max_length=40)]
_Last = Annotated[str | None, Header(alias="last-event-id", max_length=40)]
_Text = Annotated[str, Query(max_length=100)]


@router.get("/live/apps")
async def apps(
    asking: AskingIn,
    page: Annotated[int, Query(ge=1, le=1000)] = 1,
    q: _Text = "",
    seen: _Seen = "",
    last: _Last = None,
) -> Response:
    """The page of all apps."""
    return await _stream(asking.console, overview_part(asking.console, q, page), last or seen)


@router.get("/live/apps/{name}")
async def app(asking: AskingIn, name: str, seen: _Seen = "", last: _Last = None) -> Response:
    """The page of one app."""
    return await _stream(asking.console, app_part(asking.console, name, may_act=asking.visitor.may_act), last or seen)


@router.get("/live/releases/{release_id}")
async def release(asking: AskingIn, release_id: str, seen: _Seen = "", last: _Last = None) -> Response:
    """The page of a release."""
    return await _stream(
        asking.console, release_part(asking.console, release_id, may_act=asking.visitor.may_act), last or seen
    )


@router.get("/live/approvals")
async def approvals(asking: AskingIn, seen: _Seen = "", last: _Last = None) -> Response:
    """What waits for a person."""
    return await _stream(asking.console, approvals_part(asking.console), last or seen)


@router.get("/live/incidents")
async def incidents(
    asking: AskingIn,
    app: _Text = "",
    resolved: Annotated[bool, Query(alias="all")] = False,
    seen: _Seen = "",
    last: _Last = None,
) -> Response:
    """Incidents."""
    return await _stream(asking.console, incidents_part(asking.console, app, resolved=resolved), last or seen)


@router.get("/live/evals")
async def evals(
    asking: AskingIn,
    app: _Text = "",
    page: Annotated[int, Query(ge=1, le=1000)] = 1,
    seen: _Seen = "",
    last: _Last = None,
) -> Response:
    """The list of evals."""
    return await _stream(asking.console, evals_part(asking.console, app, page), last or seen)


@router.get("/live/evals/{run_id}")
async def one_eval(asking: AskingIn, run_id: str, seen: _Seen = "", last: _Last = None) -> Response:
    """The page of an eval."""
    return await _stream(asking.console, eval_part(asking.console, run_id), last or seen)


@router.get("/live/ab-tests/{trial_id}")
async def trial(asking: AskingIn, trial_id: str, seen: _Seen = "", last: _Last = None) -> Response:
    """The page of an A/B test."""
    part = trial_part(asking.console, trial_id, may_act=asking.visitor.may_act)
    return await _stream(asking.console, part, last or seen)


async def _stream(console: Console, part: Part, seen: str) -> Response:
    """The stream of a part; what isn't there, and more streams than the console holds, end at once."""
    if console.live.is_full:
        return PlainTextResponse("The console has reached its limit of live pages; reload this one by hand.\n", 503)
    try:
        await run_in_threadpool(console.live.rendered, *part)
    except NotFoundError as error:
        return PlainTextResponse(f"{error}\n", 404)
    return StreamingResponse(console.live.stream(*part, seen), media_type="text/event-stream")


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Style, script and icon."""
    if name not in {STYLE, SCRIPT, ICON}:
        raise NotFoundError("the console has no such file")
    return asset_answer(name)


@router.get("/healthz")
def health() -> Response:
    """That the process answers; nothing of the ledger."""
    return PlainTextResponse("ok\n")
