"""What is needed of a source that counts requests by arm."""

from dataclasses import dataclass
from typing import Protocol

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.telemetry.sources.counts import Buckets, Piece


@dataclass(frozen=True, slots=True)
class Counted:
    """What a source knows of one metric, complete up to `until` (epoch seconds), where the next reading begins.

    `buckets` are what its values can be; None while nothing was counted. `problem` says in words why nothing could be
    read although time passed, and `lost_seconds` how much time is in no piece because nobody looked.
    """

    until: float
    buckets: Buckets | None = None
    pieces: tuple[Piece, ...] = ()
    problem: str = ""
    lost_seconds: float = 0.0


class CountSource(Protocol):
    """A source of counts."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What it counts."""
        ...

    @property
    def group(self) -> int:
        """How many requests one user makes in a stage, about."""
        ...

    def read(self, metric: Metric, arms: ByArm[str], since: float, after: float, now: float) -> Counted:
        """Requests by value, of arms under these labels, that were counted between two moments.

        `since` is when the stage began: what may have been counted before it is left out. Raises TelemetryError where
        the source doesn't answer.
        """
        ...
