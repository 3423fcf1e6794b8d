"""What a look at a stage learns from a source that counts requests by arm."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from softlaunch.core.arms import NONE_COUNTED, ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.telemetry import Scope, TelemetryError
from softlaunch.policy.release import StageKind
from softlaunch.policy.sources import SourcesPolicy
from softlaunch.telemetry.sources.counts import Pieces
from softlaunch.telemetry.sources.resolution import too_coarse
from softlaunch.telemetry.sources.source import Counted, CountSource

EVIDENCE = "counted"
"""The part of a stage's evidence that belongs to metrics which are counted elsewhere."""
HISTORY_SECONDS = 1800.0
"""How much of stable's past is read to know its usual values, and how far apart its pieces are."""


@dataclass(slots=True)
class CountedMetric:
    """One metric in a stage: `until` is up to where it was read, and `pieces` is None before anything was counted.

    `problem` says why the last look learnt nothing, and `lost_seconds` how much of the stage is in no piece.
    """

    until: float
    pieces: Pieces | None = None
    lost_seconds: float = 0.0
    problem: str = ""

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        held = self.pieces and self.pieces.dump()
        return {"until": self.until, "pieces": held, "lost": self.lost_seconds, "problem": self.problem}

    @classmethod
    def load(cls, metric: Metric, group: int, state: Mapping[str, Any]) -> Self:
        """What was dumped."""
        pieces = state["pieces"] and Pieces.load(metric, group, state["pieces"])
        return cls(state["until"], pieces, state["lost"], state["problem"])

    @property
    def requests(self) -> ByArm[int]:
        """How many requests of each arm the stage has had."""
        return NONE_COUNTED if self.pieces is None or self.pieces.seen is None else self.pieces.seen.requests


@dataclass(frozen=True, slots=True)
class CountedLook:
    """What a look learnt: the metrics' states, and why some can't be judged now.

    `is_fresh` says whether anything could be read of any of them.
    """

    metrics: Mapping[Metric, CountedMetric] = field(default_factory=dict)
    blockers: Mapping[Metric, str] = field(default_factory=dict)

    @property
    def is_fresh(self) -> bool:
        """Whether any metric could be read."""
        return any(not one.problem for one in self.metrics.values())

    @property
    def requests(self) -> ByArm[int]:
        """How many requests of each arm the stage has had, by the metric that counts the most."""
        counted = [one.requests for one in self.metrics.values()]
        return max(counted, key=lambda one: one.candidate + one.stable, default=NONE_COUNTED)

    @property
    def problem(self) -> str:
        """Why nothing could be read, in words."""
        return "; ".join(dict.fromkeys(one.problem for one in self.metrics.values() if one.problem))

    def dump(self) -> dict[str, Any]:
        """The states as JSON values."""
        return {metric.value: one.dump() for metric, one in self.metrics.items()}


@dataclass(frozen=True, slots=True)
class CountWatch:
    """Feeds gates from the source that a policy declares, which `open_source` opens."""

    open_source: Callable[[SourcesPolicy], CountSource | None]

    def look(
        self, scope: Scope, sources: SourcesPolicy, gates: GateSet, held: Mapping[str, Any], now: float
    ) -> CountedLook:
        """Fold in what was counted since the last look. A source that is away costs its own gates their passes alone.

        `held` is the part of the evidence that belongs to it; a stage that has none begins with stable's past.
        """
        source = self.open_source(sources)
        shadow, everybody = scope.stage.kind is StageKind.SHADOW, scope.stage.weight_percent == 100
        arms = sources.arms(shadow=shadow, everybody=everybody)
        if source is None or arms is None:
            return CountedLook()
        metrics, blockers = {}, {}
        for metric in source.metrics:
            known = held.get(metric.value)
            one = CountedMetric.load(metric, source.group, known) if known else CountedMetric(scope.began)
            metrics[metric] = one
            try:
                if not known:
                    _begin(source, metric, one, arms, gates)
                _read_on(source, metric, one, arms, gates, (scope.began, now))
            except TelemetryError as error:
                one.problem = str(error)
            coarse = too_coarse(metric, one.pieces) if one.pieces else ""
            if one.problem or coarse:
                blockers[metric] = one.problem or coarse
        return CountedLook(metrics, blockers)


def _begin(source: CountSource, metric: Metric, one: CountedMetric, arms: ByArm[str], gates: GateSet) -> None:
    """Learn stable's past, if there is any."""
    since = one.until - HISTORY_SECONDS
    past = source.read(metric, arms, since, since, one.until)
    if past.buckets is not None:
        one.pieces = Pieces(metric, past.buckets, source.group)
        gates.learn_usual(metric, one.pieces.learn(past.pieces))


def _read_on(
    source: CountSource,
    metric: Metric,
    one: CountedMetric,
    arms: ByArm[str],
    gates: GateSet,
    between: tuple[float, float],
) -> None:
    since, now = between
    counted = source.read(metric, arms, since, one.until, now)
    one.problem = counted.problem or _changed(one, counted)
    if one.problem or counted.buckets is None:
        return
    one.pieces = one.pieces or Pieces(metric, counted.buckets, source.group)
    one.until, one.lost_seconds = counted.until, one.lost_seconds + counted.lost_seconds
    for piece in counted.pieces:
        gates.count(one.pieces.take(piece), one.pieces.events(piece))


def _changed(one: CountedMetric, counted: Counted) -> str:
    """Why counts can't be added to those of before, in words; empty where they can."""
    if one.pieces is None or counted.buckets is None or one.pieces.buckets.equals(counted.buckets):
        return ""
    return "the histogram's buckets have changed within the stage; start the release again"
