"""The table of a run: medians over its rounds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.gateway.load import Load

_QUANTILES = ("p50_ms", "p99_ms")


@dataclass(frozen=True, slots=True)
class Round:
    """One row in one round: at full load, and one request at a time."""

    busy: Load
    alone: Load
    cpu_us: float | None = None
    """CPU time of a request at full load; None for the direct call, and where nothing was answered."""
    peak_mb: float | None = None
    """The most memory so far; None for the direct call."""
    lost: int = 0
    """Idle connections that the gateway closed."""

    @property
    def errors(self) -> int:
        """Answers that weren't good, and connections that were lost."""
        return self.busy.errors + self.alone.errors + self.lost


@dataclass(frozen=True, slots=True)
class Row:
    """One gateway and one case: its rounds beside the direct call's of the same case."""

    name: str
    note: str
    rounds: Sequence[Round]
    direct: Sequence[Round]

    @property
    def is_direct(self) -> bool:
        """Whether it is the direct call itself."""
        return self.rounds is self.direct

    @property
    def cells(self) -> list[str]:
        """What the table says of it."""
        added = ["-", "-"] if self.is_direct else [_milliseconds(self._added(name)) for name in _QUANTILES]
        costs = [one.cpu_us for one in self.rounds if one.cpu_us is not None]
        peaks = [one.peak_mb for one in self.rounds if one.peak_mb is not None]
        return [
            self.name,
            f"{median(one.busy.per_second for one in self.rounds):,.0f}",
            *added,
            f"{median(costs):,.0f}" if costs else "-",
            f"{max(peaks):,.0f}" if peaks else "-",
            f"{sum(one.errors for one in self.rounds):,}",
            self.note,
        ]

    def _added(self, quantile: str) -> float | None:
        """The median of what a round's latency has more than the direct call's; None where a round had no answer."""
        pairs = zip(self.rounds, self.direct, strict=True)
        added = [getattr(own.alone, quantile) - getattr(base.alone, quantile) for own, base in pairs]
        return None if any(map(math.isnan, added)) else median(added)


def table(rows: Sequence[Row], missing: Mapping[str, str], *, streams: bool = False) -> str:
    """Markdown: what was measured, then what wasn't and why, then what the direct call took."""
    rate, unit, latency = ("streams/s", "stream", "first event, ") if streams else ("req/s", "request", "")
    heads = ["gateway", f"{rate} at 32", f"{latency}added p50 ms", f"{latency}added p99 ms"]
    heads += [f"CPU us/{unit}", "peak MB", "errors", ""]
    lines = [_line(heads), "|---|" + "---:|" * 6 + "---|"]
    lines += [_line(row.cells) for row in rows]
    lines += [_line([name, "not available", "", "", "", "", "", why]) for name, why in missing.items()]
    return "\n".join([*lines, "", *(_base(row) for row in rows if row.is_direct)])


def _base(row: Row) -> str:
    p50, p99 = (median(getattr(one.alone, name) for one in row.rounds) for name in _QUANTILES)
    return f"{row.name[0].upper()}{row.name[1:]}, one at a time: p50 {p50:.3f} ms, p99 {p99:.3f} ms."


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("  ", " ")


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
