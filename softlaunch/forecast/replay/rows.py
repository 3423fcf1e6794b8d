"""Recorded requests as arrays: what a stretch of a file of samples holds once it has been checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Floats, Units
from softlaunch.policy.gating import Adjustment
from softlaunch.policy.release import Stage

Flags = NDArray[np.bool_]


class SamplesError(SoftlaunchError):
    """Samples that can't be replayed; the message names file, row, column, value and what was expected."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Consecutive requests of one stage; all arrays have shape (n,).

    `first` and `last` are the numbers of the first and last row: rows count from 1, and a header isn't one. Rows in
    between may have been left out. `ts` is in seconds. Units are pseudonyms; where `named` is false the request told
    none and is a unit of its own. Values are those of `Observations`, NaN where nothing was measured, and covariates
    those of `Events`. `stage` is None before the candidate met any user.
    """

    source: str
    first: int
    last: int
    stage: Stage | None
    ts: Floats
    candidate: Flags
    units: Units
    named: Flags
    values: Mapping[Metric, Floats] = field(default_factory=dict)
    covariates: Mapping[Adjustment, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many requests there are."""
        return len(self.ts)

    def part(self, start: int, end: int) -> "Rows":
        """The rows from position `start` up to, not with, position `end`, of a stretch without gaps."""
        return replace(self.only(slice(start, end)), first=self.first + start, last=self.first + end - 1)

    def only(self, kept: Flags | NDArray[np.int64] | slice) -> "Rows":
        """Some of the rows, or all of them in another order; they keep the numbers of the first and the last."""
        return replace(
            self,
            ts=self.ts[kept],
            candidate=self.candidate[kept],
            units=self.units[kept],
            named=self.named[kept],
            values={metric: column[kept] for metric, column in self.values.items()},
            covariates={name: column[kept] for name, column in self.covariates.items()},
        )

    def place(self, position: int) -> str:
        """How a message names the row at a position."""
        return f"{self.source}, row {self.first + position}"


def joined(parts: Sequence[Rows]) -> Rows:
    """Stretches of one stage as one; at least one is needed."""
    head = parts[0]
    if len(parts) == 1:
        return head
    return replace(
        head,
        last=parts[-1].last,
        ts=np.concatenate([part.ts for part in parts]),
        candidate=np.concatenate([part.candidate for part in parts]),
        units=np.concatenate([part.units for part in parts]),
        named=np.concatenate([part.named for part in parts]),
        values={metric: np.concatenate([part.values[metric] for part in parts]) for metric in head.values},
        covariates={name: np.concatenate([part.covariates[name] for part in parts]) for name in head.covariates},
    )
