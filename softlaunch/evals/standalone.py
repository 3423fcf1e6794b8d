"""Evals outside of a release: what serves an app against a candidate, or against itself."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from sqlmodel import Session, col, select

from softlaunch.catalog.candidates import Change, resolve_candidate
from softlaunch.catalog.records import check_app
from softlaunch.core.variant import Variant
from softlaunch.evals.orders import EvalOrder, EvalProgress
from softlaunch.evals.regression import RegressionEval
from softlaunch.evals.suites.golden_set import Suite
from softlaunch.policy.evals import EvalPolicy
from softlaunch.policy.load import golden_set_path
from softlaunch.policy.model import Policy
from softlaunch.store.database import Database
from softlaunch.store.tables import EvalRunRow, RouteRow, VariantRow

_STEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two variants on given cases. Limits of calls and USD, reuse, and whether to stop early are the policy's."""

    app: str
    stable: Variant
    candidate: Variant
    suite: Suite
    policy: EvalPolicy

    @property
    def run_id(self) -> str:
        """The same for the same comparison, in any process: what is paid for is found again. Limits may be raised."""
        limits = {"budget_calls", "budget_usd", "concurrency", "timeout", "reuse"}
        asked = self.policy.model_dump_json(exclude=limits)
        parts = (self.stable.digest, self.candidate.digest, self.suite.digest, asked)
        return f"{self.app}-compare-{sha256(' '.join(parts).encode()).hexdigest()[:16]}"


def compare_variants(
    database: Database, comparison: Comparison, follow: Callable[[EvalProgress], None] | None = None
) -> EvalProgress:
    """Ask both variants the cases until the verdict is known, all calls are made, or the budget is used up.

    May be killed and called again: finished calls are in the ledger, aren't paid twice, and decide the same; limits
    in USD and calls hold over all attempts together. The report says why it stopped; `halted` is set where the budget
    did. `follow` is told of the progress once a second. Raises SoftlaunchError, such as that a key is missing.
    """
    order = EvalOrder(
        run_id=comparison.run_id,
        app=comparison.app,
        release_id=None,
        stable=comparison.stable,
        candidate=comparison.candidate,
        policy=comparison.policy,
        golden_set=Path(comparison.policy.golden_set or ""),
        suite=comparison.suite,
    )
    evaluation = RegressionEval(database)
    try:
        while (progress := evaluation.work(order, _STEP_SECONDS)).report is None:
            if follow is not None:
                follow(progress)
        return progress
    finally:
        evaluation.close()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to compare. Without a change it is what serves against itself (A/A). `policy` None takes the app's."""

    app: str
    change: Change | None
    policy: tuple[Policy, Path] | None = None


def plan_order(database: Database, wanted: Wanted, overrides: dict[str, object], now: datetime) -> EvalOrder:
    """The order for a new run; overrides are keys of the eval policy. Raises SoftlaunchError.

    The candidate is recorded, so that a review can say later what it was.
    """
    with database.begin() as session:
        app = check_app(session, wanted.app)
        policy, path = wanted.policy or (Policy.model_validate(app.policy), Path(app.policy_path))
        serving = session.get_one(VariantRow, session.get_one(RouteRow, wanted.app).stable_digest)
        stable = Variant.model_validate(serving.content)
        same = wanted.change is None
        candidate = stable if same else resolve_candidate(session, wanted.app, stable, wanted.change or Change(), now)
        golden_set = golden_set_path(policy, path, Path(app.policy_path).parent)
    return EvalOrder(
        run_id=f"{wanted.app}-eval-{secrets.token_hex(4)}",
        app=wanted.app,
        release_id=None,
        stable=stable,
        candidate=candidate,
        policy=EvalPolicy.model_validate({**policy.eval.model_dump(), **overrides}),
        golden_set=golden_set,
    )


def resumed(database: Database, evaluation: RegressionEval, order: EvalOrder) -> EvalOrder:
    """The order under the id of the newest run of the same that isn't finished; as it is where there is none.

    The same: stable, candidate and golden set, outside of releases.
    """
    with database.read() as session:
        latest = _latest(session, order, order.asked.digest)
    if latest is None:
        return order
    again = replace(order, run_id=latest)
    progress = evaluation.work(again, 0)
    return again if progress.report is None or progress.halted else order


def _latest(session: Session, order: EvalOrder, suite_digest: str) -> str | None:
    return session.exec(
        select(EvalRunRow.id)
        .where(
            EvalRunRow.app == order.app,
            col(EvalRunRow.release_id).is_(None),
            EvalRunRow.suite_digest == suite_digest,
            EvalRunRow.stable_digest == order.stable.digest,
            EvalRunRow.candidate_digest == order.candidate.digest,
        )
        .order_by(col(EvalRunRow.started_at).desc())
        .limit(1)
    ).first()
