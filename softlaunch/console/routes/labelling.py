"""Labelling live answers that are drawn at random: which there are, drawing more, and one answer after the other."""

from urllib.parse import quote

import numpy as np
from fastapi import APIRouter
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from softlaunch.console.access import ORIGIN
from softlaunch.console.pages import FIRST, Again, Asking, AskingIn, FormIn, objection, own_page, page
from softlaunch.console.queries.labels import labelled_metric, list_labelling
from softlaunch.core.errors import SoftlaunchError
from softlaunch.ledger.releases import Actor
from softlaunch.ledger.review_draws import Draw, draw, next_answer
from softlaunch.reports.eval_page import VoteForm
from softlaunch.reports.reviewing.random_review import RandomBallot

router = APIRouter()
_DRAWN = 40
_OWN_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@router.get("/apps/{name}/labels")
def labelling(asking: AskingIn, name: str) -> Response:
    """The app's drawn metrics, and how many answers wait."""
    return _labelling(asking, name)


@router.post("/apps/{name}/labels/{metric}/draw")
def draw_more(asking: AskingIn, form: FormIn, name: str, metric: str) -> Response:
    """Draw answers of the live release from both arms, unless earlier ones still wait."""
    refused = objection(asking, form)
    if refused is not None:
        return _labelling(asking, name, refused)
    console = asking.console
    try:
        with console.database.begin() as session:
            declared = labelled_metric(session, name, metric)
            if next_answer(session, name, declared.name) is None:
                by = str(Actor(asking.visitor.name, ORIGIN))
                asked = Draw(declared.name, _DRAWN, console.clock().timestamp(), by)
                draw(session, name, asked, np.random.default_rng())
    except SoftlaunchError as error:
        return _labelling(asking, name, Again(str(error), status=409))
    return RedirectResponse(_address(name, metric), 303)


@router.get("/apps/{name}/labels/{metric}")
def next_one(asking: AskingIn, name: str, metric: str) -> Response:
    """The next answer, without a word on its arm."""
    if not asking.visitor.may_act:
        return RedirectResponse(f"/apps/{quote(name, safe='')}/labels", 303)
    ballot, address = _ballot(asking, name, metric), _address(name, metric)
    back = f"/apps/{quote(name, safe='')}/labels"
    return own_page(
        asking, lambda token: ballot.page(VoteForm(address, token, back, "labels in the console")), _OWN_POLICY
    )


@router.post("/apps/{name}/labels/{metric}")
def label(asking: AskingIn, form: FormIn, name: str, metric: str) -> Response:
    """Keep a label, and go on to the next answer."""
    refused = objection(asking, form)
    if refused is not None:
        return PlainTextResponse(refused.problem or "You may see the console, but not label.", refused.status)
    if not _ballot(asking, name, metric).take(form):
        return PlainTextResponse("Expected a drawn answer and one of the choices of its page.", 422)
    return RedirectResponse(_address(name, metric), 303)


def _labelling(asking: Asking, name: str, again: Again = FIRST) -> Response:
    with asking.console.database.read() as session:
        lines = list_labelling(session, name)
    texts = {"name": name, "lines": lines, "problem": again.problem, "most": _DRAWN}
    return page(asking, "labels.html.j2", status=again.status, **texts)


def _ballot(asking: Asking, name: str, metric: str) -> RandomBallot:
    console = asking.console
    with console.database.read() as session:
        declared = labelled_metric(session, name, metric)
    return RandomBallot(console.database, name, declared, asking.visitor.name, console.clock)


def _address(name: str, metric: str) -> str:
    return f"/apps/{quote(name, safe='')}/labels/{quote(metric, safe='')}"
