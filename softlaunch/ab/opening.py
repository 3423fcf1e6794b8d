"""Opening an A/B test: from what a person asks for to a frozen test that holds the app's lock."""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func
from sqlmodel import Session, col, select

from softlaunch.catalog.candidates import resolve_candidate
from softlaunch.catalog.records import check_app
from softlaunch.core.content import Name
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.live_metrics import Metric, Source
from softlaunch.core.quantities import Duration
from softlaunch.ledger.notices import Message, notify
from softlaunch.ledger.releases import Actor, Opening, Origin, ReleaseLockedError, find_live, held_by
from softlaunch.ledger.releases import open_release as open_in_ledger
from softlaunch.policy.ab import AbPolicy
from softlaunch.policy.load import load_policy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Kind
from softlaunch.releases.apis import check_candidate
from softlaunch.releases.changes import Changes
from softlaunch.releases.ending import end_topline
from softlaunch.releases.opening import NothingChangesError, serve_by, serving_variant
from softlaunch.store.database import Database
from softlaunch.store.tables import FeedbackRow, ScoreRow


class NothingMeasuredError(SoftlaunchError):
    """None of the metrics that would decide a test has any value in the app's traffic."""


class TrialRequest(BaseModel):
    """What a person fills in to start an A/B test."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    app: Name = Field(title="App", description="The app to test on.", examples=["support-bot"])
    changes: Changes = Field(title="B", description="What B has other than A, which is what serves now.")
    duration: Duration | None = Field(
        default=None,
        title="Planned end",
        description="Such as '14 d'. Left out: what the smallest difference needs, within the policy's bounds.",
    )
    policy_file: str | None = Field(
        default=None, title="Policy override", description="Another policy file than the app's, for this test only."
    )
    allow_same: bool = Field(default=False, title="A/A", description="Test what serves now against itself.")
    actor: str = Field(default="unknown", title="Who", description="Who starts the test; kept in the ledger.")
    origin: Origin = "prefect"


def open_trial(database: Database, request: TrialRequest, planned: float | None, now: datetime) -> str:
    """Check a request, freeze it and take the app's lock; returns the test's id.

    `planned` is how long the plan would let it last, for where the request doesn't say. Raises SoftlaunchError, with
    what to change, before anything is written.
    """
    with database.begin() as session:
        app = check_app(session, request.app)
        end_topline(session, request.app, Actor(request.actor, request.origin), "an A/B test begins", now)
        held = find_live(session, request.app)
        if held is not None:
            raise ReleaseLockedError(held_by(held, now))
        policy_path = request.policy_file or app.policy_path
        policy = Policy.model_validate(app.policy) if request.policy_file is None else load_policy(Path(policy_path))
        a = serving_variant(session, request.app)
        same = request.allow_same and request.changes == Changes()
        b = a if same else resolve_candidate(session, request.app, a, request.changes.change, now)
        if a.digest == b.digest and not request.allow_same:
            raise NothingChangesError(
                f"{request.app} already serves {a.label}; name what B has otherwise (--prompt, --model, ...), or test "
                "what serves against itself (--allow-same)"
            )
        check_candidate(session, policy, a, b)
        frozen = policy.model_copy(update={"ab": _frozen(session, policy, request.duration or planned, now)})
        actor = Actor(request.actor, request.origin)
        opening = Opening(request.app, a.digest, b.digest, frozen, str(Path(policy_path).resolve()), Kind.AB_TEST)
        trial_id = open_in_ledger(session, opening, actor, now)
        serve_by(session, app, policy, now)
        notify(
            session,
            Message(request.app, trial_id, f"{trial_id}: {actor} tests {b.label} (B) against {a.label} (A)."),
            now,
        )
        return trial_id


def _frozen(session: Session, policy: Policy, duration: float | None, now: datetime) -> AbPolicy:
    """The policy's part on tests with this test's own planned end, and only metrics that the app's traffic has."""
    test = policy.ab
    lasts = duration or test.minimum_time
    since = now.timestamp() - max(test.history, test.maximum_time)
    metrics = measured(session, policy, since)
    if not metrics:
        raise NothingMeasuredError(
            f"{policy.app} has had no {' or '.join(test.metrics)} lately, so nothing could decide: send ratings and "
            "scores to the gateway's /v1/feedback, and start the test when they come in"
        )
    return AbPolicy.model_validate(
        {
            **test.model_dump(),
            "metrics": metrics,
            "minimum_time": lasts,
            "maximum_time": max(lasts, test.maximum_time),
        }
    )


def measured(session: Session, policy: Policy, since: float) -> tuple[Metric, ...]:
    """Those of the policy's deciding metrics that the app's traffic has had since a moment (epoch seconds)."""
    ratings = select(func.count()).where(FeedbackRow.app == policy.app, col(FeedbackRow.received_at) >= since)
    scores = select(func.count()).where(ScoreRow.app == policy.app, col(ScoreRow.received_at) >= since)
    return tuple(
        metric
        for metric in policy.ab.metrics
        if session.execute(
            ratings if metric.entry.source is Source.RATINGS else scores.where(col(ScoreRow.metric) == metric.value)
        ).scalar_one()
    )
