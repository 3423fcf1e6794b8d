"""Rows of another database's view, as columns that gates read."""

from typing import Any

import numpy as np

from softlaunch.core.answer_checks import BITS
from softlaunch.core.arms import ByArm
from softlaunch.telemetry.sql.rows import batch_of

ARMS = ByArm("candidate", "stable")


def row(number: int, *, first: bool, arm: str = "candidate") -> dict[str, Any]:
    """An answered request of a view."""
    return {
        "request_id": f"{number}",
        "started_at": float(number),
        "arm": arm,
        "unit": f"user-{number}",
        "outcome": "answered",
        "latency_ms": 100.0,
        "cost_usd": None,
        "first": first,
    }


def test_a_unit_that_came_back_is_not_first_again() -> None:
    """Only the first request of a unit is evidence of its own."""
    batch = batch_of([row(1, first=True), row(2, first=False), row(3, first=True, arm="stable")], ARMS)
    assert batch.first.tolist() == [True, False, True]
    assert len(batch.firsts(candidate=True)) == 1


def test_a_view_tells_nothing_of_checks() -> None:
    """Nobody looked at the answers, so that no gate on them can pass."""
    batch = batch_of([row(1, first=True)], ARMS)
    assert all(np.isnan(batch.values[metric]).all() for metric in BITS)
