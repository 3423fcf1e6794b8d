"""The ledger's tables. Times of people's affairs are aware UTC; the request log counts in seconds since the epoch."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Dialect, Index, Integer, UniqueConstraint, false, text
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {  # every constraint has a name, so that a migration can change it later
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
_BIG_KEY = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows itself only for INTEGER


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python on every database; SQLite alone would hand back naive times."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse naive times, store UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Hand back UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _json() -> Any:
    return Field(sa_column=Column(JSON, nullable=False))


def _when(*, nullable: bool = False, index: bool = False) -> Any:
    return Field(default=None if nullable else ..., sa_type=UtcDateTime, nullable=nullable, index=index)


def _row_number() -> Any:
    return Field(default=None, sa_column=Column(_BIG_KEY, primary_key=True, autoincrement=True))


class AppRow(SQLModel, table=True):
    """An app and the policy in force for its next release."""

    __tablename__ = "apps"
    name: str = Field(primary_key=True)
    policy: dict[str, Any] = _json()
    policy_path: str
    salt: str
    recorded_at: datetime = _when()


class PromptRow(SQLModel, table=True):
    """A recorded prompt version; never changed."""

    __tablename__ = "prompts"
    __table_args__ = (Index("ix_prompts_age", "name", "recorded_at", "version"),)
    name: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    digest: str = Field(index=True)
    content: dict[str, Any] = _json()
    source: str = ""
    recorded_at: datetime = _when()


class PromptSyncRow(SQLModel, table=True):
    """One sync of prompts from Git: the next one checks only what came after its commit."""

    __tablename__ = "prompt_syncs"
    id: int | None = _row_number()
    commit: str
    folder: str
    synced_at: datetime = _when()
    synced_by: str


class ModelRow(SQLModel, table=True):
    """A recorded model version; never changed."""

    __tablename__ = "models"
    __table_args__ = (Index("ix_models_age", "recorded_at", "name"),)
    name: str = Field(primary_key=True)
    digest: str = Field(index=True)
    content: dict[str, Any] = _json()
    source: str = ""
    recorded_at: datetime = _when()


class VariantRow(SQLModel, table=True):
    """A recorded variant, whole, so that what served can always be read again."""

    __tablename__ = "variants"
    __table_args__ = (Index("ix_variants_age", "recorded_at", "digest"),)
    digest: str = Field(primary_key=True)
    label: str
    prompt_name: str
    prompt_version: str
    model_name: str
    content: dict[str, Any] = _json()
    recorded_at: datetime = _when()


class AliasRow(SQLModel, table=True):
    """Where an alias of an app points now: `production`, `previous`, or a name that people gave a variant."""

    __tablename__ = "aliases"
    app: str = Field(primary_key=True, foreign_key="apps.name")
    alias: str = Field(primary_key=True)
    variant_digest: str = Field(foreign_key="variants.digest")
    moved_at: datetime = _when()


class AliasMoveRow(SQLModel, table=True):
    """One move of an alias, kept for good."""

    __tablename__ = "alias_moves"
    id: int | None = _row_number()
    app: str = Field(index=True)
    alias: str
    variant_digest: str
    release_id: str | None = None
    moved_at: datetime = _when()
    moved_by: str


class ReleaseRow(SQLModel, table=True):
    """One attempt to make a candidate stable, or (by its `kind`) an A/B test of one against stable.

    `live_app` is the app while the release is live and null afterwards: its uniqueness is the app's release lock.
    `revision` is compared and set by every transition; `driver_token` fences off drivers that were replaced.
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
    policy: dict[str, Any] = _json()
    policy_path: str = ""
    revision: int = 0
    driver_token: int = 0
    driver_holder: str = ""
    driver_expires_at: datetime | None = _when(nullable=True)
    opened_at: datetime = _when()
    opened_by: str
    opened_from: str
    ended_at: datetime | None = _when(nullable=True)
    outcome: str = ""
    reason: str = ""
    run_url: str = Field(default="", sa_column_kwargs={"server_default": ""})


class StageRow(SQLModel, table=True):
    """One stage of a release: its place in the plan, when it ran, and the gates' evidence so far.

    `looked_at` is its driver's last look; `skipped_seconds` of the time since it began don't count, because nobody
    looked or because the clock was set.
    """

    __tablename__ = "stages"
    release_id: str = Field(primary_key=True, foreign_key="releases.id")
    position: int = Field(primary_key=True)
    kind: str
    weight_percent: float
    state: str
    entered_at: datetime | None = _when(nullable=True)
    deadline_at: datetime | None = _when(nullable=True)
    ended_at: datetime | None = _when(nullable=True)
    looked_at: datetime | None = _when(nullable=True)
    skipped_seconds: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    reason: str = ""
    evidence: dict[str, Any] = _json()


