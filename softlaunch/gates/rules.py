"""What each gate of a stage decides by: its margins, and its part of the release's one budget for false rollbacks."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Self

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Per, Role
from softlaunch.gates.observations import Floats
from softlaunch.policy.gating import GatePolicy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage, StageKind, plan

STEPS = np.array([-8, -4, -2, -1, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32.0])
"""Harms for which a gate keeps evidence, in margins."""
REACH = 0.75
"""How far beyond [0, 1] a rating may lie that was corrected by a prediction: as far as predictions lie apart at most.

Bets on what reaches further are smaller. This is enough for judges whose scores correlate with ratings by 0.75.
"""


@dataclass(frozen=True, slots=True)
class GateRule:
    """What a gate decides by, in one stage.

    `margin` is the acceptable harm for passing in this stage and `material` the harm below which evidence of harm is
    no reason to roll back, both as fractions; `alpha` is this gate's share of the release's false-rollback budget and
    `confidence` that of a pass. `per` says what is counted, and so what both margins are per. `counted` says whether
    its source counts requests without saying whose they are. `predicted_by` is the metric that judges give, by which
    what users say is corrected.
    """

    metric: Metric
    role: Role
    margin: float
    material: float
    alpha: float
    confidence: float
    per: Per = Per.REQUEST
    counted: bool = False
    predicted_by: Metric | None = None

    @classmethod
    def of(
        cls,
        policy: GatePolicy,
        *,
        margin_factor: float,
        alpha: float,
        confidence: float,
        per: Per = Per.REQUEST,
        counted: bool = False,
    ) -> Self:
        """The rule of a policy's gate in a stage that widens margins by `margin_factor`."""
        margin = policy.margin.value
        return cls(
            metric=policy.metric,
            role=policy.role,
            margin=margin * margin_factor,
            material=margin,
            alpha=alpha,
            confidence=confidence,
            per=per,
            counted=counted,
            predicted_by=policy.predicted_by,
        )

    @property
    def reach(self) -> float:
        """How far beyond [0, 1] a value of it may lie."""
        return 0.0 if self.predicted_by is None else REACH

    @property
    def grid(self) -> Floats:
        """Harms for which evidence is kept, ascending; zero and the margin are among them."""
        return _grid(self.margin, is_relative=self.metric.is_relative)


@cache
def _grid(margin: float, *, is_relative: bool) -> Floats:
    lowest, highest = (-0.95, np.inf) if is_relative else (-1.0, 1.0)
    grid = np.clip(STEPS * margin, lowest, highest)
    grid.setflags(write=False)
    return grid


def stage_weights(policy: Policy, stage: Stage) -> dict[int, float]:
    """How the false-rollback budget is spread over the stages that look at traffic, by position.

    Together with those of the rounds after the promotion they add up to one.

    Earlier canary stages get more, the second half as much as the first, the third a third, and so on: harm is most
    often met at once. The topline counts as one more stage after them, whose share its rounds have in equal parts. The
    shadow, where nobody is at risk, comes last. An A/B test's only stage gets everything.
    """
    if stage.kind is StageKind.AB_TEST:
        return {stage.position: 1.0}
    judged = [stage for stage in plan(policy) if stage.kind is not StageKind.EVAL]
    shadow = [stage.position for stage in judged if stage.kind is StageKind.SHADOW]
    after = [] if policy.topline is None else [_TOPLINE]
    ordered = [*(stage.position for stage in judged if stage.kind is not StageKind.SHADOW), *after, *shadow]
    total = sum(1 / rank for rank in range(1, len(ordered) + 1))
    weights = {position: 1 / rank / total for rank, position in enumerate(ordered, start=1)}
    of_topline = weights.pop(_TOPLINE, 0.0)
    if stage.kind is StageKind.TOPLINE and policy.topline is not None:
        return dict.fromkeys(range(policy.topline.rounds), of_topline / policy.topline.rounds)
    return weights


_TOPLINE = -1  # no stage of a release has this position


def _counting_gates(policy: Policy) -> int:
    return sum(gate.role is not Role.MUTED for gate in policy.gates)


def rules(policy: Policy, stage: Stage) -> tuple[GateRule, ...]:
    """What each gate decides by in a stage.

    Its alpha is its own share of the release's budget, over the number of gates that can stop it, times the stage's
    weight: scores arrive by their own clock and users come back from stage to stage, so that the e-values of gates and
    stages may not be averaged. Ratings exist only where users saw both arms, so what rests on them isn't judged on
    copies; and what compares the texts of copies is judged in the shadow stage alone. Copies are of single requests, so
    that gates on sessions or users judge those there. A metric that is counted elsewhere is judged in the stages in
    which that source distinguishes both arms.
    """
    alpha = policy.alpha / max(1, _counting_gates(policy)) * stage_weights(policy, stage)[stage.position]
    is_shadow, everybody = stage.kind is StageKind.SHADOW, stage.weight_percent == 100
    afterwards = stage.kind is StageKind.TOPLINE
    on_copies, counted = is_shadow or everybody or afterwards, policy.sources.counted
    has_arms = not afterwards and policy.sources.arms(shadow=is_shadow, everybody=everybody) is not None
    return tuple(
        GateRule.of(
            gate,
            margin_factor=stage.margin_factor,
            alpha=alpha,
            confidence=policy.confidence,
            per=Per.REQUEST if on_copies else gate.per,
            counted=gate.metric in counted,
        )
        for gate in policy.gates
        if (has_arms if gate.metric in counted else not (on_copies and gate.metric.is_rated))
        and (is_shadow or not gate.metric.compares_copies)
    )


def unpredicted(known: tuple[GateRule, ...]) -> tuple[GateRule, ...]:
    """The same rules without predictions: where answers can't be told apart, no rating finds its score."""
    return tuple(replace(rule, predicted_by=None) for rule in known)
