"""Variants: what is recorded, where it serves and has served, and its releases and evals."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from softlaunch.console.queries.history import History, read_history, serving_apps
from softlaunch.core.errors import NotFoundError
from softlaunch.core.variant import Variant
from softlaunch.store.tables import AliasRow, PromptRow, VariantRow

PAGE = 50
_MOST = 50
_SHORTEST = 6


@dataclass(frozen=True, slots=True)
class VariantLine:
    """A variant in a list, and the apps that it serves."""

    digest: str
    label: str
    prompt: str
    model: str
    recorded_at: datetime
    serves: Sequence[str]


@dataclass(frozen=True, slots=True)
class VariantPage:
    """One variant with its history."""

    variant: Variant
    recorded_at: datetime
    author: str
    purpose: str
    serves: Sequence[str]
    aliases: Sequence[AliasRow]
    history: History


def list_variants(session: Session, named: str, page: int) -> tuple[list[VariantLine], bool]:
    """One page of variants whose label begins with, or whose prompt or model is `named`; newest first."""
    found = select(VariantRow)
    if named:
        begins = col(VariantRow.label).startswith(named, autoescape=True)
        found = found.where(begins | (col(VariantRow.prompt_name) == named) | (col(VariantRow.model_name) == named))
    order = (col(VariantRow.recorded_at).desc(), col(VariantRow.digest).desc())
    rows = session.exec(found.order_by(*order).offset((page - 1) * PAGE).limit(PAGE + 1)).all()
    serving = serving_apps(session, [row.digest for row in rows])
    lines = [
        VariantLine(
            *(row.digest, row.label, f"{row.prompt_name}@{row.prompt_version}", row.model_name, row.recorded_at),
            serving.get(row.digest, ()),
        )
        for row in rows[:PAGE]
    ]
    return lines, len(rows) > PAGE


def find_variant(session: Session, named: str) -> Variant:
    """A variant by its digest or the beginning of it. Raises NotFoundError, also where several begin so."""
    found = select(VariantRow).where(col(VariantRow.digest).startswith(named, autoescape=True)).limit(2)
    rows = session.exec(found).all() if len(named) >= _SHORTEST else []
    if len(rows) != 1:
        why = "several variants start with this" if rows else "no variant is recorded"
        raise NotFoundError(f"{why}: {named!r}; see the list of variants")
    return Variant.model_validate(rows[0].content)


def read_variant(session: Session, named: str) -> VariantPage:
    """A variant with everything that happened to it, the newest 50 of each. Raises NotFoundError."""
    variant = find_variant(session, named)
    digest, prompt = variant.digest, variant.prompt
    aliases = select(AliasRow).where(AliasRow.variant_digest == digest).limit(_MOST)
    recorded = session.get(PromptRow, (prompt.name, prompt.version))
    held = {} if recorded is None else recorded.content
    return VariantPage(
        variant,
        session.get_one(VariantRow, digest).recorded_at,
        str(held.get("author", "")),
        str(held.get("purpose", "")),
        serving_apps(session, [digest]).get(digest, ()),
        session.exec(aliases).all(),
        read_history(session, [digest]),
    )
