"""Releases and A/B tests: their stages, verdicts, transitions, and who drives them."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from softlaunch.store.tables.columns import as_json, moment, row_number


class ReleaseRow(SQLModel, table=True):
    """One attempt to make a candidate stable, or (by its `kind`) an A/B test of one against stable.

    `live_app` is the app while the release is live and null afterwards: its uniqueness is the app's release lock.
    `revision` is compared and set by every transition; `driver_token` fences off drivers that were replaced. `run_id`
    is the orchestrator's run that drives it, empty where another process does. `emergency` says why nothing is compared
    with stable, and is empty for every other release.
    """

    __tablename__ = "releases"
    __table_args__ = (UniqueConstraint("app", "number"),)
    id: str = Field(primary_key=True)
    app: str = Field(foreign_key="apps.name", index=True)
    number: int
    kind: str = Field(default="release", sa_column_kwargs={"server_default": "release"})
    live_app: str | None = Field(default=None, unique=True)
    state: str
    stage: int = 0
    stable_digest: str = Field(foreign_key="variants.digest")
    candidate_digest: str = Field(foreign_key="variants.digest")
    policy: dict[str, Any] = as_json()
    policy_path: str = ""
    revision: int = 0
    driver_token: int = 0
    driver_holder: str = ""
    driver_expires_at: datetime | None = moment(nullable=True)
    opened_at: datetime = moment()
    opened_by: str
    opened_from: str
    ended_at: datetime | None = moment(nullable=True)
    outcome: str = ""
    reason: str = ""
    run_url: str = Field(default="", sa_column_kwargs={"server_default": ""})
    run_id: str = Field(default="", sa_column_kwargs={"server_default": ""})
    emergency: str = Field(default="", sa_column_kwargs={"server_default": ""})


class StageRow(SQLModel, table=True):
    """One stage of a release: its place in the plan, when it ran, and the gates' evidence so far.

    `looked_at` is its driver's last look; `skipped_seconds` of the time since it began don't count, because nobody
    looked or because the clock was set. A stage may stay undecided until `deadline_at`, and with so many of the
    candidate's requests and units as the other deadlines say.
    """

    __tablename__ = "stages"
    release_id: str = Field(primary_key=True, foreign_key="releases.id")
    position: int = Field(primary_key=True)
    kind: str
    weight_percent: float
    state: str
    entered_at: datetime | None = moment(nullable=True)
    deadline_at: datetime | None = moment(nullable=True)
    deadline_requests: int | None = Field(default=None, sa_type=BigInteger)
    deadline_units: int | None = Field(default=None, sa_type=BigInteger)
    ended_at: datetime | None = moment(nullable=True)
    looked_at: datetime | None = moment(nullable=True)
    skipped_seconds: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    reason: str = ""
    evidence: dict[str, Any] = as_json()


class VerdictRow(SQLModel, table=True):
    """A verdict that differed from the one before it, or that ended a stage."""

    __tablename__ = "verdicts"
    id: int | None = row_number()
    release_id: str = Field(foreign_key="releases.id", index=True)
    position: int
    gate: str
    role: str
    outcome: str
    reason: str
    figures: dict[str, Any] = as_json()
    decided_at: datetime = moment()


class GateLookRow(SQLModel, table=True):
    """What the gates of a stage said at a moment while it ran; `gates` maps each to figures, see `ledger.looks`.

    Looks are thinned out as they are written: a stage of a day leaves about two hundred.
    """

    __tablename__ = "gate_looks"
    __table_args__ = (Index("ix_gate_looks_stage", "release_id", "position", "id"),)
    id: int | None = row_number()
    release_id: str = Field(foreign_key="releases.id")
    position: int
    looked_at: datetime = moment()
    gates: dict[str, Any] = as_json()


class DriveRow(SQLModel, table=True):
    """Who became a release's driver, and when."""

    __tablename__ = "drives"
    __table_args__ = (UniqueConstraint("release_id", "token"),)
    id: int | None = row_number()
    release_id: str = Field(foreign_key="releases.id", index=True)
    token: int
    holder: str
    began_at: datetime = moment()


class TransitionRow(SQLModel, table=True):
    """One step of a release's life, written with the step itself."""

    __tablename__ = "transitions"
    __table_args__ = (UniqueConstraint("release_id", "revision"),)
    id: int | None = row_number()
    release_id: str = Field(foreign_key="releases.id", index=True)
    revision: int
    from_state: str
    to_state: str
    stage: int
    reason: str
    actor: str
    happened_at: datetime = moment()


class AbLookRow(SQLModel, table=True):
    """One look at an A/B test: what every metric said, and what was concluded where it was at a planned end.

    `planned_end` counts the planned ends from 1; 0 is a look in between.
    """

    __tablename__ = "ab_looks"
    release_id: str = Field(primary_key=True, foreign_key="releases.id")
    number: int = Field(primary_key=True)
    planned_end: int
    choice: str = ""
    reason: str = ""
    analysis: dict[str, Any] = as_json()
    looked_at: datetime = moment()
