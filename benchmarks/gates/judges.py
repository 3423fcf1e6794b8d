"""What every judge under comparison does."""

from enum import StrEnum
from typing import Protocol

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
