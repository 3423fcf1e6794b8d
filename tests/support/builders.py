"""Small builders: variants, policies and releases, an app in a ledger, and what a driver looks with, scripted."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlmodel import Session, col, select

from softlaunch.ab.strategy import TrialStrategy
from softlaunch.ab.watch import TrialWatch
from softlaunch.catalog.records import record_variant
from softlaunch.core.arms import ByArm
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.live_metrics import Metric
from softlaunch.core.variant import ModelVersion, PromptMessage, PromptVersion, Variant
from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.evals.orders import EvalOrder, EvalProgress
from softlaunch.evals.statistics.report import ArmTotals, EvalReport
from softlaunch.gates.observations import Observations, Window
from softlaunch.gates.telemetry import HISTORY_ROWS, Reading, Scope, Telemetry
from softlaunch.ledger.notices import WEBHOOK_STREAM
from softlaunch.ledger.releases import Actor, Opening, open_release, read_release
from softlaunch.ledger.routes import serving_to_json
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release, State
from softlaunch.policy.route import Serving
from softlaunch.releases.driver import Driver, Strategies
from softlaunch.releases.observe import Evaluator, ReleaseStrategy
from softlaunch.releases.topline import ToplineStrategy
from softlaunch.shadow.watch import CopyWatch
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, NoticeRow, RequestRow, RouteRow, TransitionRow

APP = "support-bot"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANNA = Actor("anna", "command line")


def make_variant(prompt_version: str = "1.0.0", prompt: str = "You help.", **model: Any) -> Variant:
    """A variant of the prompt `support` on the model `steady`."""
    named = {"name": "steady", "provider": "rehearsal", "model": "steady", "endpoint": "http://127.0.0.1:9/v1"}
    message = PromptMessage(role="system", content=prompt)
    return Variant(
        prompt=PromptVersion(name="support", version=prompt_version, messages=(message,)),
        model=ModelVersion.model_validate({**named, **model}),
    )


STABLE = make_variant("1.0.0")
CANDIDATE = make_variant("1.1.0", "You help kindly.")


def make_policy(**changes: Any) -> Policy:
    """A policy with wide margins and short times, so that a few hundred requests decide a stage."""
    brief = {"minimum_requests": 20, "minimum_time": 5, "deadline": 600}
    return Policy.model_validate(
        {
            "app": APP,
            "eval": {"golden_set": "golden.jsonl"},
            "shadow": brief,
            "stages": [{"weight_percent": weight, "margin_factor": 1, **brief} for weight in (10, 50, 100)],
            "gates": [{"metric": "errors", "margin": "20 points"}, {"metric": "latency", "margin": "50 %"}],
            **changes,
        }
    )


def make_release(state: State = State.PENDING, position: int = 0, **fields: Any) -> Release:
    """A release as if read from a ledger; a live one needs none of the fields."""
    plain: dict[str, Any] = {
        "policy": make_policy(),
        "policy_path": "policy.yaml",
        "revision": 0,
        "driver_token": 1,
        "driver_holder": "",
        "driver_expires_at": None,
        "opened_at": NOON,
        "opened_by": "anna",
    }
    fixed = {"id": f"{APP}-1", "app": APP, "number": 1, "stable": STABLE, "candidate": CANDIDATE}
    return Release(**{**fixed, "state": state, "position": position, **plain, **fields})


def make_verdict(
    outcome: Outcome = Outcome.PASS, gate: str = "latency", role: Role = Role.REQUIRED, **figures: Any
) -> Verdict:
    """A verdict whose reason names its outcome."""
    return Verdict(gate, outcome, f"{gate} says {outcome}", role, **figures)


def record_app(database: Database, policy: Policy | None = None) -> None:
    """An app that serves STABLE, with CANDIDATE recorded beside it."""
    content = (policy or make_policy()).model_dump(mode="json")
    with database.begin() as session:
        session.add(AppRow(name=APP, policy=content, policy_path="policy.yaml", salt="salt", recorded_at=NOON))
        for variant in (STABLE, CANDIDATE):
            record_variant(session, variant, NOON)
        session.flush()
        serving = serving_to_json(Serving(salt="salt"))
        session.add(RouteRow(app=APP, revision=1, stable_digest=STABLE.digest, serving=serving, changed_at=NOON))


def open_in(
    session: Session, policy: Policy | None = None, stable: Variant = STABLE, candidate: Variant = CANDIDATE
) -> str:
    """Open a release of CANDIDATE; returns its id."""
    opening = Opening(APP, stable.digest, candidate.digest, policy or make_policy(), "folder/policy.yaml")
    return open_release(session, opening, ANNA, NOON)


def open_in_new_app(database: Database, policy: Policy | None = None) -> str:
    """Record the app and open its first release."""
    record_app(database, policy)
    with database.begin() as session:
        return open_in(session, policy)


def steps_of(database: Database, release_id: str) -> list[tuple[str, int]]:
    """State and position after each transition, in their order."""
    with database.read() as session:
        rows = session.exec(
            select(TransitionRow).where(TransitionRow.release_id == release_id).order_by(col(TransitionRow.revision))
        )
        return [(row.to_state, row.stage) for row in rows]


@dataclass
class Clock:
    """A clock that goes only when told."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        """The time it shows."""
        return self.now

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


def eval_report(*verdicts: Verdict) -> EvalReport:
    """A report with nothing but verdicts."""
    nothing = ArmTotals(0, 0, {}, None, None, None)
    return EvalReport(Outcome.PASS, "", verdicts, (), (), nothing, nothing, 0, 0, 1, 0.95)


@dataclass
class FakeEvaluator(Evaluator):
    """Needs `steps` looks, then reports these verdicts; with an error it raises that."""

    verdicts: tuple[Verdict, ...] = (make_verdict(gate="accuracy"),)
    steps: int = 2
    orders: list[EvalOrder] = field(default_factory=list)
    error: SoftlaunchError | None = None

    def work(self, order: EvalOrder, seconds: float) -> EvalProgress:
        """Note the order and count it as one step of the work."""
        if self.error is not None:
            raise self.error
        self.orders.append(order)
        done = min(len(self.orders), self.steps)
        return EvalProgress(done, self.steps, 0.01 * done, eval_report(*self.verdicts) if done == self.steps else None)


Harms = Mapping[str, float]
"""What a candidate does worse: `errors` added to a rate of 1 %, `latency` times as slow."""


def traffic(
    share: float, count: int, rng: np.random.Generator, harms: Harms | None = None, *, stable_cost: float = 1.0
) -> Window:
    """A window of requests from distinct units; each is the candidate's with probability `share`."""
    on_candidate = int(rng.binomial(count, share))
    known = harms or {}
    return Window(
        share,
        arm(on_candidate, rng, errors=0.01 + known.get("errors", 0.0), latency=known.get("latency", 1.0)),
        arm(count - on_candidate, rng, cost=stable_cost),
    )


