"""What applying an app's folder would change, without changing it: old and new value of everything."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from sqlmodel import Session

from softlaunch.catalog.aliases import PRODUCTION
from softlaunch.catalog.app_folder import AppFolder, read_app
from softlaunch.catalog.apps import Applied, apply_in_session
from softlaunch.catalog.prompt_changes import PartDiff, diff_prompts
from softlaunch.catalog.records import list_aliases, list_parameters, list_prompts
from softlaunch.catalog.variant_changes import diff_models, diff_parameters, diff_variants
from softlaunch.core.clock import utc_now
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import ModelVersion, PromptVersion, Variant
from softlaunch.policy.effective import settings
from softlaunch.policy.model import Policy
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, ModelRow, ParametersRow, PromptRow, VariantRow

_UNSET = "none"
"""What a key is written as that says nothing: an item of a list that is new, or gone, needn't list it."""


class ChangeKind(StrEnum):
    """What changes."""

    APP = "app"
    POLICY = "policy"
    PROMPT = "prompt"
    MODEL = "model"
    PARAMETERS = "parameters"
    VARIANT = "variant"
    GATEWAYS = "gateways"


@dataclass(frozen=True, slots=True)
class AppChange:
    """One thing that changes, in words; `before` is None for what isn't there yet, `after` for what is left out now.

    `parts` are its texts and keys that differ.
    """

    kind: ChangeKind
    name: str
    before: str | None
    after: str | None
    parts: tuple[PartDiff, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What applying would do: there are changes exactly where `applied.changed`."""

    applied: Applied
    changes: tuple[AppChange, ...]


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What the ledger has of an app before it is applied."""

    app: AppRow | None
    policy: Policy | None = None
    policy_path: str = ""
    models: Mapping[str, ModelVersion] = field(default_factory=dict)
    variants: Mapping[str, Variant] = field(default_factory=dict)


def preview(folder: Path, database: Database, silent: Collection[str] = (), now: datetime | None = None) -> Preview:
    """What `apply` of this folder would change; it is done and undone in one transaction, so it can't differ.

    Raises what `apply` raises.
    """
    files = read_app(folder)
    with database.begin() as session:
        recorded = _recorded(session, files)
        undone = session.begin_nested()
        applied = apply_in_session(session, files, "nobody", now or utc_now(), silent)
        changes = tuple(_changes(session, files, recorded, applied))
        undone.rollback()
    return Preview(applied, changes)


def _recorded(session: Session, files: AppFolder) -> _Recorded:
    row = session.get(AppRow, files.policy.app)
    models = {one.name: session.get(ModelRow, one.name) for one in files.models}
    known = {name: ModelVersion.model_validate(one.content) for name, one in models.items() if one is not None}
    if row is None:
        return _Recorded(None, models=known)
    aliases = list_aliases(session, row.name)
    variants = {one.alias: _variant(session, one.variant_digest) for one in aliases}
    return _Recorded(row, Policy.model_validate(row.policy), row.policy_path, known, variants)


def _variant(session: Session, digest: str) -> Variant:
    return Variant.model_validate(session.get_one(VariantRow, digest).content)


def _changes(session: Session, files: AppFolder, recorded: _Recorded, applied: Applied) -> Iterator[AppChange]:
    if applied.created:
        yield AppChange(ChangeKind.APP, applied.app, None, applied.app)
    if applied.policy_changed and recorded.policy is not None:
        yield from _of_policy(recorded.policy, files.policy, recorded.policy_path, str(files.policy_path))
    yield from _of_prompts(list_prompts(session), applied.prompts)
    for model in files.models:
        if model.name in applied.models:
            yield _of_model(recorded.models.get(model.name), model)
    yield from _of_parameters(list_parameters(session), applied.parameters)
    for name in applied.aliases:
        yield _of_variant(name, recorded.variants.get(name), files.variants[name])
    yield from _of_unnamed_variants(files, applied)
    serving, before = _variant(session, applied.production), recorded.variants.get(PRODUCTION)
    if before is not None and before.digest != serving.digest:
        yield _of_variant(PRODUCTION, before, serving)
    if applied.gateways_changed:
        yield AppChange(
            ChangeKind.GATEWAYS, "serving", "as before", "the policy's settings for units, texts and gateways"
        )


def _of_unnamed_variants(files: AppFolder, applied: Applied) -> Iterator[AppChange]:
    """Variants that are recorded although their names point at them already: a cleanup took them away."""
    for name in applied.variants:
        if name not in applied.aliases:
            yield AppChange(ChangeKind.VARIANT, name, None, files.variants[name].label)


def _of_policy(before: Policy, after: Policy, before_path: str, after_path: str) -> Iterator[AppChange]:
    old, new = ({one.key: one.value for one in settings(policy)} for policy in (before, after))
    differing = [key for key in dict.fromkeys([*old, *new]) if (old.get(key) or _UNSET) != (new.get(key) or _UNSET)]
    for key in differing:
        yield AppChange(ChangeKind.POLICY, key, old.get(key), new.get(key))
    if before_path != after_path:
        yield AppChange(ChangeKind.POLICY, "the file itself", before_path, after_path)
    elif not differing:
        yield AppChange(ChangeKind.POLICY, "its form", "of an earlier version of softlaunch", "of this version")


def _of_prompts(rows: list[PromptRow], new: tuple[str, ...]) -> Iterator[AppChange]:
    for place, row in enumerate(rows):
        label = f"{row.name}@{row.version}"
        if label in new:
            after = PromptVersion.model_validate(row.content)
            earlier = rows[place - 1] if place and rows[place - 1].name == row.name else None
            before = None if earlier is None else PromptVersion.model_validate(earlier.content)
            parts = () if before is None else diff_prompts(before, after)
            yield AppChange(ChangeKind.PROMPT, label, None if before is None else before.label, label, parts)


def _of_parameters(rows: list[ParametersRow], new: tuple[str, ...]) -> Iterator[AppChange]:
    for place, row in enumerate(rows):
        label = f"{row.name}@{row.version}"
        if label in new:
            after = Parameters.model_validate(row.content)
            earlier = rows[place - 1] if place and rows[place - 1].name == row.name else None
            before = None if earlier is None else Parameters.model_validate(earlier.content)
            parts = () if before is None else diff_parameters(before, after)
            yield AppChange(ChangeKind.PARAMETERS, label, None if before is None else before.label, label, parts)


def _of_model(before: ModelVersion | None, after: ModelVersion) -> AppChange:
    parts = () if before is None else diff_models(before, after)
    return AppChange(ChangeKind.MODEL, after.name, None if before is None else before.name, after.name, parts)


def _of_variant(name: str, before: Variant | None, after: Variant) -> AppChange:
    parts = () if before is None else diff_variants(before, after)
    return AppChange(ChangeKind.VARIANT, name, None if before is None else before.label, after.label, parts)
