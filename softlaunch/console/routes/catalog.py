"""Prompts and models: lists, versions, what differs between two of them, and what happened to each."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from softlaunch.catalog.prompt_changes import diff_prompts
from softlaunch.catalog.variant_changes import diff_models, shown_model, written
from softlaunch.console.pages import AskingIn, page
from softlaunch.console.queries.catalog import (
    find_model,
    find_prompt,
    list_models,
    list_prompts,
    list_versions,
    uses_of_model,
    uses_of_prompt,
    version_before,
)
from softlaunch.core.variant import ModelVersion

router = APIRouter()
_Text = Annotated[str, Query(max_length=200)]
_Page = Annotated[int, Query(ge=1, le=1000, alias="page")]


@router.get("/prompts")
def prompts(asking: AskingIn, q: _Text = "", number: _Page = 1) -> Response:
    """What is recorded, by name."""
    with asking.console.database.read() as session:
        lines, more = list_prompts(session, q.strip(), number)
    return page(asking, "prompts.html.j2", lines=lines, more=more, number=number, named=q)


@router.get("/prompts/{name}")
def prompt(asking: AskingIn, name: str) -> Response:
    """A prompt's versions, with who and when, and where they serve."""
    with asking.console.database.read() as session:
        lines = list_versions(session, name)
    return page(asking, "prompt.html.j2", name=name, lines=lines)


@router.get("/prompts/{name}/compare")
def compare_prompts(asking: AskingIn, name: str, a: _Text, b: _Text) -> Response:
    """What differs between two versions, by words."""
    with asking.console.database.read() as session:
        before, after = find_prompt(session, name, a), find_prompt(session, name, b)
    return _difference(asking, f"/prompts/{name}", (name, a, b), diff_prompts(before, after))


@router.get("/prompts/{name}/{version}")
def prompt_version(asking: AskingIn, name: str, version: str) -> Response:
    """One version: its texts, what it changed, and what happened to it."""
    with asking.console.database.read() as session:
        found = find_prompt(session, name, version)
        lower = version_before(session, found)
        diffs = () if lower is None else diff_prompts(find_prompt(session, name, lower), found)
        uses = uses_of_prompt(session, found)
    return page(asking, "prompt_version.html.j2", prompt=found, lower=lower, diffs=diffs, uses=uses)


@router.get("/models")
def models(asking: AskingIn, q: _Text = "", number: _Page = 1) -> Response:
    """What is recorded, newest first."""
    with asking.console.database.read() as session:
        lines, more = list_models(session, q.strip(), number)
    return page(asking, "models.html.j2", lines=lines, more=more, number=number, named=q)


@router.get("/models/compare")
def compare_models(asking: AskingIn, a: _Text, b: _Text) -> Response:
    """What differs between two models, key by key."""
    with asking.console.database.read() as session:
        before, after = (ModelVersion.model_validate(find_model(session, name).content) for name in (a, b))
    return _difference(asking, "/models", ("", a, b), diff_models(before, after))


@router.get("/models/{name}")
def model(asking: AskingIn, name: str) -> Response:
    """One model: how it is called, and what happened to it."""
    with asking.console.database.read() as session:
        row = find_model(session, name)
        uses = uses_of_model(session, name)
    shown = shown_model(ModelVersion.model_validate(row.content))
    keys = [(key, written(value)) for key, value in shown.items() if key != "name"]
    return page(asking, "model.html.j2", row=row, keys=keys, uses=uses)


def _difference(asking: AskingIn, address: str, of: tuple[str, str, str], diffs: object) -> Response:
    """The page of a difference; `of` is whose versions these are, empty for models, and both of them."""
    named, before, after = of
    return page(asking, "difference.html.j2", above=address, named=named, before=before, after=after, diffs=diffs)
