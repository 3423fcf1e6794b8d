"""What every judge under comparison does."""

from enum import StrEnum
from typing import Protocol

from benchmarks.gates.model import Stage
from benchmarks.gates.traffic import Look


class Decision(StrEnum):
    """What a judge makes of a look."""

    CONTINUE = "continue"
    ROLLBACK = "rollback"
    PASS = "pass"


class Judge(Protocol):
    """A judge of one release.

    `at_intervals`: it measures ten times a stage, instead of whenever there is something new. `blamed` names the metric
    that made it roll back.
    """

    @property
    def at_intervals(self) -> bool:
        """Whether it looks at intervals only."""
        ...

    @property
    def blamed(self) -> str | None:
        """The metric behind a rollback."""
        ...

    def look(self, seen: Look) -> Decision:
        """Judge what happened since the last look."""
        ...


STAGE_HOURS = {0.01: 5.0, 0.05: 2.0, 0.5: 0.5, 1.0: 0.0}
"""How long the stages last for judges that wait for time instead of evidence.

At the benchmark's traffic these are 500, 1,000 and 2,500 candidate requests: 4,000 in all, like the target for ours.
None of them has anything to compare with at 100 %, which is therefore the end of their release.
"""
MEASUREMENTS = 10
"""Measurements in each stage, for judges that take their measure at intervals."""


def interval_hours(stage: Stage) -> float:
    """Time between two measurements of a judge that measures at intervals; 0 where it measures nothing."""
    return STAGE_HOURS[stage.share] / MEASUREMENTS
