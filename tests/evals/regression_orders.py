"""Regression evals on a small golden set: what they compare, and working until there is a report."""

from pathlib import Path
from typing import Any

import orjson

from softlaunch.evals.orders import EvalOrder, EvalProgress
from softlaunch.evals.regression import RegressionEval
from softlaunch.policy.evals import EvalPolicy
from tests.support.endpoints import Endpoint, variant

LONG = 60.0


def golden_set(folder: Path, count: int) -> Path:
    """A golden set of so many questions that `yes` answers."""
    path = folder / "golden.jsonl"
    lines = [{"id": f"c{number}", "question": f"question {number}", "expected": "yes"} for number in range(count)]
    path.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    return path


def order(endpoint: Endpoint, golden: Path, candidate: str = "new", **fields: Any) -> EvalOrder:
    """Compare `good` with a candidate; fields are those of the policy."""
    chosen = {"repeats": 1, "maximum_repeats": 1, "concurrency": 8, "timeout": 10, **fields}
    return EvalOrder(
        run_id="support-1",
        app="support",
        release_id="support-1",
        stable=variant(endpoint.url, "good"),
        candidate=variant(endpoint.url, candidate),
        policy=EvalPolicy(golden_set=golden.name, **chosen),
        golden_set=golden,
    )


def finish(evaluation: RegressionEval, wanted: EvalOrder, seconds: float = LONG) -> EvalProgress:
    """Work in steps until there is a report."""
    for _ in range(200):
        progress = evaluation.work(wanted, seconds)
        if progress.report is not None:
            return progress
    raise AssertionError(f"no report after 200 steps: {progress}")
