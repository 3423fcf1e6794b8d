"""Counts of requests by arm from counters and histograms that Prometheus holds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Floats, Units
from softlaunch.policy.sources import PrometheusMetric, PrometheusPolicy
from softlaunch.telemetry.prometheus.client import PrometheusClient, Series
from softlaunch.telemetry.prometheus.increases import Increase, increases, newest_by_target, unseen_seconds
from softlaunch.telemetry.sources.counts import Buckets, Piece
from softlaunch.telemetry.sources.source import Counted

_MOST_SECONDS = 1800.0
"""How much is read at once by a driver that catches up."""
_ODD_PART, _ODD_NUMBER = 0.05, 5


@dataclass(frozen=True, slots=True)
class PrometheusSource:
    """A Prometheus server, as a policy declares it."""

    policy: PrometheusPolicy
    client: PrometheusClient

    @classmethod
    def of(cls, policy: PrometheusPolicy) -> Self:
        """The source that a policy declares."""
        return cls(policy, PrometheusClient(str(policy.url), policy.token_env))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What it counts."""
        return tuple(one.metric for one in self.policy.metrics)

    @property
    def group(self) -> int:
        """How many requests one user makes in a stage, about."""
        return self.policy.group

    def read(self, metric: Metric, arms: ByArm[str], since: float, after: float, now: float) -> Counted:
        """What every instance counted, up to where all that are alive were scraped, in pieces of the policy's length.

        Raises TelemetryError where Prometheus doesn't answer.
        """
        declared = next(one for one in self.policy.metrics if one.metric == metric)
        gap = self.policy.stale_after
        newest = min(now, after + _MOST_SECONDS + gap)
        by_selector = {one: self.client.samples(one, after - gap, newest) for one in declared.selectors}
        every = [series for found in by_selector.values() for series in found]
        problem = self._missing(by_selector, arms, now)
        if problem:
            return Counted(after, problem=problem)
        until = self._complete_until(every, now) if newest == now else after + _MOST_SECONDS
        until = math.floor(until / self.policy.interval) * self.policy.interval
        if until <= after:
            return Counted(after)
        grown = increases(every, since, gap)
        sheet = _Sheet(self.policy, arms, after, until, grown)
        counted = _histogram(declared, sheet) if declared.histogram else _shares(declared, sheet, by_selector)
        if isinstance(counted, str):
            return Counted(after, problem=counted)
        return Counted(until, *counted, lost_seconds=unseen_seconds(every, (after, until), gap))

    def _complete_until(self, found: Sequence[Series], now: float) -> float:
        """Up to where every instance that is alive was scraped."""
        newest = newest_by_target(found).values()
        return min(at for at in newest if now - at <= self.policy.stale_after)

    def _missing(self, by_selector: Mapping[str, Sequence[Series]], arms: ByArm[str], now: float) -> str:
        """What can't be read although Prometheus answers, in words; empty where all is there."""
        main = next(iter(by_selector))
        found, label = by_selector[main], self.policy.arm_label
        if not found:
            return f"Prometheus has no sample of {main} since {self.policy.stale_after:g} s before the last reading"
        latest = max(newest_by_target([one for some in by_selector.values() for one in some]).values())
        if now - latest > self.policy.stale_after and now - latest <= _MOST_SECONDS:
            return f"the newest sample of {main} is {now - latest:.0f} s old: Prometheus doesn't reach the app"
        known = sorted({series.labels[label] for series in found if label in series.labels})
        if arms.stable not in known:
            there = ", ".join(known) or "none"
            return f'no series of {main} has {label}="{arms.stable}"; its values are: {there}'
        return ""


