"""Files of recorded requests, opened and read in stretches: CSV, also compressed with gzip, and Parquet."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from softlaunch.core.documents import DocumentError, check_regular
from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.replay.columns import MISSING
from softlaunch.forecast.replay.rows import SamplesError
from softlaunch.policy.gating import Adjustment

METRICS = {metric.entry.column: metric for metric in Metric if metric.entry.column is not None}
"""Columns that hold a metric; each may be missing."""
COVARIATES = {"request_size": Adjustment.REQUEST_SIZE, "streamed": Adjustment.STREAMED}
"""Columns of what was known before an arm answered; each may be missing, and is read only where a gate asks for it."""
_STAGES = ("stage", "weight_percent")
_LIKE = 0.75  # of 1, how alike a misspelled name is
_BLOCK_BYTES = 4 << 20
_BATCH_ROWS = 1 << 16
_SUFFIXES = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet", ".pq": "parquet"}


@dataclass(frozen=True, slots=True)
class SampleFile:
    """A file of recorded requests whose columns are known to be sound; `covariates` are those that are read.

    `unknown` are what gates are adjusted for all the same, and the file can't tell.
    """

    path: Path
    columns: tuple[str, ...]
    covariates: Mapping[str, Adjustment] = field(default_factory=dict)
    unknown: tuple[Adjustment, ...] = ()
    meanings: Mapping[str, Metric] = field(default_factory=lambda: METRICS)

    @classmethod
    def at(cls, path: Path, adjust_for: Collection[Adjustment] = (), declared: Collection[Metric] = ()) -> "SampleFile":
        """The file at a path, for gates that are adjusted so; what a policy has `declared` has a column of its name.

        Raises SamplesError where it can't be read, or lacks or misspells a column.
        """
        try:
            check_regular(path)
        except DocumentError as error:
            said = str(error).replace("No such file or directory", "there is no such file")
            raise SamplesError(said) from error
        meanings = {**METRICS, **{metric.value: metric for metric in declared}}
        columns = _checked(path, _columns(path, meanings), meanings)
        asked = {name: meant for name, meant in COVARIATES.items() if name in columns and meant in adjust_for}
        unknown = tuple(one for one in Adjustment if one in {*adjust_for} - {*asked.values()})
        return cls(path, columns, asked, unknown, meanings)

    @property
    def notes(self) -> tuple[str, ...]:
        """What gates ask of a file that it can't tell, in sentences without their ends."""
        return tuple(
            "what the same users did before the release isn't in the file, so gates weren't adjusted for own_past"
            if one is Adjustment.OWN_PAST
            else f"there is no column {one}, so gates weren't adjusted for it"
            for one in self.unknown
        )

    @property
    def ignored(self) -> tuple[str, ...]:
        """Columns that mean nothing here."""
        return tuple(name for name in self.columns if name not in _known(self.meanings) and name not in self.covariates)

    @property
    def metrics(self) -> frozenset[Metric]:
        """What the file has a column for."""
        return frozenset(self.meanings[name] for name in self.columns if name in self.meanings)

    @property
    def stage_columns(self) -> tuple[str, ...]:
        """Which of `stage` and `weight_percent` it has."""
        return tuple(name for name in _STAGES if name in self.columns)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows in the file's order, some ten thousand at a time. Raises SamplesError."""
        try:
            if _kind(self.path) == "parquet":
                with parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20) as opened:
                    yield from opened.iter_batches(_BATCH_ROWS)
            else:
                with _open_csv(self.path, self.meanings) as reader:
                    yield from reader
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _unreadable(self.path, error) from error


def _kind(path: Path) -> str:
    for suffix, kind in _SUFFIXES.items():
        if path.name.lower().endswith(suffix):
            return kind
    raise SamplesError(f"{path}: expected a file whose name ends in {', '.join(_SUFFIXES)}")


def _columns(path: Path, meanings: Mapping[str, Metric]) -> tuple[str, ...]:
    try:
        if _kind(path) == "parquet":
            return tuple(parquet.read_schema(path).names)
        with _open_csv(path, meanings) as reader:
            return tuple(reader.schema.names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _known(meanings: Mapping[str, Metric]) -> tuple[str, ...]:
    """All columns that mean something, where these hold a metric."""
    return ("ts", "arm", "unit", *meanings, *_STAGES)


def _checked(path: Path, found: tuple[str, ...], meanings: Mapping[str, Metric]) -> tuple[str, ...]:
    known = _known(meanings)
    for name in found:
        meant = [] if name in known else get_close_matches(name.lower(), set(known) - set(found), 1, _LIKE)
        if meant:
            raise SamplesError(f"{path}: unknown column {name!r}; is it {meant[0]}? Known are {', '.join(known)}")
        if found.count(name) > 1:
            raise SamplesError(f"{path}: column {name} is there twice; keep one")
    for name in ("ts", "arm"):
        if name not in found:
            raise SamplesError(f"{path}: there is no column {name}; every row needs one. Found: {', '.join(found)}")
    return found


def _open_csv(path: Path, meanings: Mapping[str, Metric]) -> csv.CSVStreamingReader:
    """A reader of texts: what they mean is decided where the row and column can be named."""
    return csv.open_csv(
        path,
        read_options=csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),  # threads lose count of the rows
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys((*_known(meanings), *COVARIATES), pa.string()),
            null_values=MISSING,
            strings_can_be_null=True,
        ),
    )


def _unreadable(path: Path, error: Exception) -> SamplesError:
    if isinstance(error, UnicodeDecodeError):
        return SamplesError(f"{path} can't be read: a column's name is not UTF-8 text; save the file as UTF-8")
    if "Empty CSV" in str(error):
        return SamplesError(f"{path} is empty; expected a header and a row for each request")
    return SamplesError(f"{path} can't be read: {error}")
