"""Softlaunch's own judge, as a release uses it."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from benchmarks.gates import model
from benchmarks.gates.judges import Decision
from benchmarks.gates.traffic import Arm, Look
from softlaunch.gates.observations import Observations, Window
from softlaunch.gates.panel import Panel
from softlaunch.policy.model import EvalPolicy, GatePolicy, Metric, Policy, StagePolicy
from softlaunch.policy.units import Margin, MarginKind
from softlaunch.release import plan
from softlaunch.verdict import Outcome, Role

_MINIMUM_REQUESTS = 20


def _gate(metric: Metric, margin: str, role: Role = Role.REQUIRED) -> GatePolicy:
    kind = MarginKind.RELATIVE if margin.endswith("%") else MarginKind.POINTS
    return GatePolicy(metric=metric, margin=Margin(kind, float(margin.split(maxsplit=1)[0]) / 100), role=role)


POLICY = Policy(
    app="app",
    eval=EvalPolicy(golden_set="golden.jsonl"),
    shadow=None,
    stages=tuple(
        StagePolicy(weight_percent=100 * stage.share, minimum_requests=_MINIMUM_REQUESTS) for stage in model.STAGES
    ),
    gates=(
        _gate(Metric.ERRORS, "1 point"),
        _gate(Metric.LATENCY, "10 %"),
        _gate(Metric.COST, "10 %"),
        _gate(Metric.QUALITY, "2 points"),
        _gate(Metric.SATISFACTION, "4 points", Role.GUARD),
        _gate(Metric.UNUSABLE, "1 point", Role.MUTED),  # the simulated answers are all usable
    ),
    alpha=0.01,
    confidence=0.95,
    control_percent=100 * model.MIRRORED,
)


@dataclass(slots=True)
class Once:
    """Lets each unit be evidence once a stage, in the first window that it appears in, as the request log does."""

    met: dict[Metric, set[int]] = field(default_factory=dict)

    def window(self, window: Window, *, split: bool) -> Window:
        """The window without units that were in an earlier one, and how many of the others fell on either arm."""
        arms = self._firsts(window.candidate), self._firsts(window.stable)
        for arm in arms:
            for metric, seen in arm.items():
                self.met.setdefault(metric, set()).update(seen.units.tolist())
        return Window(window.candidate_share, *arms, split=_units(*arms) if split else None)

    def _firsts(self, arm: Arm) -> dict[Metric, Observations]:
        return {metric: _without(seen, self.met.get(metric, set())) for metric, seen in arm.items()}


def _without(seen: Observations, met: set[int]) -> Observations:
    fresh = np.array([unit not in met for unit in seen.units.tolist()], dtype=np.bool_)
    return Observations(seen.units[fresh], seen.values[fresh])


def _units(candidate: Arm, stable: Arm) -> tuple[int, int]:
    return len(np.unique(candidate[Metric.ERRORS].units)), len(np.unique(stable[Metric.ERRORS].units))


@dataclass(slots=True)
class Softlaunch:
    """The panel of gates, looked at after every window."""

    history: Window
    at_intervals: ClassVar[bool] = False
    blamed: str | None = None
    panel: Panel | None = None
    _once: Once = field(default_factory=Once)
    _requests: list[int] = field(default_factory=lambda: [0, 0])

    def look(self, seen: Look) -> Decision:
        """A gate that fails ends the release; all required ones together let the stage pass."""
        if seen.first or self.panel is None:
            stage = plan(POLICY)[seen.stage.position]
            self.panel, self._requests = Panel.begin(POLICY, stage, self.history), [0, 0]
            self._once = Once()
        self.panel.update(self._once.window(seen.window, split=not seen.stage.full))
        for place, arm in enumerate((seen.window.candidate, seen.window.stable)):
            self._requests[place] += len(arm[Metric.ERRORS])
        verdicts = [verdict for verdict in self.panel.verdicts() if verdict.role is not Role.MUTED]
        failed = next((verdict for verdict in verdicts if verdict.outcome is Outcome.FAIL), None)
        if failed is not None:
            self.blamed = failed.gate
            return Decision.ROLLBACK
        required = [verdict for verdict in verdicts if verdict.role is Role.REQUIRED]
        passed = required and all(verdict.outcome is Outcome.PASS for verdict in required)
        return Decision.PASS if passed and min(self._requests) >= _MINIMUM_REQUESTS else Decision.CONTINUE
