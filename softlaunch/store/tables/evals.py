"""Evals and drift checks: runs, answers, people's labels, and judges."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint, false
from sqlmodel import Field, SQLModel

from softlaunch.store.tables.columns import as_json, moment, row_number


class EvalRunRow(SQLModel, table=True):
    """One comparison on a golden set. `design` is what the order of an eval that may stop early was drawn with."""

    __tablename__ = "eval_runs"
    __table_args__ = (Index("ix_eval_runs_age", "app", "started_at", "id"),)
    id: str = Field(primary_key=True)
    app: str = Field(index=True)
    release_id: str | None = Field(default=None, index=True)
    suite_digest: str
    stable_digest: str
    candidate_digest: str
    started_at: datetime = moment()
    design: dict[str, Any] | None = as_json(nullable=True)


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
    scores: dict[str, Any] = as_json()
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
    id: int | None = row_number()
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
    labelled_at: datetime = moment()


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
    opened_at: datetime = moment()
    opened_by: str
    ended_at: datetime | None = moment(nullable=True)
    summary: str = ""
    report: dict[str, Any] = as_json()


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
    id: int | None = row_number()
    panel_digest: str = Field(index=True)
    kind: str
    labels_digest: str
    items: int
    unreadable: int
    agreement: float
    kappa: float | None = None
    kappa_lower: float | None = None
    kappa_upper: float | None = None
    calibrated_at: datetime = moment()
    calibrated_by: str
