"""Live traffic: the routes that gateways follow, and what they log in seconds since the epoch."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, UniqueConstraint, false, text
from sqlmodel import Field, SQLModel

from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.store.tables.columns import as_json, moment, row_number


class RouteRow(SQLModel, table=True):
    """The split in force for an app, see `softlaunch.policy.route`. `fence` is the newest driver token to write it."""

    __tablename__ = "routes"
    app: str = Field(primary_key=True, foreign_key="apps.name")
    revision: int
    stable_digest: str = Field(foreign_key="variants.digest")
    candidate_digest: str | None = Field(default=None, foreign_key="variants.digest")
    weight_percent: float = 0.0
    shadow_percent: float = 0.0
    control_percent: float = 0.0
    release_id: str | None = None
    stage: int = 0
    fence: int = 0
    beat: int = 0
    lease_seconds: float = 10.0
    only: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    serving: dict[str, Any] = as_json()
    changed_at: datetime = moment()


class GatewayRow(SQLModel, table=True):
    """A gateway; its request log is complete for what began before `complete_until` (epoch seconds).

    `stopped_at` is when it said that it stops, or when its process was found gone; one that is killed on another
    machine never says so. `counts` holds for each app how many requests it had begun, how many of them the log accounts
    for, and how many it lately began a second; null where it was too old to tell. `lost_at` is when it was taken for
    dead, and what is missing of it counted as lost.

    `kind` is receiver where it serves nothing and takes spans: everything that reached it before `complete_until` is
    in the log, and what a span's app may still hold back isn't.

    `batches` counts the batches that it has written of its log, so that one is never written twice.

    `problems` says of an Envoy, by app, that it doesn't do what it was told: see `softlaunch.ledger.gateways.Problem`.
    """

    __tablename__ = "gateways"
    id: str = Field(primary_key=True)
    address: str
    started_at: float
    heard_at: float = Field(index=True)
    complete_until: float
    stopped_at: float | None = None
    revisions: dict[str, Any] = as_json()
    counts: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    lost_at: float | None = None
    kind: str = Field(default="gateway", sa_column_kwargs={"server_default": "gateway"})
    batches: int = Field(default=0, sa_column=Column(BigInteger, server_default="0", nullable=False))
    problems: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))


class ReceivedSpanRow(SQLModel, table=True):
    """A span of a model call that was taken, by trace id and span id: exporters send again what nobody confirmed.

    Kept for as long as they may do so.
    """

    __tablename__ = "received_spans"
    key: str = Field(primary_key=True)
    received_at: float = Field(index=True)


class RequestRow(SQLModel, table=True):
    """One answered, failed or mirrored request. Times are epoch seconds, durations milliseconds, cost USD.

    `started_at` is the moment at which it counts: its beginning, or its end where it took longer than a minute.

    `unit` is whose arm was drawn: the unit that the request names, or, where arms are drawn afresh, that unit on one
    occasion; `named_unit` is what it names then.

    `excused`: the request was at fault by the other arm's judgement too, or that couldn't be asked. `finish_reason` is
    the provider's own word. `attempts` counts how often the provider was asked, zero where it never was.

    `answered_by` is the name of the fallback model that answered where the variant's own model gave no answer; outcome,
    tokens, cost and latency are those of the answer that was shown, and `attempts` counts all models. Null elsewhere.

    `request_size` and `streamed` were known before an arm answered: how many characters of text the client's messages
    held before the first answer among them, and its variables (null where an older gateway served), and whether it
    asked for a stream. `api` is which of `softlaunch.core.api` it spoke, null where an older gateway served.

    `answer_size` is how many characters of text an answer had, and `checks` what was told of it without keeping it, by
    the bits of `softlaunch.core.answer_checks`. Both are null where there was no answer, or an older gateway served.

    On PostgreSQL the table is partitioned by the day of `started_at`, which is part of its key there.
    """

    __tablename__ = "requests"
    __table_args__ = (
        Index("ix_requests_lately", "app", "started_at"),
        Index(  # who has been seen in a stage already; costs nothing while no release is live
            "ix_requests_units",
            "release_id",
            "stage",
            "unit",
            "started_at",
            sqlite_where=text("release_id IS NOT NULL"),
            postgresql_where=text("release_id IS NOT NULL"),
        ),
    )
    id: int | None = row_number()
    request_id: str = Field(index=True)
    gateway_id: str
    app: str
    release_id: str | None = None
    stage: int = 0
    route_revision: int = 0
    weight_percent: float = 0.0
    arm: str
    mirrored: bool = False
    variant_digest: str
    unit: int = Field(sa_type=BigInteger)
    started_at: float
    status: int
    outcome: str = Field(default=RequestOutcome.ANSWERED, sa_column_kwargs={"server_default": "answered"})
    latency_ms: float
    first_token_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    resolved_model: str | None = None
    fingerprint: str | None = None
    streamed: bool = False
    fell_back: bool = False
    excused: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    finish_reason: str | None = None
    attempts: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    cached_tokens: int | None = None
    named_unit: int | None = Field(default=None, sa_type=BigInteger)
    request_size: int | None = None
    api: str | None = None
    answered_by: str | None = None
    answer_size: int | None = None
    checks: int | None = None


class PinRow(SQLModel, table=True):
    """A conversation began on a variant, and stays there until `expires_at` (epoch seconds) where its policy pins.

    Of several rows of one unit the newest counts. `release_id` and `stage` say under which split it began.
    """

    __tablename__ = "pins"
    id: int | None = row_number()
    app: str
    unit: int = Field(sa_type=BigInteger)
    variant_digest: str
    release_id: str | None = None
    stage: int = 0
    expires_at: float = Field(index=True)


class TextRow(SQLModel, table=True):
    """The texts of a request, kept only where the app's policy says so, and deleted after `expires_at`.

    `context` is what else of text the request carried, null where it carried nothing, or an older gateway served.
    `until_judged`: they are there for judges alone, and are deleted with the last judgement.
    """

    __tablename__ = "texts"
    __table_args__ = (
        Index(
            "ix_texts_until_judged",
            "app",
            sqlite_where=text("until_judged"),
            postgresql_where=text("until_judged"),
        ),
    )
    request_id: str = Field(primary_key=True)
    arm: str = Field(primary_key=True)
    app: str = Field(index=True)
    question: str
    answer: str
    expires_at: float = Field(index=True)
    context: str | None = None
    until_judged: bool = Field(default=False, sa_column_kwargs={"server_default": false()})


class CopyJudgementRow(SQLModel, table=True):
    """What judges said of the answer to a copy (`arm` shadow or control) beside the user's, to the same request.

    `value` is in [0, 1]: 1 where the copy's is better, null where they said nothing that can be read.
    """

    __tablename__ = "copy_judgements"
    __table_args__ = (
        UniqueConstraint("request_id", "arm"),
        Index("ix_copy_judgements_stage", "release_id", "stage", "id"),
    )
    id: int | None = row_number()
    request_id: str
    arm: str
    app: str
    release_id: str
    stage: int
    unit: int = Field(sa_type=BigInteger)
    value: float | None = None
    reason: str = ""
    calls: int = 0
    cost_usd: float | None = None
    judged_at: float


class FeedbackRow(SQLModel, table=True):
    """A user's rating of one request: satisfaction in [0, 1], from thumbs (0 or 1) or stars (1 to 5).

    The first of a kind counts: a gate may have heard it already.
    """

    __tablename__ = "feedback"
    __table_args__ = (
        Index("ix_feedback_window", "app", "received_at"),
        Index("ix_feedback_once", "request_id", "kind", unique=True),
    )
    id: int | None = row_number()
    request_id: str
    app: str
    satisfaction: float
    kind: str
    received_at: float


class ScoreRow(SQLModel, table=True):
    """A score that an evaluator gave to one live request; value in [0, 1]. The first of a source counts."""

    __tablename__ = "scores"
    __table_args__ = (
        Index("ix_scores_window", "app", "received_at"),
        Index("ix_scores_once", "request_id", "metric", "source", unique=True),
    )
    id: int | None = row_number()
    request_id: str
    app: str
    metric: str
    value: float
    source: str
    received_at: float


class ReviewDrawRow(SQLModel, table=True):
    """A live answer that was drawn at random for people to label, and what they said of it.

    `probability` is that with which an answer of its arm was drawn, out of those of its stage that were kept and hadn't
    been there at an earlier draw. `place` is its place in the random order in which answers are shown. `value` is in
    [0, 1], null until somebody labelled it; it counts as a score of `metric` as well.
    """

    __tablename__ = "review_draws"
    __table_args__ = (
        UniqueConstraint("request_id", "metric"),
        Index("ix_review_draws_stage", "release_id", "stage", "metric"),
    )
    id: int | None = row_number()
    request_id: str
    app: str = Field(index=True)
    metric: str
    arm: str
    release_id: str
    stage: int
    probability: float
    place: int
    drawn_at: float
    drawn_by: str
    value: float | None = None
    labelled_at: float | None = None
    labelled_by: str | None = None


class DropRow(SQLModel, table=True):
    """Requests that a gateway served but could not log; gates see the count.

    `cause` is empty for what a living gateway dropped, else one of `softlaunch.ledger.losses.Cause`. `happened_at` is
    when it happened where that isn't when it was noted, `estimated` how much of the count nobody could know exactly.
    """

    __tablename__ = "drops"
    id: int | None = row_number()
    gateway_id: str
    app: str = Field(index=True)
    count: int
    noted_at: float
    cause: str = Field(default="", sa_column_kwargs={"server_default": ""})
    happened_at: float | None = None
    estimated: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


class BreakerTripRow(SQLModel, table=True):
    """A gateway stopped sending traffic to a candidate by itself."""

    __tablename__ = "breaker_trips"
    __table_args__ = (UniqueConstraint("gateway_id", "app", "route_revision"),)
    id: int | None = row_number()
    gateway_id: str
    app: str
    release_id: str | None = Field(default=None, index=True)
    route_revision: int
    reason: str
    tripped_at: float


class DailyRequestRow(SQLModel, table=True):
    """What is kept of an app's requests of one day (UTC) once the rows themselves are archived: sums that add up.

    `latencies` counts answers by buckets of 1 % relative width, so that percentiles can still be told. Requests whose
    tokens or cost nobody knew aren't in those sums; `priced` counts the others.
    """

    __tablename__ = "daily_requests"
    day: str = Field(primary_key=True)
    app: str = Field(primary_key=True)
    variant_digest: str = Field(primary_key=True)
    arm: str = Field(primary_key=True)
    mirrored: bool = Field(primary_key=True)
    requests: int
    failed: int
    latency_ms: float
    latencies: dict[str, Any] = as_json()
    input_tokens: int = Field(sa_type=BigInteger)
    output_tokens: int = Field(sa_type=BigInteger)
    priced: int
    cost_usd: float
    rated: int
    satisfaction: float


class ResolvedModelRow(SQLModel, table=True):
    """What a provider said that it answered a variant's requests with: its own model id, and its fingerprint."""

    __tablename__ = "resolved_models"
    variant_digest: str = Field(primary_key=True)
    resolved_model: str = Field(primary_key=True)
    fingerprint: str = Field(primary_key=True)
    first_seen: float