def arm(
    count: int,
    rng: np.random.Generator,
    *,
    errors: float = 0.01,
    latency: float = 1.0,
    cost: float = 1.0,
    satisfaction: float = 0.8,
) -> dict[Metric, Observations]:
    """Requests of one arm: an error rate, about 800 ms and 1e-5 USD times a factor, and a rating of every one.

    Every answer that came can be used.
    """
    units = rng.integers(0, 2**62, count)
    return {
        Metric.ERRORS: Observations(units, (rng.random(count) < errors).astype(np.float64)),
        Metric.LATENCY: Observations(units, 800 * latency * rng.lognormal(0, 0.4, count)),
        Metric.COST: Observations(units, 1e-5 * cost * rng.lognormal(0, 0.3, count)),
        Metric.SATISFACTION: Observations(units, (rng.random(count) < satisfaction).astype(np.float64)),
        Metric.UNUSABLE: Observations(units, np.zeros(count)),
    }


@dataclass
class ScriptedTelemetry(Telemetry):
    """Traffic of 400 requests a look; `harms` says per stage's position what the candidate does worse there.

    `dropped` is what the request log lost in each reading; less than nothing is what a gateway takes back. `meanwhile`
    happens during each reading. Only STABLE has a history; `remembered` are the digests whose history was asked for.
    """

    harms: dict[int, Harms] = field(default_factory=dict)
    error: Exception | None = None
    problem: str | None = None
    count: int = 400
    stable_cost: float = 1.0
    dropped: int = 0
    meanwhile: Callable[[], object] = lambda: None
    remembered: list[str] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def read(self, scope: Scope, after: float, now: float) -> Reading:
        """One window of everything since the last reading."""
        self.meanwhile()
        if self.error is not None:
            raise self.error
        if self.problem is not None:
            return Reading((), after, problem=self.problem)
        stage = scope.stage
        seen = traffic(
            stage.candidate_share, self.count, self.rng, self.harms.get(stage.position), stable_cost=self.stable_cost
        )
        requests = ByArm(len(seen.candidate[Metric.ERRORS]), len(seen.stable[Metric.ERRORS]))
        exposed = requests.candidate if stage.weight_percent else 0
        return Reading((seen,), now, dropped=self.dropped, requests=requests, exposed=exposed)

    def read_again(self, scope: Scope, after: float, until: float) -> Iterator[Window]:
        """Nothing: nobody comes back in this traffic, and its requests can't be told apart."""
        return iter(())

    def history(self, app: str, stable_digest: str, before: float, rows: int = HISTORY_ROWS) -> Window:
        """A thousand requests of stable; nothing of any other variant."""
        self.remembered.append(stable_digest)
        known = 1000 if stable_digest == STABLE.digest else 0
        return Window(0.5, {}, arm(known, self.rng, cost=self.stable_cost))


