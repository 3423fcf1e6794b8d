"""Batches of a file become checked rows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf
from typing import assert_never

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from softlaunch.core.answer_checks import BITS
from softlaunch.core.live_metrics import Metric, Quantity, Source
from softlaunch.forecast.replay.columns import Column
from softlaunch.forecast.replay.files import SampleFile
from softlaunch.forecast.replay.rows import Rows, SamplesError
from softlaunch.forecast.replay.seen import SeenUnits
from softlaunch.forecast.replay.stages import StageNames, UnknownStageError
from softlaunch.gates.observations import Floats
from softlaunch.policy.gating import Adjustment
from softlaunch.policy.release import Stage

_TRUE_OR_FALSE = {"true": 1.0, "1": 1.0, "1.0": 1.0, "false": 0.0, "0": 0.0, "0.0": 0.0}
_FALSE_OR_TRUE = {text: 1 - value for text, value in _TRUE_OR_FALSE.items()}
_ARMS = {"candidate": 1.0, "stable": 0.0}
_RATING = "a number from 0 to 1; stars from 1 to 5 are (stars - 1) / 4"
_COVARIATE_PARSERS: dict[Adjustment, Callable[[Column], Floats]] = {
    Adjustment.REQUEST_SIZE: lambda column: column.numbers(0.0, inf, "a size, 0 or more"),
    Adjustment.STREAMED: lambda column: column.choices(_TRUE_OR_FALSE, "true or false, 1 or 0"),
}


def read_rows(file: SampleFile, stages: StageNames | Stage) -> Iterator[Rows]:
    """All requests of a file in its order, if it has any, never two stages in one stretch. Raises SamplesError.

    `stages` finds the stage of a row by its columns, or is the stage of all of them.
    """
    first = 1
    labels = _StageLabels(stages) if isinstance(stages, StageNames) else None
    for batch in file.batches():
        here = _Batch(str(file.path), first, batch, file.covariates, file.meanings)
        if isinstance(stages, Stage):
            yield replace(here.rows(), stage=stages)
        elif labels is not None:
            yield from labels.cut(here)
        first += batch.num_rows


@dataclass(frozen=True, slots=True)
class Split:
    """How many of a file's units fell on each arm; each unit counts once, as in the gates."""

    candidate: int
    stable: int

    @property
    def percent(self) -> float | None:
        """The candidate's share of the units, None where one arm has none."""
        if not (self.candidate and self.stable):
            return None
        return 100 * self.candidate / (self.candidate + self.stable)


def observed_split(file: SampleFile) -> Split:
    """The split that a file shows; reads all of it. Raises SamplesError."""
    seen = SeenUnits()
    units = candidates = 0
    for batch in file.batches():
        rows = _Batch(str(file.path), 1, batch, meanings=file.meanings).rows()
        fresh = ~rows.named
        _, firsts = np.unique(rows.units[rows.named], return_index=True)
        fresh[np.flatnonzero(rows.named)[firsts]] = seen.first_time(rows.units[rows.named][firsts])
        units += int(np.count_nonzero(fresh))
        candidates += int(np.count_nonzero(fresh & rows.candidate))
    return Split(candidates, units - candidates)


