"""What gates need from a source of metrics."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, Self

from softlaunch.core.arms import NONE_COUNTED, ByArm
from softlaunch.core.errors import SoftlaunchError
from softlaunch.gates.observations import Window
from softlaunch.ledger.outcomes import Counts
from softlaunch.policy.release import Release, Stage

HISTORY_ROWS = 3000
"""How much of stable's past is read to know its usual values."""
PAST_ROWS = 30_000
"""How much of it is read to know the usual values of each unit."""


class TelemetryError(SoftlaunchError):
    """The source of metrics did not answer; the stage holds."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which requests belong to a stage of a release that began at a moment (epoch seconds).

    `judged_live` are the metrics whose values come from live judges and from nobody else.
    """

    app: str
    release_id: str
    stage: Stage
    began: float = 0.0
    judged_live: frozenset[str] = frozenset()

    @classmethod
    def of(cls, release: Release, began: float) -> Self:
        """The stage of a release that is in force."""
        live = release.policy.live
        return cls(release.app, release.id, release.stage, began, live.judged if live else frozenset())


@dataclass(frozen=True, slots=True)
class Reading:
    """What happened between two moments, complete.

    `until` (epoch seconds) is where the next reading begins. `requests` are the compared ones, and `exposed` counts
    those that the candidate answered to users; `by_fallback` counts the candidate's that one of its fallback models
    answered, users' or copies. `stable_lately` counts what became of everything that stable was asked
    in the minute before, by outcome. `problem` says in words why nothing could be read although time passed.
    """

    windows: tuple[Window, ...]
    until: float
    dropped: int = 0
    requests: ByArm[int] = NONE_COUNTED
    exposed: int = 0
    by_fallback: int = 0
    problem: str | None = None
    stable_lately: Counts = field(default_factory=dict)


class Telemetry(Protocol):
    """A source of metrics."""

    def read(self, scope: Scope, after: float, now: float) -> Reading:
        """Observations of requests that began from `after` on and are complete; raises TelemetryError."""
        ...

    def read_again(self, scope: Scope, after: float, until: float) -> Iterator[Window]:
        """The requests and ratings of a stage that readings from `after` to `until` held; raises TelemetryError.

        They come in order and in windows of any length. Nothing else is in them, and nothing comes of a stage that
        compares copies.
        """
        ...

    def history(self, app: str, stable_digest: str, before: float, rows: int = HISTORY_ROWS) -> Window:
        """Recent observations of stable alone, before a moment, to know its usual values; raises TelemetryError.

        Its requests, at most so many, and ratings tell how users come and go.
        """
        ...
