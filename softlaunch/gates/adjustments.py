"""What gates on magnitudes are adjusted for: what was asked, and then what is left of each unit's own past."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.covariates import COVARIATES, Regression, covariates_of
from softlaunch.gates.observations import Events, Window
from softlaunch.gates.own_past import Baselines, learn_before
from softlaunch.policy.gating import Adjustment, GatePolicy


@dataclass(frozen=True, slots=True, eq=False)
class Adjustments:
    """What was learnt for the gates that are adjusted, from stable's past: nothing where none is.

    `regressions` is what covariates say of a metric, and `baselines` are units' own of what that leaves. They are fixed
    for a whole release, before any arm was drawn.
    """

    regressions: Mapping[Metric, Regression] = field(default_factory=dict)
    baselines: Baselines = field(default_factory=Baselines)

    @classmethod
    def learn(cls, gates: Sequence[GatePolicy], past: Events) -> Self:
        """From everything that stable answered before the release."""
        regressions = {gate.metric: found for gate in gates if (found := _regression(gate, past)) is not None}
        adjusted = cls(regressions)
        metrics = _with_own_past(gates)
        return cls(regressions, Baselines.learn(metrics, adjusted.of(past))) if metrics else adjusted

    def for_history(self, gates: Sequence[GatePolicy], past: Events, began: float) -> Self:
        """The adjustments of a history that is part of the past and began at a moment (epoch seconds).

        No visit is held against itself; of what a few slopes say, one is hardly a part.
        """
        metrics = _with_own_past(gates)
        if not metrics:
            return self
        return replace(self, baselines=learn_before(metrics, type(self)(self.regressions).of(past), began))

    def adjust(self, window: Window) -> Window:
        """The same window with requests whose magnitudes are adjusted; ratings and counts stay as they are."""
        if window.requests is None or not self.regressions:
            return self.baselines.adjust(window)
        return self.baselines.adjust(replace(window, requests=self.of(window.requests)))

    def of(self, events: Events) -> Events:
        """Events whose magnitudes are divided by what covariates foretell."""
        if not self.regressions:
            return events
        divided = {
            metric: regression.divide(events.values[metric], events.covariates)
            for metric, regression in self.regressions.items()
            if metric in events.values
        }
        return replace(events, values={**events.values, **divided})


def _regression(gate: GatePolicy, past: Events) -> Regression | None:
    """What covariates foretell of a gate's metric; None where it isn't adjusted for any, or the past doesn't tell."""
    asked = tuple(name for name in COVARIATES if name in gate.adjust_for)
    if not asked or gate.metric not in past.values:
        return None
    return Regression.learn(past.values[gate.metric], covariates_of(past, asked))


def _with_own_past(gates: Sequence[GatePolicy]) -> tuple[Metric, ...]:
    return tuple(gate.metric for gate in gates if Adjustment.OWN_PAST in gate.adjust_for)
