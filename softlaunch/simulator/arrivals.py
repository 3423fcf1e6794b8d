"""When requests arrive: gaps between arrivals shaped like those of a real service, or replayed from a trace."""

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from softlaunch.core.documents import LONGEST_RECORDING, DocumentError, read_text, table_rows
from softlaunch.core.errors import SoftlaunchError

_BURSTINESS = 0.6
"""Shape of the gamma distribution of gaps. 1 would be a Poisson process; production traces of language models are
burstier (BurstGPT, arXiv:2401.17644, fits gamma-distributed gaps)."""
_SWING = 0.3  # the rate moves up and down by this share ...
_PERIODS_S = (60.0, 17.0)  # ... in two overlaid waves, a minute standing for the slow change of a day
_MEAN_FOUND_IN = 2  # a trace needs at least two arrivals to have a gap


class ArrivalsError(SoftlaunchError):
    """A trace of arrivals that can't be used; the message names file and row."""


def shaped_gaps(rate_rps: float, rng: random.Random) -> Iterator[float]:
    """Endless gaps in seconds, bursty and slowly modulated, `rate_rps` arrivals a second on average."""
    now = 0.0
    while True:
        swing = sum(math.sin(2 * math.pi * now / period) for period in _PERIODS_S) / len(_PERIODS_S)
        gap = rng.gammavariate(_BURSTINESS, 1 / _BURSTINESS) / (rate_rps * (1 + _SWING * swing))
        now += gap
        yield gap


def replayed_gaps(recorded: Sequence[float], rate_rps: float | None = None) -> Iterator[float]:
    """Recorded gaps over and over, stretched evenly to `rate_rps` arrivals a second where that is given."""
    total = sum(recorded)
    factor = 1.0 if rate_rps is None else len(recorded) / (rate_rps * total)
    return (gap * factor for gap in itertools.cycle(recorded))


def read_gaps(path: Path) -> tuple[float, ...]:
    """Gaps in seconds between the rows of a trace, in the order of time.

    The trace is CSV with a column TIMESTAMP (as in Azure's LLM inference traces) or `timestamp`: ISO 8601, or seconds.
    """
    try:
        rows = enumerate(table_rows(path, read_text(path, LONGEST_RECORDING)), start=1)
        moments = sorted(_moment(path, number, row) for number, (_, row) in rows)
    except DocumentError as error:
        raise ArrivalsError(f"{error}; give a CSV with a column TIMESTAMP") from error
    gaps = tuple(later - earlier for earlier, later in itertools.pairwise(moments))
    if len(moments) < _MEAN_FOUND_IN or sum(gaps) <= 0:
        raise ArrivalsError(f"{path} has {len(moments)} arrivals with no time between them; a trace needs at least two")
    return gaps


def _moment(path: Path, number: int, row: dict[str, str]) -> float:
    written = row.get("TIMESTAMP") or row.get("timestamp")
    if not written:
        raise ArrivalsError(f"{path}, row {number}: no TIMESTAMP; the columns are {', '.join(map(str, row))}")
    try:
        seconds = _seconds(written)
    except (ValueError, OverflowError, OSError) as error:
        raise ArrivalsError(
            f"{path}, row {number}: TIMESTAMP is {written[:80]!r}, expected ISO 8601 or a number of seconds"
        ) from error
    if not math.isfinite(seconds):
        raise ArrivalsError(f"{path}, row {number}: TIMESTAMP is {written[:80]}, expected a finite number of seconds")
    return seconds


def _seconds(written: str) -> float:
    try:
        return float(written)
    except ValueError:
        return datetime.fromisoformat(written).timestamp()
