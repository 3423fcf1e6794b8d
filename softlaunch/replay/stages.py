"""Which stage of a policy a recorded request belongs to, and how likely it was to be the candidate's."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from softlaunch.policy.model import Policy, StagePolicy
from softlaunch.release import Stage, StageKind, plan


class UnknownStageError(ValueError):
    """A stage or weight that the policy has no place for; the message is what was expected."""


@dataclass(frozen=True, slots=True)
class StageNames:
    """Finds stages by what files call them."""

    policy: Policy

    def by_name(self, text: str) -> Stage:
        """The stage with a name (`shadow`, `canary 5 %`, `5 %`) or a position in the plan. Raises UnknownStageError."""
        for stage in self._watched:
            if _squeezed(text) in _names(stage):
                return stage
        known = ", ".join(f"{stage.position} ({stage.name})" for stage in self._watched)
        raise UnknownStageError(f"a stage of the policy by name or position: {known}")

    def by_weight(self, weight_percent: float) -> Stage | None:
        """The canary stage of a weight, None for zero; one that isn't planned has the default margins of its weight.

        Raises UnknownStageError.
        """
        if not (isfinite(weight_percent) and 0 <= weight_percent <= 100):
            raise UnknownStageError("the candidate's share of units in percent, 0 to 100")
        if weight_percent == 0:
            return None
        canaries = [stage for stage in self._watched if stage.kind is StageKind.CANARY]
        following = next(stage for stage in canaries if stage.weight_percent >= weight_percent)
        if following.weight_percent == weight_percent:
            return following
        step = StagePolicy(weight_percent=weight_percent)
        return Stage(
            position=following.position,
            kind=StageKind.CANARY,
            name=f"canary {weight_percent:g} %",
            weight_percent=weight_percent,
            margin_factor=step.widened,
        )

    def find(self, name: str | None, weight: str | None) -> Stage | None:
        """The stage of a row from its columns `stage` and `weight_percent`, where it has them."""
        by_weight = None if weight is None else self.by_weight(_number(weight))
        if name is None:
            if weight is None:
                raise UnknownStageError("a stage or a weight")
            return by_weight
        stage = self.by_name(name)
        if weight is not None and stage.weight_percent != _number(weight):
            raise UnknownStageError(
                f"{stage.weight_percent:g}, the weight of {stage.name}, or no column weight_percent"
            )
        return stage

    @property
    def _watched(self) -> Sequence[Stage]:
        return [stage for stage in plan(self.policy) if stage.kind is not StageKind.EVAL]


def candidate_share(policy: Policy, stage: Stage) -> float:
    """Probability in (0, 1) that a recorded request of a stage is the candidate's.

    A shadow's copies come in pairs. At 100 % stable's rows are the control sample beside all of the candidate's.
    """
    if stage.kind is StageKind.CANARY and stage.weight_percent == 100:
        return 100 / (100 + policy.control_percent)
    return stage.candidate_share


def _names(stage: Stage) -> set[str]:
    names = {str(stage.position), _squeezed(stage.name)}
    return names if stage.kind is StageKind.SHADOW else {*names, f"{stage.weight_percent:g}%"}


def _squeezed(text: str) -> str:
    return "".join(text.lower().split())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UnknownStageError("the candidate's share of units in percent, 0 to 100") from error