@dataclass(frozen=True, slots=True, eq=False)
class _Sheet:
    """Increases between two moments, to be summed by piece and arm."""

    policy: PrometheusPolicy
    arms: ByArm[str]
    after: float
    until: float
    grown: Sequence[Increase]

    def by_piece(self, wanted: set[int], arm: str) -> Floats:
        """How much the wanted series of an arm grew, summed by piece; shape (pieces,)."""
        interval = self.policy.interval
        first = math.floor(self.after / interval)
        sums = np.zeros(max(round(self.until / interval) - first, 0))
        for increase in self.grown:
            if id(increase.series) not in wanted or increase.series.labels.get(self.policy.arm_label) != arm:
                continue
            inside = (increase.at > self.after) & (increase.at <= self.until)
            piece = np.ceil(increase.at[inside] / interval).astype(np.int64) - first - 1
            np.add.at(sums, piece, increase.amount[inside])
        return sums

    def pieces(self, candidate: Floats, stable: Floats) -> tuple[Piece, ...]:
        """Pieces of counts by value, both of shape (values, pieces); those in which nothing happened are left out."""
        interval = self.policy.interval
        first = math.floor(self.after / interval)
        return tuple(
            Piece((first + 1 + place) * interval, ByArm(_counts(candidate[:, place]), _counts(stable[:, place])))
            for place in range(candidate.shape[1])
            if candidate[:, place].any() or stable[:, place].any()
        )


def _counts(amounts: Floats) -> Units:
    return np.asarray(np.rint(np.maximum(amounts, 0.0)), np.int64)


def _shares(
    declared: PrometheusMetric, sheet: _Sheet, by_selector: Mapping[str, Sequence[Series]]
) -> tuple[Buckets, tuple[Piece, ...]] | str:
    """Requests by whether it happened; in words why not, where counters contradict each other."""
    one_kind = declared.bad or declared.good or ""
    of_total, of_kind = ({id(series) for series in by_selector[name]} for name in (declared.total or "", one_kind))
    tables = []
    for arm in (sheet.arms.candidate, sheet.arms.stable):
        total, some = sheet.by_piece(of_total, arm), sheet.by_piece(of_kind, arm)
        odd = float(np.maximum(some - total, 0.0).sum())
        if odd > max(_ODD_NUMBER, _ODD_PART * float(total.sum())):
            return (
                f"{one_kind} counts {odd:.0f} requests of {arm} that {declared.total} doesn't: it must be a part of it"
            )
        happens, is_bad = np.minimum(some, total), declared.bad is not None
        ones = happens if is_bad != declared.metric.higher_is_better else total - happens
        tables.append(np.stack([total - ones, ones]))
    return Buckets.of_shares(), sheet.pieces(*tables)


def _histogram(declared: PrometheusMetric, sheet: _Sheet) -> tuple[Buckets, tuple[Piece, ...]] | str:
    """Requests by bucket; in words why not, where instances have different buckets."""
    by_bound: dict[float, set[int]] = {}
    bounds_of: dict[tuple[tuple[str, str], ...], set[float]] = {}
    for series in (increase.series for increase in sheet.grown):
        bound = float(series.labels.get("le", "nan"))
        by_bound.setdefault(bound, set()).add(id(series))
        others = tuple(sorted((name, value) for name, value in series.labels.items() if name != "le"))
        bounds_of.setdefault(others, set()).add(bound)
    bounds = sorted(by_bound)
    if not math.isinf(bounds[-1]) or bounds[0] <= 0 or len(bounds) < 2:
        return f"{declared.histogram} is no histogram of amounts: its label le must have bounds above zero and +Inf"
    if any(len(one) != len(bounds) for one in bounds_of.values()):
        return f"the instances of {declared.histogram} have different buckets; give all the same"
    tables = []
    for arm in (sheet.arms.candidate, sheet.arms.stable):
        up_to = np.stack([sheet.by_piece(by_bound[bound], arm) for bound in bounds])
        tables.append(np.diff(up_to, axis=0, prepend=0.0))
    return Buckets.of_bounds([declared.scale * bound for bound in bounds]), sheet.pieces(*tables)
