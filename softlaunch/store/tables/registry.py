"""What is registered: apps, prompts, models, variants, their aliases, and what the cleanup has done with them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index
from sqlmodel import Field, SQLModel

from softlaunch.store.tables.columns import as_json, moment, row_number


class AppRow(SQLModel, table=True):
    """An app and the policy in force for its next release."""

    __tablename__ = "apps"
    name: str = Field(primary_key=True)
    policy: dict[str, Any] = as_json()
    policy_path: str
    salt: str
    recorded_at: datetime = moment()


class PromptRow(SQLModel, table=True):
    """A recorded prompt version; never changed."""

    __tablename__ = "prompts"
    __table_args__ = (Index("ix_prompts_age", "name", "recorded_at", "version"),)
    name: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    digest: str = Field(index=True)
    content: dict[str, Any] = as_json()
    source: str = ""
    recorded_at: datetime = moment()


class PromptSyncRow(SQLModel, table=True):
    """One sync of prompts from Git: the next one checks only what came after its commit."""

    __tablename__ = "prompt_syncs"
    id: int | None = row_number()
    commit: str
    folder: str
    synced_at: datetime = moment()
    synced_by: str


class ParametersRow(SQLModel, table=True):
    """A recorded version of parameters; never changed."""

    __tablename__ = "parameters"
    __table_args__ = (Index("ix_parameters_age", "name", "recorded_at", "version"),)
    name: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    digest: str = Field(index=True)
    content: dict[str, Any] = as_json()
    source: str = ""
    recorded_at: datetime = moment()


class ModelRow(SQLModel, table=True):
    """A recorded model version; never changed."""

    __tablename__ = "models"
    __table_args__ = (Index("ix_models_age", "recorded_at", "name"),)
    name: str = Field(primary_key=True)
    digest: str = Field(index=True)
    content: dict[str, Any] = as_json()
    source: str = ""
    recorded_at: datetime = moment()


class VariantRow(SQLModel, table=True):
    """A recorded variant, whole, so that what served can always be read again.

    `parameters` is the `name@version` of its parameters, `fallbacks` the names of its fallback models; null where it
    has none.
    """

    __tablename__ = "variants"
    __table_args__ = (Index("ix_variants_age", "recorded_at", "digest"),)
    digest: str = Field(primary_key=True)
    label: str
    prompt_name: str
    prompt_version: str
    model_name: str
    parameters: str | None = None
    fallbacks: list[str] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    content: dict[str, Any] = as_json()
    recorded_at: datetime = moment()


class AliasRow(SQLModel, table=True):
    """Where an alias of an app points now: `production`, `previous`, or a name that people gave a variant."""

    __tablename__ = "aliases"
    app: str = Field(primary_key=True, foreign_key="apps.name")
    alias: str = Field(primary_key=True)
    variant_digest: str = Field(foreign_key="variants.digest")
    moved_at: datetime = moment()


class AliasMoveRow(SQLModel, table=True):
    """One move of an alias, kept for good."""

    __tablename__ = "alias_moves"
    id: int | None = row_number()
    app: str = Field(index=True)
    alias: str
    variant_digest: str
    release_id: str | None = None
    moved_at: datetime = moment()
    moved_by: str


class TagRow(SQLModel, table=True):
    """A tag on a recorded version: `protected` keeps it for good, others give it an age of their own."""

    __tablename__ = "tags"
    kind: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    tag: str = Field(primary_key=True)
    tagged_at: datetime = moment()
    tagged_by: str


class ArchiveObjectRow(SQLModel, table=True):
    """An object in an archive, named by the SHA-256 of its content, that was read back before anything was deleted."""

    __tablename__ = "bundles"
    key: str = Field(primary_key=True)
    archive: str
    sha256: str
    bytes: int
    written_at: datetime = moment()


class ArchivedRow(SQLModel, table=True):
    """Something that a cleanup deleted, and the archive object that holds its copy.

    `digest` is the SHA-256 of the entry in that object, `content_digest` that of the version itself: another content
    is never recorded under its name. `restored_at` is when it was last put back.
    """

    __tablename__ = "archived"
    __table_args__ = (Index("ix_archived_key", "kind", "key"),)
    id: int | None = row_number()
    kind: str
    key: str
    digest: str
    content_digest: str
    bytes: int
    reason: str
    bundle: str = Field(foreign_key="bundles.key")
    archived_at: datetime = moment()
    archived_by: str
    restored_at: datetime | None = moment(nullable=True)


class ScanRow(SQLModel, table=True):
    """How far a reader of the request log has come: the id of the last row that it has seen."""

    __tablename__ = "scans"
    name: str = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
