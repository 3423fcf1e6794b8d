"""Requests: search, and one of them. Their texts are never shown."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from softlaunch.console.pages import AskingIn, page
from softlaunch.console.queries.requests import FAILED, LOOKED_THROUGH, Wanted, read_request, search
from softlaunch.core.errors import NotFoundError
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.policy.route import Arm

router = APIRouter()
_LARGEST_UNIT = 2**63
_Text = Annotated[str, Query(max_length=200)]
_Id = Annotated[str, Query(max_length=200, alias="id")]


@router.get("/requests")
def requests(
    asking: AskingIn, named: _Id = "", app: _Text = "", arm: _Text = "", outcome: _Text = "", more: _Text = ""
) -> Response:
    """The newest requests that are as wanted; `more` is a pseudonym, or `>800` for slower than 800 ms."""
    if named.strip():
        return RedirectResponse(f"/requests/{quote(named.strip(), safe='')}", 303)
    unit, slower = _more(more.strip())
    with asking.console.database.read() as session:
        rows = search(session, Wanted(app.strip(), arm, outcome, unit, slower))
    return page(
        *(asking, "requests.html.j2"),
        rows=rows,
        app=app,
        arm=arm,
        outcome=outcome,
        more=more,
        arms=[one.value for one in Arm],
        outcomes=[FAILED, *(one.value for one in RequestOutcome)],
        most=LOOKED_THROUGH,
    )


@router.get("/requests/{request_id}")
def request(asking: AskingIn, request_id: str) -> Response:
    """One request, with what was said of it later."""
    with asking.console.database.read() as session:
        known = read_request(session, request_id)
    if not known.rows:
        raise NotFoundError(
            f"the request log has no {request_id!r}: it may be archived, or its gateway hasn't logged it"
        )
    return page(asking, "request.html.j2", known=known, request_id=request_id)


def _more(text: str) -> tuple[int | None, float | None]:
    """A user's pseudonym, or a latency; raises NotFoundError for what is neither."""
    try:
        if text.startswith(">"):
            return None, float(text[1:].removesuffix("ms"))
        unit = int(text) if text else None
    except ValueError as error:
        raise NotFoundError(f"{text!r} is no pseudonym, which is a number, and no latency, such as >800") from error
    if unit is not None and abs(unit) >= _LARGEST_UNIT:
        raise NotFoundError(f"{text} is larger than any pseudonym")
    return unit, None