def _parsed(metric: Metric, column: Column) -> Floats:
    """The values of a metric's column. Raises SamplesError for the first that isn't one."""
    entry = metric.entry
    match entry.quantity:
        case Quantity.EVENT:
            meanings = _FALSE_OR_TRUE if entry.column_is_opposite else _TRUE_OR_FALSE
            return column.choices(meanings, "true or false, 1 or 0")
        case Quantity.MILLISECONDS:
            return column.numbers(0.0, inf, "milliseconds, 0 or more")
        case Quantity.US_DOLLARS:
            return column.numbers(0.0, inf, "US dollars, 0 or more")
        case Quantity.SECONDS:
            return column.numbers(0.0, inf, "seconds, 0 or more")
        case Quantity.AMOUNT:
            return column.numbers(0.0, inf, "a number, 0 or more")
        case Quantity.SCORE:
            return column.numbers(0.0, 1.0, _RATING if entry.source is Source.RATINGS else "a number from 0 to 1")
        case _:
            assert_never(entry.quantity)


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    source: str
    first: int
    batch: pa.RecordBatch
    covariates: Mapping[str, Adjustment] = field(default_factory=dict)
    meanings: Mapping[str, Metric] = field(default_factory=dict)

    def column(self, name: str) -> Column:
        return Column.of(self.source, self.first, name, self.batch.column(name))

    def rows(self) -> Rows:
        """The batch as checked rows, without a stage."""
        columns = self.batch.schema.names
        count = self.batch.num_rows
        units, named = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.bool_)
        if "unit" in columns:
            units, named = self.column("unit").pseudonyms()
        alone = np.arange(self.first, self.first + count, dtype=np.int64)
        return Rows(
            source=self.source,
            first=self.first,
            last=self.first + count - 1,
            stage=None,
            ts=self.column("ts").seconds(),
            candidate=self._arms(),
            units=np.where(named, units, alone),
            named=named,
            values=self._values(),
            covariates={
                name: _COVARIATE_PARSERS[name](self.column(column)) for column, name in self.covariates.items()
            },
        )

    def _values(self) -> dict[Metric, Floats]:
        """What was measured of each request; of one that failed no answer came that anything could be told of."""
        present = [(name, metric) for name, metric in self.meanings.items() if name in self.batch.schema.names]
        values = {metric: _parsed(metric, self.column(name)) for name, metric in present}
        for metric in values.keys() & {Metric.UNUSABLE, *BITS} if Metric.ERRORS in values else ():
            values[metric] = np.where(values[Metric.ERRORS] == 1, np.nan, values[metric])
        return values

    def _arms(self) -> NDArray[np.bool_]:
        column = self.column("arm")
        arms = column.choices(_ARMS, "stable or candidate")
        if np.isnan(arms).any():
            raise column.refusal(int(np.argmax(np.isnan(arms))), "stable or candidate")
        return np.asarray(arms == 1)


@dataclass(slots=True, eq=False)
class _StageLabels:
    """What stages the texts met so far stand for; there are few, so each is looked up once."""

    names: StageNames
    known: dict[tuple[str | None, str | None], Stage | None] = field(default_factory=dict)

    def cut(self, batch: _Batch) -> Iterator[Rows]:
        """A batch's rows, split wherever the stage changes."""
        rows = batch.rows()
        named, names = self._labels(batch, "stage")
        weighed, weights = self._labels(batch, "weight_percent")
        changes = np.flatnonzero((np.diff(named) != 0) | (np.diff(weighed) != 0)) + 1
        edges = [0, *changes.tolist(), len(rows)] if len(rows) else [0]
        for start, end in pairwise(edges):
            stage = self._find(batch, start, names[int(named[start])], weights[int(weighed[start])])
            yield replace(rows.part(start, end), stage=stage)

    def _labels(self, batch: _Batch, name: str) -> tuple[NDArray[np.int64], list[str | None]]:
        if name not in batch.batch.schema.names:
            return np.zeros(batch.batch.num_rows, dtype=np.int64), [None]
        return batch.column(name).labels()

    def _find(self, batch: _Batch, position: int, name: str | None, weight: str | None) -> Stage | None:
        if (name, weight) not in self.known:
            try:
                self.known[name, weight] = self.names.find(name, weight)
            except UnknownStageError as error:
                raise self._refusal(batch, position, name, str(error)) from error
        return self.known[name, weight]

    def _refusal(self, batch: _Batch, position: int, name: str | None, expected: str) -> SamplesError:
        blamed = "stage" if name is not None and not self._is_known(name) else "weight_percent"
        present = blamed if blamed in batch.batch.schema.names else "stage"
        return batch.column(present).refusal(position, expected)

    def _is_known(self, name: str) -> bool:
        try:
            self.names.by_name(name)
        except UnknownStageError:
            return False
        return True
