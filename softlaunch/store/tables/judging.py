"""Live answers that judges are asked about: what waits, what they said, and what that has come to."""

from sqlalchemy import BigInteger, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from softlaunch.store.tables.columns import row_number


class LiveJudgementRow(SQLModel, table=True):
    """One metric of one live answer: it waits for a judge, is being judged, or was. Times are epoch seconds.

    `started_at` is when the request began and `sample_percent` the share of units whose answers were eligible then.
    Of `state` see `softlaunch.live.states`. While an evaluator, `holder`, has it, others leave it alone until
    `held_until`; `tries` counts how often no judge answered. `value` is the live metric's, null with a `reason` where
    judges said nothing that can be read; `panel` identifies the judges together with their prompt, and `calls` and
    `cost_usd` are what all of it took.
    """

    __tablename__ = "live_judgements"
    __table_args__ = (
        UniqueConstraint("request_id", "arm", "metric"),
        Index("ix_live_judgements_queue", "app", "state", "id"),
        Index("ix_live_judgements_units", "app", "unit"),
        Index(
            "ix_live_judgements_stage",
            "release_id",
            "stage",
            "id",
            sqlite_where=text("release_id IS NOT NULL"),
            postgresql_where=text("release_id IS NOT NULL"),
        ),
    )
    id: int | None = row_number()
    request_id: str
    arm: str
    metric: str
    app: str
    release_id: str | None = None
    stage: int = 0
    unit: int = Field(sa_type=BigInteger)
    started_at: float
    sample_percent: float
    state: str
    holder: str = ""
    held_until: float | None = None
    tries: int = 0
    value: float | None = None
    reason: str = ""
    panel: str = ""
    calls: int = 0
    cost_usd: float | None = None
    judged_at: float | None = None


class LiveTallyRow(SQLModel, table=True):
    """What live judging of an app has come to in a period: a stage (`release/position`) or a day (UTC).

    `calls` and `cost_usd` are what judges took. Of the judgements `judged` have a value, of `unreadable` judges said
    nothing that can be read, to `unanswered` no judge gave an answer, and `let_go` nobody asked for: more waited than
    may, their stage was over, or their text was gone.
    """

    __tablename__ = "live_tallies"
    app: str = Field(primary_key=True)
    period: str = Field(primary_key=True)
    calls: int = 0
    cost_usd: float = 0.0
    judged: int = 0
    unreadable: int = 0
    unanswered: int = 0
    let_go: int = 0


class LiveJudgingRow(SQLModel, table=True):
    """How live judging of an app stands. Times are epoch seconds.

    The request log was searched up to `searched_until`. An evaluator was heard last at `heard_at`; `problem` is why
    judges give nothing since `problem_since`, empty where nothing is wrong.
    """

    __tablename__ = "live_judging"
    app: str = Field(primary_key=True)
    searched_until: float
    heard_at: float
    problem: str = ""
    problem_since: float | None = None
