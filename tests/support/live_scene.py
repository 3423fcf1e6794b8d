"""Live answers written by hand, in the canary's stage of 50 % or without a release, and an evaluator of a set time."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select

from softlaunch.catalog.records import record_model
from softlaunch.evals.calls.retry import Retries
from softlaunch.evals.judges.agreement import Estimate, agreement_of
from softlaunch.evals.judges.calibration import PROMPT_OF, Calibration
from softlaunch.evals.judges.gating import judges_of
from softlaunch.evals.judges.labels import Kind
from softlaunch.evals.judges.recorded_judgements import record_calibration
from softlaunch.live.progress import Progress
from softlaunch.live.reading import read_progress
from softlaunch.live.standing import Period
from softlaunch.live.worker import AppWorker
from softlaunch.metrics import Spent
from softlaunch.policy.evals import JudgePolicy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import State
from softlaunch.store.database import Database
from softlaunch.store.tables import GatewayRow, LiveJudgementRow, ReleaseRow, ScoreRow, TextRow
from tests.support.builders import APP, NOON, make_policy, open_in_new_app, record_app, request_row
from tests.support.endpoints import Endpoint, variant

START = NOON.timestamp()
HALF = 3
RELEASE = f"{APP}-1"
QUICK_RETRIES = Retries(attempts=1, patience_seconds=0.1)


def live_policy(live: dict[str, Any] | None = None, **changes: Any) -> Policy:
    """Quality is judged of every answer, and a required gate goes by it, unless told otherwise."""
    every = {"candidate": 100, "stable": 100, "afterwards": 100}
    return make_policy(
        **{
            "gates": [{"metric": "errors", "margin": "20 points"}, {"metric": "quality", "margin": "5 points"}],
            "texts": {"keep": True},
            "eval": {"golden_set": "golden.jsonl", "judge": {"models": ["judge"]}},
            "live": {"metrics": [{"metric": "quality"}], "sample_percent": every, **(live or {})},
            **changes,
        }
    )


def trust(database: Database, kind: Kind = Kind.GRADE, kappa: Estimate = Estimate(0.5, 0.45, 0.55)) -> None:  # noqa: B008  (frozen)
    """As if somebody had compared the judge with people's labels."""
    agreement = replace(agreement_of([("yes", "yes"), ("no", "no")]), items=400, kappa=kappa)
    with database.begin() as session:
        digest = judges_of(session, JudgePolicy(models=("judge",))).digest(PROMPT_OF[kind])
        record_calibration(
            session, digest, "labels", Calibration(kind, agreement, None, None, 0, Spent()), "anna", NOON
        )


@dataclass
class LiveScene:
    """An app whose answers are judged, its release at 50 % if it has one, and the time."""

    database: Database
    policy: Policy
    now: float = START
    release_id: str | None = RELEASE
    served: int = 0
    workers: dict[str, AppWorker] = field(default_factory=dict)

    @classmethod
    def opened(cls, database: Database, judge: Endpoint, policy: Policy, *, released: bool = True) -> "LiveScene":
        """A new app, with its release in the canary or without one."""
        if released:
            open_in_new_app(database, policy)
            stage = update(ReleaseRow).values(state=State.CANARY, stage=HALF)
        else:
            record_app(database, policy)
        times: dict[str, Any] = {"started_at": START, "heard_at": START, "complete_until": START}
        with database.begin() as session:
            if released:
                session.execute(stage)
            record_model(session, variant(judge.url, "judge").model, "models.yaml", NOON)
            session.add(GatewayRow(id="gateway-1", address="127.0.0.1:1", revisions={}, **times))
        return cls(database, policy, release_id=RELEASE if released else None)

    def serve(
        self, answers: Sequence[str], *, units: Sequence[int] | None = None, seconds: float = 1.0, **facts: Any
    ) -> None:
        """Answers, each after another second: of stable and of the candidate in turn where there is a release.

        Each is of a unit of its own where none is named.
        """
        rows: list[Any] = []
        for place, answer in enumerate(answers):
            number = self.served = self.served + 1
            in_stage = {"release_id": RELEASE, "stage": HALF, "weight_percent": 50.0}
            arm = "candidate" if number % 2 and self.release_id else "stable"
            columns = {
                "request_id": f"{APP}-r{number}",
                "arm": arm,
                "unit": units[place] if units else number,
                "started_at": self.now,
                **(in_stage if self.release_id else {"release_id": None, "stage": 0, "weight_percent": 0.0}),
                **facts,
            }
            rows.append(request_row(**columns))
            kept: dict[str, Any] = {"question": f"question {number}", "answer": answer, "expires_at": 9e9}
            rows.append(TextRow(request_id=columns["request_id"], arm=columns["arm"], app=APP, **kept))
            self.now += seconds
        with self.database.begin() as session:
            session.add_all(rows)
        self.go(0)

    def go(self, seconds: float) -> None:
        """Let time pass; the gateway's log is complete."""
        self.now += seconds
        with self.database.begin() as session:
            session.execute(update(GatewayRow).values(heard_at=self.now, complete_until=self.now))

    def to_stage(self, position: int) -> None:
        """Let another stage of the release be in force."""
        with self.database.begin() as session:
            session.execute(update(ReleaseRow).values(stage=position))

    def worker(self, holder: str = "evaluator-1") -> AppWorker:
        """An evaluator of this name, which goes by the scene's time."""
        if holder not in self.workers:
            self.workers[holder] = AppWorker(self.database, APP, holder, retries=QUICK_RETRIES, clock=lambda: self.now)
        return self.workers[holder]

    def judge_all(self, holder: str = "evaluator-1", most: int = 100) -> None:
        """Let an evaluator work while there is something to do at once."""
        worker = self.worker(holder)
        for _ in range(most):
            if not worker.work():
                return
        raise AssertionError(f"still busy after {most} passes")

    def judgements(self) -> list[LiveJudgementRow]:
        """All that wait or are over, in order."""
        with self.database.read() as session:
            return list(session.exec(select(LiveJudgementRow).order_by(col(LiveJudgementRow.id))))

    def scores(self) -> dict[str, float]:
        """The scores that gates read, by request."""
        with self.database.read() as session:
            return {row.request_id: row.value for row in session.exec(select(ScoreRow).order_by(col(ScoreRow.id)))}

    def progress(self) -> Progress:
        """How judging stands."""
        assert self.policy.live is not None
        period = Period(self.release_id, HALF if self.release_id else 0)
        with self.database.read() as session:
            return read_progress(session, APP, period, self.policy.live.budget, 1, self.now)
