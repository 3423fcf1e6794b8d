"""A release whose last stage lasts a week, on a clock that is told the time and traffic that is drawn."""

import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import func, inspect, select, table
from sqlmodel import Session

from softlaunch.catalog.records import record_variant
from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.evals.orders import EvalOrder, EvalProgress
from softlaunch.gates.observations import Events, Observations, Units, Window
from softlaunch.gates.telemetry import HISTORY_ROWS, Reading, Scope, Telemetry
from softlaunch.ledger.lease import Transition, apply_transition
from softlaunch.ledger.releases import Actor, Opening, open_release, read_release
from softlaunch.ledger.routes import serving_to_json
from softlaunch.ledger.stages import begin_stage
from softlaunch.policy.model import Policy
from softlaunch.policy.release import State
from softlaunch.policy.route import Serving
from softlaunch.releases.driver import Driver, Strategies
from softlaunch.releases.observe import Evaluator, ReleaseStrategy
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, RouteRow, StageRow

APP = "bot"
BEGAN = datetime(2026, 3, 2, tzinfo=UTC)
WEEK_SECONDS = 7 * 86400.0
_BRIEF = {"minimum_requests": 1, "minimum_time": "8 d", "deadline": "30 d"}
POLICY = {
    "app": APP,
    "eval": {"golden_set": "golden.jsonl"},
    "shadow": None,
    "stages": [{"weight_percent": 50, **_BRIEF}, {"weight_percent": 100, **_BRIEF}],
}


_RATED = Metric.SATISFACTION


@dataclass
class Clock:
    """A clock that goes only when told."""

    now: datetime = BEGAN

    def __call__(self) -> datetime:
        """The time it shows."""
        return self.now


@dataclass
class Traffic(Telemetry):
    """Requests of both arms at so many a look, by users who come back; half of them rated."""

    requests: int
    users: int
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    seen: set[int] = field(default_factory=set)

    def read(self, scope: Scope, after: float, now: float) -> Reading:
        """A window of everything since the last look."""
        events = self._events(after, now, np.arange(self.users))
        rated = events.only(np.arange(0, len(events), 2))
        ratings = Events(rated.at, rated.units, rated.candidate, {_RATED: rated.values[_RATED]})
        first = np.isin(events.units, list(self.seen), invert=True)
        self.seen.update(events.units.tolist())
        candidate, stable = (_observations(events.only(first & (events.candidate == side))) for side in (True, False))
        split = ByArm(len(np.unique(candidate[Metric.ERRORS].units)), len(np.unique(stable[Metric.ERRORS].units)))
        window = Window(scope.stage.candidate_share, candidate, stable, split, events, {_RATED: ratings}, now)
        candidates = int(np.count_nonzero(events.candidate))
        return Reading((window,), now, requests=ByArm(candidates, len(events) - candidates), exposed=candidates)

    def read_again(self, scope: Scope, after: float, until: float) -> Iterator[Window]:  # noqa: ARG002  (the protocol's)
        """Nobody restarts this driver."""
        raise AssertionError("the driver holds in memory whom it has heard")

    def history(
        self,
        app: str,  # noqa: ARG002  (the protocol's)
        stable_digest: str,  # noqa: ARG002
        before: float,
        rows: int = HISTORY_ROWS,  # noqa: ARG002
    ) -> Window:
        """A thousand requests of stable, within the minutes before."""
        events = self._events(before - 600, before, np.arange(0, self.users, 2), 1000)
        return Window(0.5, {}, _observations(events), requests=events, ratings={_RATED: events}, until=before)

    def _events(self, after: float, until: float, users: Units, count: int | None = None) -> Events:
        """Requests of some of these users, of whom every second is the candidate's."""
        count = count or self.requests
        units = self.rng.choice(users, count)
        return Events(
            np.sort(self.rng.uniform(after, until, count)),
            units,
            units % 2 == 1,
            {
                Metric.ERRORS: (self.rng.random(count) < 0.01).astype(np.float64),
                Metric.UNUSABLE: (self.rng.random(count) < 0.01).astype(np.float64),
                Metric.LATENCY: 800 * self.rng.lognormal(0, 0.4, count),
                Metric.COST: 1e-5 * self.rng.lognormal(0, 0.3, count),
                _RATED: (self.rng.random(count) < 0.8).astype(np.float64),
            },
        )


