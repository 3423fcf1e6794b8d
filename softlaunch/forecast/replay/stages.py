"""Which stage of a policy a recorded request belongs to, and how likely it was to be the candidate's."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

from softlaunch.policy.model import Policy
from softlaunch.policy.release import Stage, StageKind, plan
from softlaunch.policy.stages import StagePolicy

_BY_CHANCE = 3.29  # standard deviations, which one file in a thousand exceeds


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
        return self._step(weight_percent)

    def _step(self, weight_percent: float) -> Stage:
        following = next(stage for stage in self._canaries if stage.weight_percent >= weight_percent)
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

    def by_split(self, candidate: int, stable: int) -> Stage:
        """The canary stage that requests of unknown stage belong to, by how many units fell on each arm.

        Where the policy plans a single split, it is that one. Otherwise it is the planned one that the units agree
        with, within what chance explains in all but one of a thousand files; else one of the share that they show.
        Without units of both arms it is the first.
        """
        splits = [stage for stage in self._canaries if stage.weight_percent < 100]
        if not (candidate and stable) or len(splits) == 1:
            return [*splits, *self._canaries][0]
        count = candidate + stable
        surprise = {stage.name: _surprise(candidate, count, stage.weight_percent / 100) for stage in splits}
        nearest = min(splits, key=lambda stage: surprise[stage.name], default=None)
        if nearest is not None and surprise[nearest.name] <= _BY_CHANCE:
            return nearest
        return self._step(100 * candidate / count)

    @property
    def _watched(self) -> Sequence[Stage]:
        return [stage for stage in plan(self.policy) if stage.kind is not StageKind.EVAL]

    @property
    def _canaries(self) -> Sequence[Stage]:
        return [stage for stage in self._watched if stage.kind is StageKind.CANARY and stage.only is None]


def candidate_share(policy: Policy, stage: Stage) -> float:
    """Probability in (0, 1) that a recorded request of a stage is the candidate's.

    A shadow's copies come in pairs. At 100 % stable's rows are the control sample beside all of the candidate's.
    """
    if stage.kind is StageKind.CANARY and stage.weight_percent == 100:
        return 100 / (100 + policy.control_percent)
    return stage.candidate_share


def _surprise(candidate: int, count: int, share: float) -> float:
    """How many standard deviations the candidate's units are from the share that was meant for it."""
    return abs(candidate - count * share) / sqrt(count * share * (1 - share))


def _names(stage: Stage) -> set[str]:
    names = {str(stage.position), _squeezed(stage.name)}
    weight = f"{stage.weight_percent:g}"
    return names if stage.kind is StageKind.SHADOW else {*names, f"{weight}%", f"canary{weight}"}


def _squeezed(text: str) -> str:
    return "".join(text.lower().replace("-", " ").replace("_", " ").split())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UnknownStageError("the candidate's share of units in percent, 0 to 100") from error