class VerdictRow(SQLModel, table=True):
    """A verdict that differed from the one before it, or that ended a stage."""

    __tablename__ = "verdicts"
    id: int | None = _row_number()
    release_id: str = Field(foreign_key="releases.id", index=True)
    position: int
    gate: str
    role: str
    outcome: str
    reason: str
    figures: dict[str, Any] = _json()
    decided_at: datetime = _when()


class DriveRow(SQLModel, table=True):
    """Who took over the driving of a release, and when."""

    __tablename__ = "drives"
    __table_args__ = (UniqueConstraint("release_id", "token"),)
    id: int | None = _row_number()
    release_id: str = Field(foreign_key="releases.id", index=True)
    token: int
    holder: str
    began_at: datetime = _when()


class TransitionRow(SQLModel, table=True):
    """One step of a release's life, written with the step itself."""

    __tablename__ = "transitions"
    __table_args__ = (UniqueConstraint("release_id", "revision"),)
    id: int | None = _row_number()
    release_id: str = Field(foreign_key="releases.id", index=True)
    revision: int
    from_state: str
    to_state: str
    stage: int
    reason: str
    actor: str
    happened_at: datetime = _when()


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
    analysis: dict[str, Any] = _json()
    looked_at: datetime = _when()


class RouteRow(SQLModel, table=True):
    """The split in force for an app; see `softlaunch.route.Route`. `fence` is the newest driver token that wrote it."""

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
    serving: dict[str, Any] = _json()
    changed_at: datetime = _when()


class GatewayRow(SQLModel, table=True):
    """A running gateway; its request log is complete for what began before `complete_until` (epoch seconds)."""

    __tablename__ = "gateways"
    id: str = Field(primary_key=True)
    address: str
    started_at: float
    heard_at: float = Field(index=True)
    complete_until: float
    revisions: dict[str, Any] = _json()