def _observations(events: Events) -> Mapping[Metric, Observations]:
    return {metric: Observations.of(events.units, values) for metric, values in events.values.items()}


class NoEval(Evaluator):
    """The stage that is measured comes after the eval."""

    def work(self, order: EvalOrder, seconds: float) -> EvalProgress:  # noqa: ARG002  (the protocol's)
        """Never asked."""
        raise AssertionError("the release is in its canary")


def _variant(version: str) -> Variant:
    message = PromptMessage(role="system", content=f"You help, version {version}.")
    model = {"name": "steady", "provider": "none", "model": "steady", "endpoint": "http://127.0.0.1:9/v1"}
    return Variant(
        prompt=PromptVersion(name="support", version=version, messages=(message,)),
        model=ModelVersion.model_validate(model),
    )


def open_in_canary(database: Database) -> str:
    """A release in its stage of 50 %."""
    policy, stable, candidate = Policy.model_validate(POLICY), _variant("1.0.0"), _variant("1.1.0")
    by = Actor("benchmark", "benchmark")
    with database.begin() as session:
        content = policy.model_dump(mode="json")
        session.add(AppRow(name=APP, policy=content, policy_path="p", salt="s", recorded_at=BEGAN))
        for variant in (stable, candidate):
            record_variant(session, variant, BEGAN)
        session.flush()
        serving = serving_to_json(Serving(salt="s"))
        session.add(RouteRow(app=APP, revision=1, stable_digest=stable.digest, serving=serving, changed_at=BEGAN))
        session.flush()
        release_id = open_release(session, Opening(APP, stable.digest, candidate.digest, policy, "p"), by, BEGAN)
    with database.begin() as session:
        release = read_release(session, release_id)
        apply_transition(session, Transition(release, State.EVALUATING, 0, "benchmark"), by, BEGAN)
    with database.begin() as session:
        release = read_release(session, release_id)
        apply_transition(session, Transition(release, State.CANARY, 1, "benchmark"), by, BEGAN)
        begin_stage(session, release_id, release.stages[1], BEGAN)
    return release_id


@dataclass(frozen=True)
class Sample:
    """What the driver had cost after so much of the week."""

    days: float
    steps: int
    memory_mb: float
    rows: int
    evidence_kb: float


@dataclass(frozen=True)
class Plan:
    """For how long, and how often, to look; how many requests each look finds; how often to measure; how many users."""

    seconds: float
    step_seconds: float
    requests: int
    samples: int
    users: int = 4000


def drive_for(database: Database, release_id: str, plan: Plan) -> Iterator[Sample]:
    """Drive by the clock as planned, and measure on the way."""
    clock = Clock()
    strategies = Strategies(ReleaseStrategy(Traffic(plan.requests, plan.users), NoEval()))
    driver = Driver(database, strategies, "benchmark", clock, timedelta(seconds=2 * plan.step_seconds))
    token = driver.acquire_lease(release_id)
    steps = int(plan.seconds / plan.step_seconds)
    for step in range(1, steps + 1):
        clock.now += timedelta(seconds=plan.step_seconds)
        progress = driver.advance(release_id, token)
        if progress.over or progress.next_position != 1:
            raise RuntimeError(f"the stage was to last: {progress.message}")
        if step % (steps // plan.samples) == 0:
            yield _sample(database, release_id, step, step * plan.step_seconds / 86400)


def _sample(database: Database, release_id: str, steps: int, days: float) -> Sample:
    with database.read() as session:
        evidence = session.get_one(StageRow, (release_id, 1)).model_dump_json()
        return Sample(days, steps, _memory_mb(), _rows(session), len(evidence) / 1024)


def _rows(session: Session) -> int:
    names = inspect(session.connection()).get_table_names()
    return sum(
        session.connection().execute(select(func.count()).select_from(table(name))).scalar_one() for name in names
    )


def _memory_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1024**2
