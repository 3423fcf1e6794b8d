"""Approvals, votes, incidents, and notifications that wait to be sent."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from softlaunch.store.tables.columns import as_json, moment, row_number


class ApprovalRow(SQLModel, table=True):
    """A question to a person about a live release or a large cleanup, and how it ended.

    A question about no release has an `app`, whose policy says who may answer, a `subject`, the digest of exactly what
    was asked about, and `asked_by`.
    """

    __tablename__ = "approvals"
    __table_args__ = (UniqueConstraint("release_id", "position", "question"),)
    id: int | None = row_number()
    release_id: str | None = Field(default=None, foreign_key="releases.id", index=True)
    app: str = Field(default="", sa_column_kwargs={"server_default": ""})
    position: int
    question: str
    subject: str = Field(default="", sa_column_kwargs={"server_default": ""})
    text: str
    asked_by: str = Field(default="", sa_column_kwargs={"server_default": ""})
    state: str
    asked_at: datetime = moment()
    expires_at: datetime = moment()
    decided_at: datetime | None = moment(nullable=True)
    decided_by: str = ""
    decided_from: str = ""
    reason: str = ""


class VoteRow(SQLModel, table=True):
    """A person's vote, whether it counted or not, and the reply that they got: the audit of decisions.

    `person` is the voter by the policy's names; `ruling` holds the vote's result, and `told` the reply. Kept for good.
    """

    __tablename__ = "votes"
    id: int | None = row_number()
    app: str = Field(index=True)
    release_id: str | None = Field(default=None, index=True)
    approval_id: int | None = Field(default=None, sa_type=BigInteger, index=True)
    said: str
    person: str
    name: str
    origin: str
    reason: str
    ruling: str
    told: str
    said_at: datetime = moment()


class HeardRow(SQLModel, table=True):
    """A signed request from outside that was heard, kept until nobody accepts it any more."""

    __tablename__ = "heard"
    signature: str = Field(primary_key=True)
    expires_at: datetime = moment(index=True)


class IncidentRow(SQLModel, table=True):
    """Something a person must know.

    `open_key` is the `dedup_key` while the incident is open and null afterwards:

    its uniqueness is what keeps a second one from opening. `seen` counts how often the same was reported meanwhile.
    """

    __tablename__ = "incidents"
    id: int | None = row_number()
    kind: str
    app: str = Field(index=True)
    release_id: str | None = Field(default=None, index=True)
    dedup_key: str = Field(index=True)
    open_key: str | None = Field(default=None, unique=True)
    severity: str
    summary: str
    evidence: dict[str, Any] = as_json()
    seen: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    opened_at: datetime = moment()
    updated_at: datetime | None = moment(nullable=True)
    resolved_at: datetime | None = moment(nullable=True)
    resolved_by: str = Field(default="", sa_column_kwargs={"server_default": ""})
    resolution: str = Field(default="", sa_column_kwargs={"server_default": ""})


class NoticeRow(SQLModel, table=True):
    """The outbox: a message written in the transaction that it reports, sent later, once, in order within its stream.

    The column `lane` holds the stream's name.

    `event` says what it is about, `details` which approval or incident; `sent_as` is the name that the receiver gave
    the message.
    """

    __tablename__ = "notices"
    __table_args__ = (
        Index(  # what waits, in order, stream by stream; empty most of the time
            "ix_notices_waiting",
            "lane",
            "id",
            sqlite_where=text("sent_at IS NULL"),
            postgresql_where=text("sent_at IS NULL"),
        ),
    )
    id: int | None = row_number()
    app: str = Field(index=True)
    release_id: str | None = None
    lane: str = Field(default="", sa_column_kwargs={"server_default": ""})
    event: str = Field(default="said", sa_column_kwargs={"server_default": "said"})
    details: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, server_default=text("'{}'"))
    )
    text: str
    written_at: datetime = moment()
    sent_at: datetime | None = moment(nullable=True, index=True)
    sent_as: str = Field(default="", sa_column_kwargs={"server_default": ""})
    problem: str = Field(default="", sa_column_kwargs={"server_default": ""})


class StreamRow(SQLModel, table=True):
    """One stream of messages that must arrive in order: those about a release, about an app, or for the webhook.

    One sender at a time holds it. `trying` is the notice whose sending has begun (0 the thread's head), kept until it
    is known to have arrived: a sender that finds it set asks the receiver before it sends again. `shown` is the
    revision of the release that the thread's head shows.
    """

    __tablename__ = "lanes"
    name: str = Field(primary_key=True)
    holder: str = ""
    held_until: datetime | None = moment(nullable=True)
    retry_at: datetime | None = moment(nullable=True)
    failures: int = 0
    problem: str = ""
    trying: int | None = Field(default=None, sa_type=BigInteger)
    tried_at: datetime | None = moment(nullable=True)
    channel: str = ""
    thread: str = ""
    shown: int = -1
    shown_at: datetime | None = moment(nullable=True)
