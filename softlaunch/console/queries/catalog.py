"""Prompts with their versions, and models: who recorded them and when, what serves, and what happened to each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from softlaunch.catalog.versions import precedence
from softlaunch.console.queries.history import History, read_history, serving_apps
from softlaunch.core.errors import NotFoundError
from softlaunch.core.variant import ModelVersion, PromptVersion
from softlaunch.store.tables import ModelRow, PromptRow, RouteRow, VariantRow

PAGE = 50
_VERSIONS, _VARIANTS, _SERVED = 200, 200, 2000


@dataclass(frozen=True, slots=True)
class PromptLine:
    """A prompt in a list: how many versions it has, and the one that was recorded last."""

    name: str
    versions: int
    newest: str
    author: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A version of a prompt, and the apps that it serves now."""

    prompt: PromptVersion
    source: str
    recorded_at: datetime
    serves: Sequence[str]


@dataclass(frozen=True, slots=True)
class ModelLine:
    """A model in a list, and the apps that it serves now."""

    model: ModelVersion
    source: str
    recorded_at: datetime
    serves: Sequence[str]


@dataclass(frozen=True, slots=True)
class Uses:
    """The variants that have a version, the newest 200, the apps that these serve now, and what happened to them."""

    variants: Sequence[VariantRow]
    serves: Sequence[str]
    history: History


def list_prompts(session: Session, named: str, page: int) -> tuple[list[PromptLine], bool]:
    """One page of prompts whose names begin so, by name; and whether more follow."""
    found = (
        select(PromptRow.name, func.count(), func.max(PromptRow.recorded_at))
        .where(col(PromptRow.name).startswith(named, autoescape=True))
        .group_by(PromptRow.name)
        .order_by(PromptRow.name)
    )
    rows = session.exec(found.offset((page - 1) * PAGE).limit(PAGE + 1)).all()
    lines = []
    for name, versions, _ in rows[:PAGE]:
        newest = session.exec(_versions(name).limit(1)).one()
        author = str(newest.content.get("author", ""))
        lines.append(PromptLine(name, versions, newest.version, author, newest.recorded_at))
    return lines, len(rows) > PAGE


def list_versions(session: Session, name: str) -> list[VersionLine]:
    """A prompt's versions, the highest first; of very many the 200 that were recorded last. Raises NotFoundError."""
    rows = session.exec(_versions(name).limit(_VERSIONS)).all()
    if not rows:
        raise NotFoundError(f"no prompt {name!r} is recorded; see the list of prompts")
    serving = _serving(session, VariantRow.prompt_version, col(VariantRow.prompt_name) == name)
    rows = sorted(rows, key=lambda row: precedence(row.version), reverse=True)
    return [
        VersionLine(
            PromptVersion.model_validate(row.content),
            row.source,
            row.recorded_at,
            serving.get(row.version, ()),
        )
        for row in rows
    ]


def find_prompt(session: Session, name: str, version: str) -> PromptVersion:
    """A version of a prompt. Raises NotFoundError."""
    row = session.get(PromptRow, (name, version))
    if row is None:
        raise NotFoundError(f"no prompt {name}@{version} is recorded; see the versions of {name}")
    return PromptVersion.model_validate(row.content)


def version_before(session: Session, prompt: PromptVersion) -> str | None:
    """The highest recorded version below one; None for the first."""
    known = session.exec(select(PromptRow.version).where(PromptRow.name == prompt.name).limit(10 * _VERSIONS)).all()
    lower = [one for one in known if precedence(one) < precedence(prompt.version)]
    return max(lower, key=precedence, default=None)


def list_models(session: Session, named: str, page: int) -> tuple[list[ModelLine], bool]:
    """One page of models whose names begin so, newest first; and whether more follow."""
    found = select(ModelRow).where(col(ModelRow.name).startswith(named, autoescape=True))
    order = (col(ModelRow.recorded_at).desc(), col(ModelRow.name).desc())
    rows = session.exec(found.order_by(*order).offset((page - 1) * PAGE).limit(PAGE + 1)).all()
    names = [row.name for row in rows[:PAGE]]
    serving = _serving(session, VariantRow.model_name, col(VariantRow.model_name).in_(names))
    lines = [
        ModelLine(
            ModelVersion.model_validate(row.content),
            row.source,
            row.recorded_at,
            serving.get(row.name, ()),
        )
        for row in rows[:PAGE]
    ]
    return lines, len(rows) > PAGE


def find_model(session: Session, name: str) -> ModelRow:
    """A model. Raises NotFoundError."""
    row = session.get(ModelRow, name)
    if row is None:
        raise NotFoundError(f"no model {name!r} is recorded; see the list of models")
    return row


def serving_variant(session: Session, app: str) -> VariantRow | None:
    """What serves an app now; None where nothing does."""
    route = session.get(RouteRow, app)
    return None if route is None else session.get(VariantRow, route.stable_digest)


def uses_of_prompt(session: Session, prompt: PromptVersion) -> Uses:
    """What has this version of a prompt."""
    found = select(VariantRow).where(VariantRow.prompt_name == prompt.name, VariantRow.prompt_version == prompt.version)
    return _uses(session, session.exec(found.order_by(col(VariantRow.recorded_at).desc()).limit(_VARIANTS)).all())


def uses_of_model(session: Session, name: str) -> Uses:
    """What has this model as its own, not as a fallback."""
    found = select(VariantRow).where(VariantRow.model_name == name)
    return _uses(session, session.exec(found.order_by(col(VariantRow.recorded_at).desc()).limit(_VARIANTS)).all())


def _uses(session: Session, variants: Sequence[VariantRow]) -> Uses:
    digests = [row.digest for row in variants]
    apps = sorted({app for named in serving_apps(session, digests).values() for app in named})
    return Uses(variants, apps, read_history(session, digests))


def _versions(name: str) -> SelectOfScalar[PromptRow]:
    return select(PromptRow).where(PromptRow.name == name).order_by(col(PromptRow.recorded_at).desc())


def _serving(session: Session, by: Any, which: Any) -> dict[str, list[str]]:
    """The apps that variants serve now, by a column of theirs, of those variants of which something is so."""
    found = (
        select(by, RouteRow.app)
        .join(VariantRow, col(VariantRow.digest) == col(RouteRow.stable_digest))
        .where(which)
        .order_by(RouteRow.app)
        .limit(_SERVED)
    )
    serving: dict[str, list[str]] = {}
    for key, app in session.exec(found):
        serving.setdefault(key, []).append(app)
    return serving
