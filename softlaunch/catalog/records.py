"""Prompts, models and variants in the ledger: recorded once, never changed, found by name, alias or digest."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from softlaunch.catalog.aliases import read_alias
from softlaunch.catalog.versions import precedence
from softlaunch.core.errors import NotFoundError, SoftlaunchError
from softlaunch.core.parameters import Parameters
from softlaunch.core.variant import ModelVersion, PromptVersion, Variant
from softlaunch.store.tables import AliasRow, AppRow, ArchivedRow, ModelRow, ParametersRow, PromptRow, VariantRow

SHORTEST_PREFIX = 6
_FULL_DIGEST = 64
_Versioned = TypeVar("_Versioned", PromptRow, ParametersRow)
_NOTHING = "none yet; run 'softlaunch init' and 'softlaunch apply'"


class ImmutableError(SoftlaunchError):
    """Other content is recorded under this name and version already."""


class AmbiguousError(SoftlaunchError):
    """Several variants begin with this digest."""


class Alias(NamedTuple):
    """Where an alias of an app points."""

    app: str
    alias: str
    variant_digest: str
    moved_at: datetime


def record_prompt(session: Session, prompt: PromptVersion, source: str, now: datetime) -> bool:
    """Record a prompt version; False when exactly this is recorded. Raises ImmutableError."""
    row = session.get(PromptRow, (prompt.name, prompt.version))
    if row is None:
        _check_archived(session, "prompts", prompt.label, prompt.digest, source)
        content = prompt.model_dump(mode="json")
        session.add(
            PromptRow(
                name=prompt.name,
                version=prompt.version,
                digest=prompt.digest,
                content=content,
                source=source,
                recorded_at=now,
            )
        )
        session.flush()
        return True
    if row.digest != prompt.digest:
        raise ImmutableError(
            f"{prompt.label} was recorded on {row.recorded_at:%Y-%m-%d} with other content, and versions never change: "
            f"undo the edit in {source}, or save it as a new version"
        )
    return False


def record_parameters(session: Session, parameters: Parameters, source: str, now: datetime) -> bool:
    """Record a version of parameters; False when exactly this is recorded. Raises ImmutableError."""
    row = session.get(ParametersRow, (parameters.name, parameters.version))
    if row is None:
        _check_archived(session, "parameters", parameters.label, parameters.digest, source)
        session.add(
            ParametersRow(
                name=parameters.name,
                version=parameters.version,
                digest=parameters.digest,
                content=parameters.model_dump(mode="json"),
                source=source,
                recorded_at=now,
            )
        )
        session.flush()
        return True
    if row.digest != parameters.digest:
        raise ImmutableError(
            f"{parameters.label} was recorded on {row.recorded_at:%Y-%m-%d} with other content, and versions never "
            f"change: undo the edit in {source}, or save it as a new version"
        )
    return False


def record_model(session: Session, model: ModelVersion, source: str, now: datetime) -> bool:
    """Record a model version; False when exactly this is recorded. Raises ImmutableError."""
    row = session.get(ModelRow, model.name)
    if row is None:
        _check_archived(session, "models", model.name, model.digest, source)
        content = model.model_dump(mode="json")
        session.add(ModelRow(name=model.name, digest=model.digest, content=content, source=source, recorded_at=now))
        session.flush()
        return True
    if row.digest != model.digest:
        changed = [key for key, value in model.model_dump(mode="json").items() if row.content.get(key) != value]
        raise ImmutableError(
            f"model {model.name} was recorded on {row.recorded_at:%Y-%m-%d} with another {', '.join(changed)}, and "
            f"model versions never change: undo the edit in {source}, or give the model a new name such as "
            f"{model.name}-2"
        )
    return False


def _check_archived(session: Session, kind: str, key: str, digest: str, source: str) -> None:
    """A version that was deleted by a cleanup stays what it was."""
    archived = session.exec(
        select(ArchivedRow)
        .where(ArchivedRow.kind == kind, ArchivedRow.key == key)
        .order_by(col(ArchivedRow.id).desc())
        .limit(1)
    ).one_or_none()
    if archived is not None and archived.content_digest != digest:
        raise ImmutableError(
            f"{key} was archived on {archived.archived_at:%Y-%m-%d} with other content, and versions never change: "
            f"undo the edit in {source}, or save it as a new version; 'softlaunch registry restore {kind} {key}' "
            "brings the old one back"
        )


def record_variant(session: Session, variant: Variant, now: datetime) -> bool:
    """Record a variant; False when it is recorded."""
    if session.get(VariantRow, variant.digest) is not None:
        return False
    row = VariantRow(
        digest=variant.digest,
        label=variant.label,
        prompt_name=variant.prompt.name,
        prompt_version=variant.prompt.version,
        model_name=variant.model.name,
        parameters=None if variant.parameters is None else variant.parameters.label,
        fallbacks=[model.name for model in variant.fallbacks] or None,
        content=variant.model_dump(mode="json"),
        recorded_at=now,
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another app's release recorded the same at this moment
        return False
    return True


def list_prompts(session: Session) -> list[PromptRow]:
    """Every recorded prompt version, by name and precedence of its version."""
    return _by_version(session.exec(select(PromptRow)).all())


def get_prompt(session: Session, reference: str) -> PromptVersion:
    """The prompt version written as `name@version`. Raises NotFoundError."""
    row = session.get(PromptRow, _key(reference))
    if row is None:
        known = _labels(list_prompts(session))
        raise NotFoundError(f"no prompt {reference!r} is recorded; recorded: {known or _NOTHING}")
    return PromptVersion.model_validate(row.content)


def list_parameters(session: Session) -> list[ParametersRow]:
    """Every recorded version of parameters, by name and precedence of its version."""
    return _by_version(session.exec(select(ParametersRow)).all())


def get_parameters(session: Session, reference: str) -> Parameters:
    """The parameters written as `name@version`. Raises NotFoundError."""
    row = session.get(ParametersRow, _key(reference))
    if row is None:
        nothing = "none yet; write them as parameters/<name>/v1.0.0.yaml and run 'softlaunch apply'"
        known = _labels(list_parameters(session))
        raise NotFoundError(f"no parameters {reference!r} are recorded; recorded: {known or nothing}")
    return Parameters.model_validate(row.content)


def _by_version(rows: Sequence[_Versioned]) -> list[_Versioned]:
    return sorted(rows, key=lambda row: (row.name, precedence(row.version)))


def _labels(rows: Sequence[PromptRow] | Sequence[ParametersRow]) -> str:
    return ", ".join(f"{row.name}@{row.version}" for row in rows)


def _key(reference: str) -> tuple[str, str]:
    name, _, version = reference.partition("@")
    return name, version


def list_models(session: Session) -> list[ModelRow]:
    """Every recorded model version, by name."""
    return list(session.exec(select(ModelRow).order_by(col(ModelRow.name))).all())


def get_model(session: Session, name: str) -> ModelVersion:
    """The model version of this name. Raises NotFoundError."""
    row = session.get(ModelRow, name)
    if row is None:
        known = ", ".join(one.name for one in list_models(session))
        raise NotFoundError(f"no model {name!r} is recorded; recorded: {known or _NOTHING}")
    return ModelVersion.model_validate(row.content)


def list_variants(session: Session) -> list[VariantRow]:
    """Every recorded variant, oldest first."""
    order = (col(VariantRow.recorded_at), col(VariantRow.label))
    return list(session.exec(select(VariantRow).order_by(*order)).all())


def list_aliases(session: Session, app: str | None = None) -> list[Alias]:
    """Aliases of one app, or of all, by app and name."""
    query = select(AliasRow).order_by(col(AliasRow.app), col(AliasRow.alias))
    rows = session.exec(query if app is None else query.where(AliasRow.app == app)).all()
    return [Alias(row.app, row.alias, row.variant_digest, row.moved_at) for row in rows]


def get_variant(session: Session, app: str, reference: str) -> Variant:
    """The variant that an alias or name of the app points at, or that a digest of at least six characters begins.

    A name may stand behind its app's, as lists of variants write it. Raises NotFoundError, naming the aliases that
    exist, and AmbiguousError when several digests begin so.
    """
    check_app(session, app)
    reference = reference.removeprefix(f"{app}/")
    digest = read_alias(session, app, reference) or _by_prefix(session, reference)
    if digest is None:
        known = ", ".join(one.alias for one in list_aliases(session, app))
        raise NotFoundError(
            f"{app} has no variant {reference!r}; its variants: {known or _NOTHING}. A digest of at least "
            f"{SHORTEST_PREFIX} characters works too, see 'softlaunch variants list'"
        )
    return Variant.model_validate(session.get_one(VariantRow, digest).content)


def _by_prefix(session: Session, prefix: str) -> str | None:
    if not SHORTEST_PREFIX <= len(prefix) <= _FULL_DIGEST or set(prefix) - set("0123456789abcdef"):
        return None
    found = session.exec(select(VariantRow.digest).where(col(VariantRow.digest).startswith(prefix)).limit(2)).all()
    if len(found) > 1:
        raise AmbiguousError(f"several variants start with {prefix}; give more of the digest")
    return found[0] if found else None


def check_app(session: Session, app: str) -> AppRow:
    """The app's row. Raises NotFoundError, naming the apps that exist."""
    row = session.get(AppRow, app)
    if row is None:
        known = ", ".join(session.exec(select(AppRow.name).order_by(col(AppRow.name))).all())
        raise NotFoundError(f"no app {app!r} is recorded; recorded: {known or _NOTHING}")
    return row
