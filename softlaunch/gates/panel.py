"""All gates of one stage together: what they share, and what none of them may be blind to."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from softlaunch.gates.gate import Gate, GateRule
from softlaunch.gates.observations import Window
from softlaunch.gates.wealth import split_evidence
from softlaunch.policy.model import COPY_METRICS, RATED_METRICS, Metric, Policy
from softlaunch.release import Stage, StageKind, plan
from softlaunch.verdict import Outcome, Role, Verdict

_TOLERATED_DROPS = 0.01
_SPLIT_ALPHA = 0.001
_LARGEST_LOG = 600.0  # beyond, a float would overflow; nothing is decided there any more


@dataclass(slots=True)
class Panel:
    """The gates of a stage, the evidence that earlier stages left, and what the traffic itself looked like.

    `carried` is, per gate, the sum over earlier stages of weight times e-value. `split` counts the units that fell on
    candidate and stable, where the gateway assigned them; `dropped` counts requests that the log lost. `obstacles` are
    the reasons why a gate can't be judged now, whatever it has seen.
    """

    policy: Policy
    stage: Stage
    gates: tuple[Gate, ...]
    carried: dict[Metric, float] = field(default_factory=dict)
    split: tuple[int, int] = (0, 0)
    dropped: int = 0
    obstacles: Mapping[Metric, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, policy: Policy, stage: Stage, history: Window | None = None, before: Self | None = None) -> Self:
        """Gates without evidence for a stage, knowing stable's traffic from before, after another stage or none."""
        gates = tuple(Gate.begin(rule, history) for rule in rules(policy, stage))
        return cls(policy, stage, gates, {} if before is None else before._left())

    def update(self, window: Window) -> None:
        """Fold one window into every gate."""
        for gate in self.gates:
            gate.update(window)
        if window.split is not None:
            self.split = (self.split[0] + window.split[0], self.split[1] + window.split[1])

    def verdicts(self) -> tuple[Verdict, ...]:
        """One verdict a gate. Traffic that isn't what it should be makes a pass an error, and so does an obstacle."""
        culprit = self._culprit()
        doubt = self._doubt()
        doubts = [doubt or self.obstacles.get(gate.rule.metric) for gate in self.gates]
        verdicts = (gate.judge(culprit=gate is culprit) for gate in self.gates)
        return tuple(_distrust(verdict, why) if why else verdict for verdict, why in zip(verdicts, doubts, strict=True))

    @property
    def log_evidence_of_harm(self) -> float:
        """Log of the release's joint e-value against "no harm in any metric": the mean over gates and stages.

        Each gate's e-process begins anew with a stage, so that harm which only appears under load isn't hidden by good
        evidence from before; a stage that hasn't begun counts one. The mean of e-processes is an e-process, and the
        release is rolled back when it exceeds 1/alpha.
        """
        counting = [gate.metric for gate in self.policy.gates if gate.role is not Role.MUTED]
        return math.log(sum(self._total(metric) for metric in counting) / max(1, len(counting)))

    def _total(self, metric: Metric) -> float:
        """Weighted e-values of one gate over the stages: up to this one, and one each for those to come."""
        weights = stage_weights(self.policy, self.stage)
        to_come = 1.0 - sum(weight for position, weight in weights.items() if position <= self.stage.position)
        return self._reached(metric) + max(0.0, to_come)

    def _reached(self, metric: Metric) -> float:
        """Weighted e-values of one gate up to this stage; one for each stage in which it wasn't judged."""
        weights = stage_weights(self.policy, self.stage)
        e_value = next((_e_value(gate) for gate in self.gates if gate.rule.metric is metric), 1.0)
        unseen = sum(weight for position, weight in weights.items() if position < self.stage.position)
        return self.carried.get(metric, unseen) + weights[self.stage.position] * e_value

    def _culprit(self) -> Gate | None:
        """The gate that adds most to joint evidence of harm, once that is enough."""
        if self.log_evidence_of_harm < -math.log(self.policy.alpha):
            return None
        material = [gate for gate in self.gates if gate.rule.role is not Role.MUTED and gate.is_material]
        return max(material, key=lambda gate: self._total(gate.rule.metric), default=None)

    def _left(self) -> dict[Metric, float]:
        return {gate.metric: self._reached(gate.metric) for gate in self.policy.gates}

    def _doubt(self) -> str | None:
        """Why the traffic can't be trusted, in words; None when it can."""
        logged = max((sum(gate.counts) for gate in self.gates), default=0)
        if self.dropped > _TOLERATED_DROPS * (logged + self.dropped):
            return f"the request log lost {self.dropped} requests in this stage"
        return split_doubt(self.split, self.stage.candidate_share)

    def dump(self) -> dict[str, Any]:
        """The panel's state as JSON values."""
        return {
            "dropped": self.dropped,
            "split": list(self.split),
            "carried": {metric.value: round(total, 9) for metric, total in self.carried.items()},
            "obstacles": {metric.value: why for metric, why in self.obstacles.items()},
            "gates": {gate.rule.metric.value: gate.dump() for gate in self.gates},
        }

    @classmethod
    def load(cls, policy: Policy, stage: Stage, state: Mapping[str, Any]) -> Self:
        """The panel whose state was dumped, under the same policy and stage.

        A gate that the dump doesn't know, because it was written before there was one, begins without evidence.
        """
        held = state["gates"]
        return cls(
            policy,
            stage,
            tuple(
                Gate.load(rule, held[rule.metric.value]) if rule.metric.value in held else Gate.begin(rule)
                for rule in rules(policy, stage)
            ),
            {Metric(metric): total for metric, total in state["carried"].items()},
            (state["split"][0], state["split"][1]),
            state["dropped"],
            {Metric(metric): why for metric, why in state.get("obstacles", {}).items()},
        )


