"""Variants: the list, one with its history, and two beside each other."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from softlaunch.catalog.variant_changes import diff_variants
from softlaunch.console.pages import AskingIn, page
from softlaunch.console.queries.variants import find_variant, list_variants, read_variant
from softlaunch.reports.contrast import contrast

router = APIRouter()
_Text = Annotated[str, Query(max_length=200)]


@router.get("/variants")
def variants(
    asking: AskingIn, q: _Text = "", number: Annotated[int, Query(ge=1, le=1000, alias="page")] = 1
) -> Response:
    """What is recorded, newest first."""
    with asking.console.database.read() as session:
        lines, more = list_variants(session, q.strip(), number)
    return page(asking, "variants.html.j2", lines=lines, more=more, number=number, named=q)


@router.get("/variants/compare")
def compare(asking: AskingIn, a: _Text, b: _Text) -> Response:
    """What differs between two variants, by words."""
    with asking.console.database.read() as session:
        before, after = find_variant(session, a), find_variant(session, b)
    return page(asking, "compare.html.j2", before=before, after=after, diffs=diff_variants(before, after))


@router.get("/variants/{named}")
def variant(asking: AskingIn, named: str) -> Response:
    """One variant: what it consists of, where it serves, and what happened to it."""
    with asking.console.database.read() as session:
        known = read_variant(session, named)
    rows = contrast(known.variant, known.variant)
    parts = [(row.part, "".join(piece.text for piece in row.candidate)) for row in rows]
    return page(asking, "variant.html.j2", known=known, parts=parts)
