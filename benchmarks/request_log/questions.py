"""What the product asks of the request log, by name: to time it on logs of different size, and to see its plans."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlmodel import Session

from benchmarks.request_log.rows import policy, stage
from softlaunch.ab.units import TrialScope, read_arms
from softlaunch.catalog.floating_models import watch_resolved_models
from softlaunch.catalog.records import record_variant
from softlaunch.catalog.repair import may_replace, repair_model
from softlaunch.console.queries.costs import traffic_costs
from softlaunch.console.queries.releases import failures, has_many_requests
from softlaunch.console.queries.requests import FAILED, Wanted, read_request, search
from softlaunch.console.recent import RecentTraffic
from softlaunch.core.live_metrics import Metric
from softlaunch.core.request_ids import request_id_for
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.drift.weekly import read_weeks
from softlaunch.gates.telemetry import Scope
from softlaunch.ledger.answer_counts import answers_in_stage, answers_of_stable
from softlaunch.ledger.exposure import read_exposure
from softlaunch.ledger.logged import Logged
from softlaunch.ledger.outcomes import newest_outcomes, read_outcomes, stable_since, variant_since
from softlaunch.ledger.releases import read_release
from softlaunch.ledger.reported import last_request
from softlaunch.ledger.review_draws import Draw, DrawError, draw
from softlaunch.ledger.routes import serving_to_json
from softlaunch.ledger.traffic_rate import has_traffic, read_apis, read_scores, read_traffic_rate, read_unnamed
from softlaunch.live.texts import forget_unwanted
from softlaunch.policy.release import Release, StageKind, plan
from softlaunch.policy.route import Serving
from softlaunch.releases.provider_watch import watch_providers
from softlaunch.shadow.copies import answers_between, unjudged_answers
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, ModelRow, RouteRow
from softlaunch.telemetry.otlp.source import OtlpTelemetry
from softlaunch.telemetry.request_log import RequestLogTelemetry


@dataclass(frozen=True, slots=True)
class Scene:
    """Whom is asked about: a live release whose stage, a canary at 10 %, began at a moment, and an app without one."""

    app: str
    release_id: str
    quiet: str
    began: float
    now: float
    unit: int = 17

    def scope(self, kind: StageKind = StageKind.CANARY) -> Scope:
        """Its stage, or a shadow at the same time."""
        shadow = next(one for one in plan(policy()) if one.kind is StageKind.SHADOW)
        return Scope(self.app, self.release_id, shadow if kind is StageKind.SHADOW else stage(), self.began)

    @property
    def moment(self) -> datetime:
        """Its time, aware."""
        return datetime.fromtimestamp(self.now, UTC)


BEGINNER = "beginner"
"""An app whose first variant hasn't answered yet, see `add_beginner`."""
_MODEL = ModelVersion(name="lone", provider="rehearsal", model="lone", endpoint="http://127.0.0.1:9/v1")
_FIRST = Variant(
    prompt=PromptVersion(name="first", version="1.0.0", messages=(PromptMessage(role="system", content="Help."),)),
    model=_MODEL,
    fallbacks=(ModelVersion(name="spare", provider="rehearsal", model="spare", endpoint="http://127.0.0.1:9/v1"),),
)


def add_beginner(session: Session, now: datetime) -> None:
    """Record it."""
    for model in (_MODEL, *_FIRST.fallbacks):
        known = {"name": model.name, "digest": model.digest, "content": model.model_dump(mode="json")}
        session.add(ModelRow.model_validate({**known, "source": "models.yaml", "recorded_at": now}))
    record_variant(session, _FIRST, now)
    session.add(
        AppRow(
            name=BEGINNER,
            policy=policy().model_dump(mode="json"),
            policy_path="policy.yaml",
            salt="salt",
            recorded_at=now,
        )
    )
    session.flush()
    serving = serving_to_json(Serving(salt="salt"))
    session.add(RouteRow(app=BEGINNER, revision=1, stable_digest=_FIRST.digest, serving=serving, changed_at=now))


Question = Callable[[Database, Scene], object]


def _asked(ask: Callable[[Session, Scene, Release], object]) -> Question:
    def question(database: Database, scene: Scene) -> object:
        with database.read() as session:
            return ask(session, scene, read_release(session, scene.release_id))

    return question


def _look(database: Database, scene: Scene) -> object:
    return RequestLogTelemetry(database).read(scene.scope(), scene.now - 1, scene.now)


def _received(database: Database, scene: Scene) -> object:
    return OtlpTelemetry(database).read(scene.scope(), scene.now - 60, scene.now)


def _copies(database: Database, scene: Scene) -> object:
    return RequestLogTelemetry(database).read(scene.scope(StageKind.SHADOW), scene.now - 1, scene.now)


def _again(database: Database, scene: Scene) -> object:
    return next(RequestLogTelemetry(database).read_again(scene.scope(), scene.began, scene.now), None)


def _history(database: Database, scene: Scene) -> object:
    with database.read() as session:
        digest = read_release(session, scene.release_id).stable.digest
    return RequestLogTelemetry(database).history(scene.app, digest, scene.began)


def _stranger(database: Database, scene: Scene) -> object:
    return RequestLogTelemetry(database).history(scene.quiet, "0" * 64, scene.now)


