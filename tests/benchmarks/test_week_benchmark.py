"""A long stage costs its driver nothing that grows."""

import pytest

from benchmarks.week.world import Plan, drive_for, open_in_canary
from softlaunch.store.database import Database

pytestmark = pytest.mark.soak


def test_a_long_stage_costs_neither_rows_nor_memory(database: Database) -> None:
    """After the first day of a week, looked at three hundred times, rows, memory and evidence stay as they are."""
    plan = Plan(seconds=7 * 86400, step_seconds=7 * 86400 / 300, requests=80, samples=6)
    first, *_, last = list(drive_for(database, open_in_canary(database), plan))
    assert (first.steps, last.steps) == (50, 300)
    assert last.rows - first.rows <= 60  # a verdict that changes its mind is a row, which few looks leave
    assert last.memory_mb - first.memory_mb < 10
    assert last.evidence_kb < first.evidence_kb + 5