@dataclass
class Scene:
    """A release with its driver, and everything that can be made to happen to it."""

    database: Database
    release_id: str
    clock: Clock = field(default_factory=Clock)
    telemetry: ScriptedTelemetry = field(default_factory=ScriptedTelemetry)
    evaluator: FakeEvaluator = field(default_factory=FakeEvaluator)
    step_seconds: float = 3.0
    copies: CopyWatch | None = None

    @classmethod
    def opened(cls, database: Database, policy: Policy | None = None, **parts: Any) -> "Scene":
        """A new app with its first release."""
        return cls(database, open_in_new_app(database, policy), **parts)

    def driver(self, holder: str = "driver one") -> Driver:
        """A driver by this scene's clock."""
        releases = ReleaseStrategy(self.telemetry, self.evaluator, self.copies)
        trials = TrialStrategy(releases, TrialWatch(self.database))
        strategies = Strategies(releases, trials, topline=ToplineStrategy(releases))
        return Driver(self.database, strategies, holder, self.clock)

    def drive_until(self, stop: Callable[[Release], bool], driver: Driver | None = None, most: int = 200) -> Release:
        """Step until a release is as wanted; fails after so many steps."""
        driving = driver or self.driver()
        token = driving.acquire_lease(self.release_id)
        for _ in range(most):
            if stop(self.release()):
                driving.release_lease(self.release_id, token)
                return self.release()
            self.clock.go(self.step_seconds)
            driving.advance(self.release_id, token)
        raise AssertionError(f"not reached in {most} steps: {self.release().state}, position {self.release().position}")

    def drive_to_end(self) -> Release:
        """Step until the release is over."""
        return self.drive_until(lambda release: not release.state.live)

    def drive_to(self, position: int) -> Release:
        """Step until a stage is in force."""
        return self.drive_until(lambda release: release.state is not State.PENDING and release.position == position)

    def release(self) -> Release:
        """The release as the ledger holds it now."""
        with self.database.read() as session:
            return read_release(session, self.release_id)

    def route(self) -> RouteRow:
        """The app's route now."""
        with self.database.read() as session:
            return session.get_one(RouteRow, APP)


def told(database: Database) -> list[str]:
    """What people were told, or will be, oldest first."""
    with database.read() as session:
        rows = select(NoticeRow.text).where(NoticeRow.lane != WEBHOOK_STREAM).order_by(col(NoticeRow.id))
        return list(session.exec(rows))


def request_row(**columns: Any) -> RequestRow:
    """A row of the request log: a good answer of stable at NOON unless told otherwise."""
    plain: dict[str, Any] = {
        "request_id": "support-bot-0",
        "gateway_id": "gateway-1",
        "app": APP,
        "release_id": f"{APP}-1",
        "stage": 3,
        "weight_percent": 50.0,
        "arm": "stable",
        "variant_digest": STABLE.digest,
        "unit": 1,
        "started_at": NOON.timestamp(),
        "status": 200,
        "latency_ms": 800.0,
        "cost_usd": 1e-5,
    }
    return RequestRow(**{**plain, **columns})
