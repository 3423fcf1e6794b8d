"""How much counters grew between their samples, whatever restarts, appears or falls silent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softlaunch.gates.observations import Floats
from softlaunch.telemetry.prometheus.client import Series

Target = tuple[str, str]


def target_of(series: Series) -> Target:
    """The instance that a series was scraped from; the same for all where a recording rule has dropped it."""
    return series.labels.get("job", ""), series.labels.get("instance", "")


@dataclass(frozen=True, slots=True, eq=False)
class Increase:
    """How much one series grew from each sample to the next: at the later one's time, both of shape (n,)."""

    series: Series
    at: Floats
    amount: Floats


def increases(found: Sequence[Series], since: float, longest_gap: float) -> list[Increase]:
    """How much each series grew from `since` on, in samples no further apart than `longest_gap` seconds.

    A counter that falls was reset, and has counted from zero. So has one that appears where its instance was scraped
    before without it: most counters have no series until something is counted. What an instance held that is itself
    seen for the first time was counted nobody knows when, and isn't taken.
    """
    scraped: dict[Target, list[Floats]] = {}
    for series in found:
        scraped.setdefault(target_of(series), []).append(series.at)
    times = {target: np.unique(np.concatenate(some)) for target, some in scraped.items()}
    return [_increase(series, times[target_of(series)], since, longest_gap) for series in found]


def _increase(series: Series, scraped: Floats, since: float, longest_gap: float) -> Increase:
    """`scraped` are the times at which the series' instance was, ascending."""
    before, began = np.roll(series.values, 1), np.roll(series.at, 1)
    without = scraped[scraped < series.at[0]]
    before[0], began[0] = 0.0, without[-1] if len(without) else -np.inf
    amount = np.where(series.values < before, series.values, series.values - before)
    taken = (began >= since) & (series.at - began <= longest_gap)
    return Increase(series, series.at[taken], amount[taken])


def newest_by_target(found: Sequence[Series]) -> dict[Target, float]:
    """When each instance was scraped last."""
    newest: dict[Target, float] = {}
    for series in found:
        target = target_of(series)
        newest[target] = max(newest.get(target, -np.inf), float(series.at[-1]))
    return newest


def unseen_seconds(found: Sequence[Series], window: tuple[float, float], longest_gap: float) -> float:
    """How much of a window lies in gaps between samples that are longer than this."""
    at = np.unique(np.concatenate([series.at for series in found]))
    began, ended = np.clip(at[:-1], *window), np.clip(at[1:], *window)
    return float((ended - began)[np.diff(at) > longest_gap].sum())
