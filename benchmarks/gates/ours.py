"""Softlaunch's own judge, as a release uses it."""

from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar

from benchmarks.gates import model
from benchmarks.gates.judges import Decision
from benchmarks.gates.model import Gating
from benchmarks.gates.traffic import Look
from softlaunch.core.live_metrics import Metric
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.core.verdict import Outcome, Role
from softlaunch.gates.gate_set import GateSet
from softlaunch.gates.observations import Window
from softlaunch.policy.evals import EvalPolicy
from softlaunch.policy.gating import GatePolicy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import plan
from softlaunch.policy.stages import StagePolicy

_MINIMUM_REQUESTS = 20
_NO_DEADLINE = 365 * 86_400.0


def _gate(metric: Metric, margin: str, role: Role = Role.REQUIRED, predicted_by: Metric | None = None) -> GatePolicy:
    kind = MarginKind.RELATIVE if margin.endswith("%") else MarginKind.POINTS
    amount = Margin(kind, float(margin.split(maxsplit=1)[0]) / 100)
    return GatePolicy(metric=metric, margin=amount, role=role, predicted_by=predicted_by)


_ERRORS = _gate(Metric.ERRORS, "1 point")
_MEASURED = (_ERRORS, _gate(Metric.LATENCY, "10 %"), _gate(Metric.COST, "10 %"))
_GATES = {
    Gating.USUAL: (
        *_MEASURED,
        _gate(Metric.QUALITY, "2 points"),
        _gate(Metric.SATISFACTION, "4 points", Role.GUARD),
    ),
    Gating.RATED: (_ERRORS, _gate(Metric.SATISFACTION, "4 points")),
    Gating.PREDICTED: (_ERRORS, _gate(Metric.SATISFACTION, "4 points", predicted_by=Metric.QUALITY)),
    Gating.JUDGED: (
        *_MEASURED,
        _gate(Metric.QUALITY, "2 points"),
        _gate(Metric.HALLUCINATION, "2 points"),
        _gate(Metric.REFUSED, "1 point"),
    ),
}
_USUALLY = 5
"""Gates that divide the budget of 1 %: where there are fewer, for speed, there is less of it, and as much for each."""


@cache
def policy(stages: tuple[model.Stage, ...], gating: Gating = Gating.USUAL) -> Policy:
    """The policy of a release through these stages."""
    return Policy(
        app="app",
        eval=EvalPolicy(golden_set="golden.jsonl"),
        shadow=None,
        stages=tuple(
            StagePolicy(
                weight_percent=100 * stage.share,
                minimum_requests=_MINIMUM_REQUESTS,
                minimum_time=stage.minimum_seconds,
                deadline=stage.deadline_seconds or _NO_DEADLINE,
                deadline_requests=None if stage.full else stage.deadline,
                deadline_units=None if stage.full else stage.deadline_units,
            )
            for stage in stages
        ),
        gates=(
            *_GATES[gating],
            _gate(Metric.UNUSABLE, "1 point", Role.MUTED),  # the simulated answers are all usable
        ),
        alpha=0.01 * min(1.0, len(_GATES[gating]) / _USUALLY),
        confidence=0.95,
        control_percent=100 * model.MIRRORED,
    )


@dataclass(slots=True)
class Softlaunch:
    """The panel of gates, looked at after every window."""

    policy: Policy
    history: Window
    at_intervals: ClassVar[bool] = False
    blamed: str | None = None
    panel: GateSet | None = None
    _requests: list[int] = field(default_factory=lambda: [0, 0])

    def look(self, seen: Look) -> Decision:
        """A gate that fails ends the release; all required ones together let the stage pass."""
        if seen.first or self.panel is None:
            stage = plan(self.policy)[seen.stage.position]
            self.panel, self._requests = GateSet.begin(self.policy, stage, self.history), [0, 0]
        self.panel.update(seen.window)
        arms = (seen.window.candidate, seen.window.stable) if seen.stage.full else (seen.shown, seen.stable)
        for place, arm in enumerate(arms):
            self._requests[place] += len(arm[Metric.ERRORS])
        verdicts = [verdict for verdict in self.panel.verdicts() if verdict.role is not Role.MUTED]
        failed = next((verdict for verdict in verdicts if verdict.outcome is Outcome.FAIL), None)
        if failed is not None:
            self.blamed = failed.gate
            return Decision.ROLLBACK
        required = [verdict for verdict in verdicts if verdict.role is Role.REQUIRED]
        passed = required and all(verdict.outcome is Outcome.PASS for verdict in required)
        return Decision.PASS if passed and min(self._requests) >= _MINIMUM_REQUESTS else Decision.CONTINUE