def split_doubt(split: tuple[int, int], share: float) -> str | None:
    """Why units that fell on candidate and stable can't have been split by this share; None when they can."""
    candidate, stable = split
    if split_evidence(candidate, stable, share) < -math.log(_SPLIT_ALPHA):
        return None
    observed = 100 * candidate / (candidate + stable)
    return f"{observed:.3g} % of the users fell on the candidate instead of {100 * share:.3g} %: the split is off"


def _e_value(gate: Gate) -> float:
    """A gate's e-value; harm that is not material counts for nothing, which keeps the mean below an e-process."""
    evidence = gate.log_evidence_of_harm
    return math.exp(min(evidence if gate.is_material else min(evidence, 0.0), _LARGEST_LOG))


def stage_weights(policy: Policy, stage: Stage) -> dict[int, float]:
    """How the false-rollback budget is spread over the stages that look at traffic, by position; adds up to one.

    Earlier canary stages get more, the second half as much as the first, the third a third, and so on: harm is most
    often met at once. The shadow, where nobody is at risk, comes last. An A/B test's only stage gets everything.
    """
    if stage.kind is StageKind.AB_TEST:
        return {stage.position: 1.0}
    judged = [stage for stage in plan(policy) if stage.kind is not StageKind.EVAL]
    ordered = sorted(judged, key=lambda stage: (stage.kind is StageKind.SHADOW, stage.position))
    total = sum(1 / rank for rank in range(1, len(ordered) + 1))
    return {stage.position: 1 / rank / total for rank, stage in enumerate(ordered, start=1)}


def _counting_gates(policy: Policy) -> int:
    return sum(gate.role is not Role.MUTED for gate in policy.gates)


def rules(policy: Policy, stage: Stage) -> tuple[GateRule, ...]:
    """What each gate decides by in a stage.

    Its alpha is what it could spend if all other gates and stages showed nothing: the budget of the release over the
    number of gates that can stop it, times the stage's weight. Ratings exist only where users saw both arms, so what
    rests on them isn't judged on copies; and what compares the texts of copies is judged in the shadow stage alone.
    """
    alpha = policy.alpha / max(1, _counting_gates(policy)) * stage_weights(policy, stage)[stage.position]
    on_copies = stage.kind is StageKind.SHADOW or stage.weight_percent == 100
    return tuple(
        GateRule.of(gate, margin_factor=stage.margin_factor, alpha=alpha, confidence=policy.confidence)
        for gate in policy.gates
        if not (on_copies and gate.metric in RATED_METRICS)
        and (stage.kind is StageKind.SHADOW or gate.metric not in COPY_METRICS)
    )


def _distrust(verdict: Verdict, doubt: str) -> Verdict:
    if verdict.outcome is Outcome.FAIL:
        return verdict
    return replace(verdict, outcome=Outcome.ERROR, reason=doubt)
