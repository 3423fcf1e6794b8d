"""A shadow stage whose copies are written by hand: requests, their copies, and the texts of both."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from softlaunch.evals.judges.agreement import Estimate, agreement_of
from softlaunch.evals.judges.calibration import Calibration
from softlaunch.evals.judges.gating import judges_of
from softlaunch.evals.judges.labels import Kind
from softlaunch.evals.judges.recorded_judgements import record_calibration
from softlaunch.gates.telemetry import Scope
from softlaunch.metrics import Spent
from softlaunch.policy.evals import JudgePolicy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import plan
from softlaunch.policy.route import Arm
from softlaunch.store.database import Database
from softlaunch.store.tables import RequestRow, TextRow
from tests.support.builders import APP, NOON, make_policy, request_row

RELEASE = f"{APP}-1"
BEGUN = 1_000.0


def shadow_policy(*gates: Mapping[str, object], **changes: object) -> Policy:
    """Texts are kept, everything is copied, half of it to stable too, and these gates judge besides errors."""
    return make_policy(
        **{
            "gates": [{"metric": "errors", "margin": "20 points"}, *gates],
            "texts": {"keep": True},
            "eval": {"golden_set": "golden.jsonl", "judge": {"models": ["judge"]}},
            "shadow": {"sample_percent": 100, "floor_percent": 50, "minimum_requests": 20, "minimum_time": 5},
            **changes,
        }
    )


def trust_judge(database: Database, kappa: Estimate = Estimate(0.7, 0.6, 0.8)) -> None:  # noqa: B008  (frozen)
    """As if somebody had compared the judge with people's preferences."""
    measured = agreement_of([("yes", "yes"), ("no", "no")])
    agreement = replace(measured, items=200, kappa=kappa)
    with database.begin() as session:
        digest = judges_of(session, JudgePolicy(models=("judge",))).digest("judge-pairwise")
        found = Calibration(Kind.PREFERENCE, agreement, None, None, 0, Spent())
        record_calibration(session, digest, "labels", found, "anna", NOON)


def scope_of(policy: Policy) -> Scope:
    """The shadow stage of the app's first release."""
    return Scope(APP, RELEASE, plan(policy)[1])


def copies(
    number: int, shown: str, shadow: str, again: str | None = None, *, unit: int | None = None, at: float | None = None
) -> list[RequestRow | TextRow]:
    """A request, a second after the one before: what its user got, the candidate's copy, and stable's, if any."""
    texts = {Arm.STABLE: shown, Arm.SHADOW: shadow} | ({} if again is None else {Arm.CONTROL: again})
    request_id, rows = f"{APP}-r{number}", list[RequestRow | TextRow]()
    for arm, answer in texts.items():
        facts = {"stage": 1, "weight_percent": 0.0, "arm": arm.value, "mirrored": arm is not Arm.STABLE}
        started = {"started_at": BEGUN + number if at is None else at, "unit": number if unit is None else unit}
        rows.append(request_row(request_id=request_id, **facts, **started))
        kept: dict[str, Any] = {"app": APP, "question": f"question {number}", "answer": answer, "expires_at": 9e9}
        rows.append(TextRow(request_id=request_id, arm=arm, **kept))
    return rows


def write(database: Database, answers: Sequence[tuple[str, ...]], first: int = 0) -> None:
    """One request for each (shown, shadow) or (shown, shadow, again), each of a user of its own."""
    with database.begin() as session:
        for number, texts in enumerate(answers, start=first):
            session.add_all(copies(number, *texts))