class RequestRow(SQLModel, table=True):
    """One answered, failed or mirrored request. Times are epoch seconds, durations milliseconds, cost USD."""

    __tablename__ = "requests"
    __table_args__ = (
        Index("ix_requests_window", "app", "release_id", "stage", "started_at"),
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
    id: int | None = _row_number()
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
    error: str | None = None
    latency_ms: float
    first_token_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    resolved_model: str | None = None
    fingerprint: str | None = None
    streamed: bool = False
    fell_back: bool = False


class TextRow(SQLModel, table=True):
    """The texts of a request, kept only where the app's policy says so, and deleted after `expires_at`."""

    __tablename__ = "texts"
    request_id: str = Field(primary_key=True)
    arm: str = Field(primary_key=True)
    app: str = Field(index=True)
    question: str
    answer: str
    expires_at: float = Field(index=True)


class FeedbackRow(SQLModel, table=True):
    """A user's rating of one request: satisfaction in [0, 1], from thumbs (0 or 1) or stars (1 to 5)."""

    __tablename__ = "feedback"
    __table_args__ = (Index("ix_feedback_window", "app", "received_at"),)
    id: int | None = _row_number()
    request_id: str = Field(index=True)
    app: str
    satisfaction: float
    kind: str
    received_at: float


class ScoreRow(SQLModel, table=True):
    """A score that an evaluator gave to one live request; value in [0, 1]."""

    __tablename__ = "scores"
    __table_args__ = (Index("ix_scores_window", "app", "received_at"),)
    id: int | None = _row_number()
    request_id: str = Field(index=True)
    app: str
    metric: str
    value: float
    source: str
    received_at: float


class DropRow(SQLModel, table=True):
    """Requests that a gateway served but could not log; gates see the count."""

    __tablename__ = "drops"
    id: int | None = _row_number()
    gateway_id: str
    app: str = Field(index=True)
    count: int
    noted_at: float


class BreakerTripRow(SQLModel, table=True):
    """A gateway stopped sending traffic to a candidate by itself."""

    __tablename__ = "breaker_trips"
    __table_args__ = (UniqueConstraint("gateway_id", "app", "route_revision"),)
    id: int | None = _row_number()
    gateway_id: str
    app: str
    release_id: str | None = Field(default=None, index=True)
    route_revision: int
    reason: str
    tripped_at: float


class EvalRunRow(SQLModel, table=True):
    """One comparison on a golden set."""

    __tablename__ = "eval_runs"
    __table_args__ = (Index("ix_eval_runs_age", "app", "started_at", "id"),)
    id: str = Field(primary_key=True)
    app: str = Field(index=True)
    release_id: str | None = Field(default=None, index=True)
    suite_digest: str
    stable_digest: str
    candidate_digest: str
    started_at: datetime = _when()


class EvalAnswerRow(SQLModel, table=True):
    """One call of an eval. `status` is scored or unscored; `scores` maps metrics to values in [0, 1].

    The key has the arm, because an eval of a variant against itself calls the same variant in both. `reused` ones were
    taken from an earlier run and paid there; its variant, case and repeat were the same.
    """

    __tablename__ = "eval_answers"
    __table_args__ = (Index("ix_eval_answers_reuse", "variant_digest", "case_digest", "repeat"),)
    run_id: str = Field(primary_key=True, foreign_key="eval_runs.id")
    arm: str = Field(primary_key=True)
    case_id: str = Field(primary_key=True)
    repeat: int = Field(primary_key=True)
    variant_digest: str
    status: str
    error: str | None = None
    answer: str | None = None
    scores: dict[str, Any] = _json()
    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    case_digest: str = Field(default="", sa_column_kwargs={"server_default": ""})
    reused: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    resolved_model: str | None = None
    fingerprint: str | None = None


class EvalLabelRow(SQLModel, table=True):
    """What a person said of the two answers to a case of an eval: which is better, or that neither is.

    The texts are kept as they were shown, because a run can be deleted.
    """

    __tablename__ = "eval_labels"
    __table_args__ = (UniqueConstraint("run_id", "case_id", "labelled_by"),)
    id: int | None = _row_number()
    run_id: str = Field(index=True)
    app: str = Field(index=True)
    case_id: str
    vote: str
    note: str = ""
    question: str
    reference: str = ""
    stable_answer: str
    candidate_answer: str
    labelled_by: str
    labelled_at: datetime = _when()


class DriftRunRow(SQLModel, table=True):
    """A drift check or the baseline that checks compare with; its answers are the eval run of the same id.

    `running_app` is the app while the run is under way and null afterwards: an app has one at a time.
    """

    __tablename__ = "drift_runs"
    __table_args__ = (UniqueConstraint("app", "number"),)
    id: str = Field(primary_key=True)
    app: str = Field(foreign_key="apps.name", index=True)
    number: int
    kind: str
    running_app: str | None = Field(default=None, unique=True)
    state: str
    baseline_id: str | None = Field(default=None, foreign_key="drift_runs.id")
    variant_digest: str = Field(foreign_key="variants.digest")
    suite_digest: str
    opened_at: datetime = _when()
    opened_by: str
    ended_at: datetime | None = _when(nullable=True)
    summary: str = ""
    report: dict[str, Any] = _json()


class JudgementRow(SQLModel, table=True):
    """What judges said of one answer of an eval, or of a pair of answers, which is kept with the candidate's.

    `value` is in [0, 1], null where the judges said nothing that can be read.
    """

    __tablename__ = "eval_judgements"
    run_id: str = Field(primary_key=True, foreign_key="eval_runs.id")
    metric: str = Field(primary_key=True)
    arm: str = Field(primary_key=True)
    case_id: str = Field(primary_key=True)
    repeat: int = Field(primary_key=True)
    value: float | None = None
    reason: str = ""
    calls: int = 0
    cost_usd: float | None = None


class CalibrationRow(SQLModel, table=True):
    """A panel of judges measured against people's labels; the newest one of a kind counts.

    `panel_digest` is that of the judges as variants: another prompt, model or temperature is another panel.
    """

    __tablename__ = "judge_calibrations"
    id: int | None = _row_number()
    panel_digest: str = Field(index=True)
    kind: str
    labels_digest: str
    items: int
    unreadable: int
    agreement: float
    kappa: float | None = None
    kappa_lower: float | None = None
    kappa_upper: float | None = None
    calibrated_at: datetime = _when()
    calibrated_by: str


class ApprovalRow(SQLModel, table=True):
    """A question to a person about a live release, and how it ended."""

    __tablename__ = "approvals"
    __table_args__ = (UniqueConstraint("release_id", "position", "question"),)
    id: int | None = _row_number()
    release_id: str = Field(foreign_key="releases.id", index=True)
    position: int
    question: str
    text: str
    state: str
    asked_at: datetime = _when()
    expires_at: datetime = _when()
    decided_at: datetime | None = _when(nullable=True)
    decided_by: str = ""
    decided_from: str = ""
    reason: str = ""


class IncidentRow(SQLModel, table=True):
    """Something a person must know.

    `open_key` is the `dedup_key` while the incident is open and null afterwards:

    its uniqueness is what keeps a second one from opening. `seen` counts how often the same was reported meanwhile.
    """

    __tablename__ = "incidents"
    id: int | None = _row_number()
    kind: str
    app: str = Field(index=True)
    release_id: str | None = Field(default=None, index=True)
    dedup_key: str = Field(index=True)
    open_key: str | None = Field(default=None, unique=True)
    severity: str
    summary: str
    evidence: dict[str, Any] = _json()
    seen: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    opened_at: datetime = _when()
    updated_at: datetime | None = _when(nullable=True)
    resolved_at: datetime | None = _when(nullable=True)
    resolved_by: str = Field(default="", sa_column_kwargs={"server_default": ""})
    resolution: str = Field(default="", sa_column_kwargs={"server_default": ""})


class VoteRow(SQLModel, table=True):
    """What a person said about a release, whether it counted or not, and what they were told: the audit of decisions.

    `person` is who it was by the policy's names; `ruling` says what became of it. Kept for good.
    """

    __tablename__ = "votes"
    id: int | None = _row_number()
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
    said_at: datetime = _when()


class NoticeRow(SQLModel, table=True):
    """The outbox: a message written in the transaction of what it tells, sent later, once, in order within its lane.

    `event` says what it is about, `details` which question or incident; `sent_as` is the name that the receiver gave
    the message.
    """

    __tablename__ = "notices"
    __table_args__ = (
        Index(  # what waits, in order, lane by lane; empty most of the time
            "ix_notices_waiting",
            "lane",
            "id",
            sqlite_where=text("sent_at IS NULL"),
            postgresql_where=text("sent_at IS NULL"),
        ),
    )
    id: int | None = _row_number()
    app: str = Field(index=True)
    release_id: str | None = None
    lane: str = Field(default="", sa_column_kwargs={"server_default": ""})
    event: str = Field(default="said", sa_column_kwargs={"server_default": "said"})
    details: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, server_default=text("'{}'"))
    )
    text: str
    written_at: datetime = _when()
    sent_at: datetime | None = _when(nullable=True, index=True)
    sent_as: str = Field(default="", sa_column_kwargs={"server_default": ""})
    problem: str = Field(default="", sa_column_kwargs={"server_default": ""})


