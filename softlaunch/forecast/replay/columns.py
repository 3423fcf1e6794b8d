"""Columns of a file of samples: text or typed values become arrays, and the first value that can't is named."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from softlaunch.forecast.replay.rows import Flags, SamplesError
from softlaunch.gates.observations import Floats, Units

MISSING = ("", "nan", "NaN", "NAN", "null", "NULL", "None", "none", "NA", "N/A", "<NA>")
"""Texts that stand for a value that is missing."""
_LATEST = 1e11  # the year 5138 in seconds; milliseconds of any time since 1973 are above
_TIME = "epoch seconds or ISO 8601, such as 1772366400.5 or 2026-03-01T12:00:00Z"
_ZONED = r"\d\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)$"

Convert = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column of consecutive rows, the first of which has the number `first`."""

    source: str
    first: int
    name: str
    array: pa.Array

    @classmethod
    def of(cls, source: str, first: int, name: str, column: pa.Array) -> "Column":
        """A column without dictionaries; what is missing is null."""
        array = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
            array = array.cast(pa.string())
        if pa.types.is_string(array.type):
            empty = pc.is_in(array, value_set=pa.array(MISSING))
            array = pc.if_else(empty, pa.scalar(None, pa.string()), array)
        elif pa.types.is_floating(array.type):
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
        return cls(source, first, name, array)

    def refusal(self, position: int, expected: str) -> SamplesError:
        """The error about the value at a position."""
        value = self.array[position].as_py()
        shown = "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)
        place = f"{self.source}, row {self.first + position}, column {self.name}"
        return SamplesError(f"{place}: it is {shown}; expected {expected}")

    def numbers(self, low: float, high: float, expected: str) -> Floats:
        """Finite values in [low, high], NaN where missing. Raises SamplesError."""
        column = self._converted(_as_numbers, expected)
        values = _floats(column.array)
        bad = (values < low) | (values > high) | np.isinf(values)
        if bad.any():
            raise self.refusal(int(np.argmax(bad)), expected)
        return values

    def seconds(self) -> Floats:
        """Seconds since 1970; a time without a zone is UTC. Raises SamplesError, also where one is missing."""
        column = self._converted(_as_seconds, _TIME)
        values = _floats(column.array)
        bad = ~np.isfinite(values)
        if bad.any():
            raise self.refusal(int(np.argmax(bad)), _TIME)
        if (values > _LATEST).any():
            raise self.refusal(int(np.argmax(values > _LATEST)), f"{_TIME}; this looks like milliseconds")
        return values

    def choices(self, meanings: Mapping[str, float], expected: str) -> Floats:
        """What each of a few texts means, NaN where missing; case doesn't matter. Raises SamplesError."""
        encoded = self.array.dictionary_encode()
        known = [meanings.get(_plain(value)) for value in encoded.dictionary.to_pylist()]
        codes = _codes(encoded)
        unknown = [code for code, meaning in enumerate(known) if meaning is None]
        if unknown:
            raise self.refusal(int(np.argmax(np.isin(codes, unknown))), expected)
        table = np.array([*(np.nan if meaning is None else meaning for meaning in known), np.nan])
        return np.asarray(table[codes])

    def labels(self) -> tuple[NDArray[np.int64], list[str | None]]:
        """Which of the distinct texts each row has, shape (n,), and these; None stands for missing."""
        encoded = self.array.dictionary_encode()
        return _codes(encoded), [*map(_plain, encoded.dictionary.to_pylist()), None]

    def pseudonyms(self) -> tuple[Units, Flags]:
        """A number for each unit, the same in every file and run, and whether it was named; others get zero."""
        encoded = self.array.dictionary_encode()
        texts = np.array([str(value) for value in encoded.dictionary.cast(pa.string()).to_pylist()], dtype=object)
        hashed = pd.util.hash_array(texts, categorize=False).view(np.int64)
        codes = _codes(encoded)
        return np.append(hashed, 0)[codes], np.asarray(codes < len(hashed))

    def _converted(self, convert: Convert, expected: str) -> "Column":
        """The column with its values converted. Raises SamplesError for the first that can't be."""
        try:
            return Column(self.source, self.first, self.name, convert(self.array))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            if not len(self.array) or isinstance(error, pa.ArrowNotImplementedError):
                where = f"{self.source}, column {self.name}"
                raise SamplesError(f"{where}: its type is {self.array.type}; expected {expected}") from error
            raise self.refusal(_first_failure(self.array, convert), expected) from error


def _as_numbers(array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.float64())
    except pa.ArrowInvalid:
        if not pa.types.is_string(array.type):
            return array.cast(pa.float64(), safe=False)  # integers beyond 2^53 lose digits that nobody needs
        return pc.utf8_trim_whitespace(array).cast(pa.float64())


def _as_seconds(array: pa.Array) -> pa.Array:
    """Seconds as float64: a double holds microseconds of our time, not nanoseconds."""
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        return _since_1970(array.cast(pa.timestamp("us", getattr(array.type, "tz", None)), safe=False))
    if not pa.types.is_string(array.type):
        return _as_numbers(array)
    try:
        return array.cast(pa.float64())
    except pa.ArrowInvalid:
        plain = pc.utf8_trim_whitespace(array)
        zoned = pc.match_substring_regex(plain, _ZONED)
        nothing = pa.scalar(None, pa.string())
        with_zone = pc.if_else(zoned, plain, nothing).cast(pa.timestamp("ns", "UTC"))
        without = pc.if_else(zoned, nothing, plain).cast(pa.timestamp("ns"))
        return pc.coalesce(_since_1970(with_zone), _since_1970(without))


def _since_1970(times: pa.Array) -> pa.Array:
    scale = {"us": 1e6, "ns": 1e9}[times.type.unit]
    return pc.divide(times.cast(pa.int64()).cast(pa.float64(), safe=False), scale)


def _first_failure(array: pa.Array, convert: Convert) -> int:
    """Position of the first value that can't be converted, by halving."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(array[low:middle])
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _floats(array: pa.Array) -> Floats:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def _codes(encoded: pa.Array) -> NDArray[np.int64]:
    """Index into the dictionary of each row; missing ones point behind its end."""
    return np.asarray(encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False), dtype=np.int64)


def _plain(value: object) -> str:
    """A value as text to compare: `True` is `true`, 1.0 is `1`."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip().lower()