def _trial(session: Session, scene: Scene, release: Release) -> object:
    began = max(scene.began, scene.now - 60)
    trial = TrialScope(scene.app, scene.release_id, release.position, 10.0, began, scene.now, began - 60)
    return read_arms(session, trial)


def _draw(session: Session, scene: Scene, _: Release) -> object:
    with suppress(DrawError):
        return draw(session, scene.app, Draw("quality", 4, scene.now, "anna"), np.random.default_rng(1))
    return None


def _repair(session: Session, scene: Scene, _: Release) -> object:
    known = (model.model_dump() for model in (_MODEL, *_FIRST.fallbacks))
    changed = [ModelVersion.model_validate({**model, "model": "other"}) for model in known]
    return [repair_model(session, model, "models.yaml", (), scene.moment) for model in changed]


QUESTIONS: Mapping[str, Question] = {
    "a look of the gates": _look,
    "a look at what a receiver wrote": _received,
    "a look at copies": _copies,
    "a stage read again": _again,
    "stable's history": _history,
    "the history of a variant that has none": _stranger,
    "who was exposed": _asked(lambda session, _, release: read_exposure(session, Logged.of(release))),
    "a stage's outcomes": _asked(
        lambda session, scene, release: read_outcomes(session, scene.app, Logged.of(release), release.stage)
    ),
    "what stable was asked lately": _asked(
        lambda session, scene, _: stable_since(session, scene.app, scene.release_id, stage().position, scene.now - 60)
    ),
    "what a variant was asked lately": _asked(
        lambda session, scene, release: variant_since(session, scene.app, release.stable.digest, scene.now - 60)
    ),
    "a stage's answers lately": _asked(
        lambda session, scene, _: answers_in_stage(session, scene.app, scene.release_id, 2, scene.now - 60)
    ),
    "stable's answers lately": _asked(
        lambda session, scene, release: answers_of_stable(session, scene.app, release.stable.digest, scene.now - 60)
    ),
    "providers": lambda database, scene: watch_providers(database, scene.moment),
    "a unit's last request in a release": _asked(
        lambda session, scene, _: last_request(session, scene.app, scene.unit, scene.release_id, scene.now - 7 * 86400)
    ),
    "a unit's last request": _asked(
        lambda session, scene, _: last_request(session, scene.app, scene.unit, None, scene.now - 7 * 86400)
    ),
    "the rate of traffic": _asked(lambda session, scene, _: read_traffic_rate(session, scene.app, scene.now)),
    "the rate of a quiet app": _asked(lambda session, scene, _: read_traffic_rate(session, scene.quiet, scene.now)),
    "whether a quiet app has traffic": _asked(
        lambda session, scene, _: has_traffic(session, scene.quiet, scene.now - 7 * 86400)
    ),
    "who names nobody": _asked(lambda session, scene, _: read_unnamed(session, scene.app)),
    "who names nobody in a quiet app": _asked(lambda session, scene, _: read_unnamed(session, scene.quiet)),
    "which APIs": _asked(lambda session, scene, _: read_apis(session, scene.app)),
    "the newest outcomes": _asked(lambda session, scene, _: newest_outcomes(session, scene.app, 500)),
    "a variant's scores": _asked(
        lambda session, scene, release: read_scores(session, scene.app, release.stable.digest, "quality")
    ),
    "answers to label": _asked(_draw),
    "what a release has cost": _asked(lambda session, _, release: traffic_costs(session, Logged.of(release))),
    "whether a release has many requests": _asked(
        lambda session, _, release: has_many_requests(session, Logged.of(release))
    ),
    "a release's failures": _asked(lambda session, _, release: failures(session, release)),
    "the newest requests": _asked(lambda session, _, __: search(session, Wanted())),
    "the newest that failed": _asked(lambda session, scene, _: search(session, Wanted(scene.app, outcome=FAILED))),
    "a request": _asked(lambda session, scene, _: read_request(session, request_id_for(scene.app) + 10 * "0")),
    "a request by an id that tells no time": _asked(lambda session, _, __: read_request(session, "app-0")),
    "the last day": _asked(lambda session, scene, _: RecentTraffic().look(session, scene.now)),
    "ratings by week": _asked(
        lambda session, scene, _: read_weeks(
            session, scene.app, Metric.SATISFACTION, scene.now - 12 * 604800, scene.now
        )
    ),
    "scores by week": _asked(
        lambda session, scene, _: read_weeks(session, scene.app, Metric.QUALITY, scene.now - 12 * 604800, scene.now)
    ),
    "a test's units": _asked(_trial),
    "answers to copies": _asked(
        lambda session, scene, _: answers_between(session, scene.scope(StageKind.SHADOW), scene.now - 1, scene.now)
    ),
    "answers to copies to judge": _asked(
        lambda session, scene, _: unjudged_answers(session, scene.scope(StageKind.SHADOW), scene.now - 60, 100.0, 20)
    ),
    "texts that nobody will judge": _asked(
        lambda session, scene, _: forget_unwanted(session, scene.app, scene.now, 86400.0)
    ),
    "whether a first variant may give way": _asked(
        lambda session, _, __: may_replace(session, BEGINNER, _FIRST.digest, ())
    ),
    "whether a model's record may change": _asked(_repair),
    "models that answer as another": lambda database, scene: watch_resolved_models(database, scene.moment),
}
"""Each is asked as the product asks it, and answers what that is told."""