class LaneRow(SQLModel, table=True):
    """One row of messages that must arrive in order: those about a release, about an app, or for the webhook.

    One sender at a time holds it. `trying` is the notice whose sending has begun (0 the thread's head), kept until it
    is known to have arrived: a sender that finds it set asks the receiver before it sends again. `shown` is the
    revision of the release that the thread's head shows.
    """

    __tablename__ = "lanes"
    name: str = Field(primary_key=True)
    holder: str = ""
    held_until: datetime | None = _when(nullable=True)
    retry_at: datetime | None = _when(nullable=True)
    failures: int = 0
    problem: str = ""
    trying: int | None = Field(default=None, sa_type=BigInteger)
    tried_at: datetime | None = _when(nullable=True)
    channel: str = ""
    thread: str = ""
    shown: int = -1
    shown_at: datetime | None = _when(nullable=True)


class TagRow(SQLModel, table=True):
    """A tag on a recorded version: `protected` keeps it for good, others give it an age of their own."""

    __tablename__ = "tags"
    kind: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    tag: str = Field(primary_key=True)
    tagged_at: datetime = _when()
    tagged_by: str


class BundleRow(SQLModel, table=True):
    """An object in an archive, named by the SHA-256 of its content, that was read back before anything was deleted."""

    __tablename__ = "bundles"
    key: str = Field(primary_key=True)
    archive: str
    sha256: str
    bytes: int
    written_at: datetime = _when()


class ArchivedRow(SQLModel, table=True):
    """Something that a cleanup deleted, and the bundle that holds it.

    `digest` is the SHA-256 of the entry in the bundle, `content_digest` that of the version itself: another content
    is never recorded under its name. `restored_at` is when it was last put back.
    """

    __tablename__ = "archived"
    __table_args__ = (Index("ix_archived_key", "kind", "key"),)
    id: int | None = _row_number()
    kind: str
    key: str
    digest: str
    content_digest: str
    bytes: int
    reason: str
    bundle: str = Field(foreign_key="bundles.key")
    archived_at: datetime = _when()
    archived_by: str
    restored_at: datetime | None = _when(nullable=True)


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
    latencies: dict[str, Any] = _json()
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


class ScanRow(SQLModel, table=True):
    """How far a reader of the request log has come: the id of the last row that it has seen."""

    __tablename__ = "scans"
    name: str = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
