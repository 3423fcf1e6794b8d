"""An eval in the ledger of a console: the candidate loses some cases of one segment."""

from pathlib import Path

import numpy as np
import orjson

from softlaunch.core.arms import ByArm
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.calls.recorded_answers import ComparedDigests, add_answers, open_run
from softlaunch.evals.suites.suite import load_suite
from softlaunch.ledger.review_draws import Draw, draw
from softlaunch.metrics import ACCURACY
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, TextRow
from tests.console.scenes import WAITING
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, request_row

RUN = f"{APP}-eval-1"
CASES, LOST = 40, 6


def add_eval(database: Database, folder: Path, run_id: str = RUN, release_id: str | None = None) -> None:
    """Record a finished run; the app's golden set lies in that folder."""
    golden = folder / "golden.jsonl"
    golden.write_bytes(b"\n".join(orjson.dumps(_case(number)) for number in range(CASES)))
    with database.begin() as session:
        session.get_one(AppRow, APP).policy_path = str(folder / "policy.yaml")
    digests = ComparedDigests(load_suite(golden).digest, ByArm(CANDIDATE.digest, STABLE.digest))
    open_run(database, run_id, APP, release_id, digests, NOON)
    add_answers(database, run_id, [_answer(number, arm) for number in range(CASES) for arm in EvalArm])


def add_drawn(database: Database) -> None:
    """A drawn metric, and two live answers of the release that waits, one of each arm, drawn for it."""
    with database.begin() as session:
        app = session.get_one(AppRow, APP)
        reviewed = {"name": "reviewed", "kind": "score", "better": "up", "drawn": True}
        app.policy = {**app.policy, "metrics": [reviewed]}
        for arm in ("candidate", "stable"):
            session.add(request_row(request_id=f"kept-{arm}", release_id=WAITING, stage=2, arm=arm))
            kept = TextRow(request_id=f"kept-{arm}", arm=arm, app=APP, question="How?", answer="So.", expires_at=9e9)
            session.add(kept)
        session.flush()
        draw(session, APP, Draw("reviewed", 2, NOON.timestamp(), "anna"), np.random.default_rng(1))


def _case(number: int) -> dict[str, object]:
    tag = "refunds" if number < CASES // 4 else "other"
    question = f"What about order {number}, which came broken?"
    return {"id": f"c{number}", "question": question, "expected": "yes", "metric": "contains", "tags": [tag]}


def _answer(number: int, arm: EvalArm) -> EvalAnswer:
    right = arm is EvalArm.STABLE or number >= LOST
    text = "yes, we send you another one" if right else "We are sorry to hear that."
    variant = STABLE if arm is EvalArm.STABLE else CANDIDATE
    return EvalAnswer(
        CallKey(arm, f"c{number}", 0),
        variant.digest,
        Status.SCORED,
        answer=text,
        scores={ACCURACY: float(right)},
        latency_ms=800.0 + 5 * number,
        cost_usd=0.0004,
    )
