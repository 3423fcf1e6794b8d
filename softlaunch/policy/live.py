"""The part of a policy that is about judging live answers: which of them, what of them, by whom, for how much."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from softlaunch.core.documents import KeyedError
from softlaunch.core.live_metrics import SCORED, Metric
from softlaunch.core.quantities import Duration
from softlaunch.policy.evals import JudgePolicy
from softlaunch.policy.named_metrics import MetricKind, MetricPolicy
from softlaunch.policy.part import Part, Percent

if TYPE_CHECKING:
    from softlaunch.metrics.judged import Hallucination, Rubric

_BY_NAME = {Metric.QUALITY.value: "rubric", Metric.HALLUCINATION.value: "hallucination"}
_Calls = Annotated[int, Field(ge=1, le=10**9)]
_Usd = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class LiveSamplePolicy(Part):
    """Shares of units whose answers may all be judged. A hash of the unit decides, independently of its arm.

    The arms' shares may differ: gates compare the arms' means, and know how many answers of each were judged.
    """

    candidate: Percent = 100.0
    """Of the units that the candidate serves."""
    stable: Percent = 20.0
    """Of the units that stable serves while a release or an A/B test is live."""
    afterwards: Percent = 1.0
    """Of stable's units while none is live."""


class LiveMetricPolicy(Part):
    """A live metric that judges score."""

    metric: Annotated[str, Field(min_length=1)]
    """quality, hallucination, or a metric of kind score or share that the policy declares under `metrics`."""
    judged_by: Annotated[str, Field(min_length=1)] | None = None
    """What judges are asked: rubric or hallucination, with parameters as in eval.metrics ('rubric:scale=10').

    Left out: rubric for quality, hallucination for hallucination.
    """
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Further parameters that are easier to write as keys, such as `criterion` of a rubric."""

    @cached_property
    def parsed(self) -> "Rubric | Hallucination":
        """The metric that judges score by."""
        from softlaunch.metrics import parse_metric
        from softlaunch.metrics.judged import Hallucination, Rubric

        found = parse_metric({**self.parameters, "metric": self.judged_by or _BY_NAME.get(self.metric, "")})
        if not isinstance(found, Rubric | Hallucination):
            raise KeyedError(f"{found.name} doesn't ask judges about one answer; use rubric or hallucination")
        return found

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        from softlaunch.metrics import MetricError

        if self.judged_by is None and self.metric not in _BY_NAME:
            raise KeyedError("set what judges are asked: rubric or hallucination", "judged_by")
        try:
            _ = self.parsed
        except (MetricError, KeyedError) as error:
            raise KeyedError(str(error), "judged_by") from error
        return self


class LiveBudgetPolicy(Part):
    """Limits for the judges' calls. Each retry counts, and so does each of several judges."""

    stage_calls: _Calls = 5000
    """Calls per stage."""
    stage_usd: _Usd | None = None
    """USD per stage. Every judge's model then needs prices."""
    day_calls: _Calls = 20_000
    """Calls per day (UTC), in any stage and while no release is live."""
    day_usd: _Usd | None = None
    """USD per day (UTC)."""

    @property
    def has_usd(self) -> bool:
        """Whether prices must be known."""
        return self.stage_usd is not None or self.day_usd is not None


class WithoutJudges(StrEnum):
    """What a gate does whose judges give nothing that it could go by."""

    HOLD = "hold"
    GO_ON = "go_on"


class LiveTroublePolicy(Part):
    """What required gates on judged metrics do when judges give nothing to rely on; other gates aren't affected.

    hold: the gate can't pass, and says why. go_on: it becomes a guard: it still rolls back for harm that it has seen,
    but no stage waits for it.
    """

    away: WithoutJudges = WithoutJudges.HOLD
    """Judges don't answer, or no evaluator runs."""
    budget_spent: WithoutJudges = WithoutJudges.HOLD
    """The budget of the stage or of the day is used up."""
    unreadable: WithoutJudges = WithoutJudges.HOLD
    """More of the judges' replies are unreadable than eval.maximum_unscored allows: the rest may not be typical."""


class LivePolicy(Part):
    """Judging live answers of both arms; `softlaunch evaluator` asks the judges, apart from the traffic.

    Judges receive the texts of live requests: if those must not leave your network, run a judge inside it.
    """

    metrics: Annotated[tuple[LiveMetricPolicy, ...], Field(min_length=1)]
    """What is judged in each answer. Each metric takes one call per judge."""
    sample_percent: LiveSamplePolicy = LiveSamplePolicy()
    judge: JudgePolicy | None = None
    """The judges. Left out: those of evals (eval.judge)."""
    answers_per_unit: Annotated[int, Field(ge=1, le=10_000)] = 5
    """How many answers of one unit are judged at most per stage, and per day while no release is live."""
    budget: LiveBudgetPolicy = LiveBudgetPolicy()
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """How many answers one evaluator has judged at once."""
    delay: Duration = 0.0
    """How long after its request an answer is judged at the earliest."""
    backlog: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    """How many judgements may wait. Beyond that, the oldest are dropped and counted."""
    without_judges: LiveTroublePolicy = LiveTroublePolicy()

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        names = [one.metric for one in self.metrics]
        if len(set(names)) != len(names):
            raise KeyedError("a metric is listed twice; keep one", "metrics")
        return self

    @property
    def judged(self) -> frozenset[str]:
        """The live metrics whose values judges give."""
        return frozenset(one.metric for one in self.metrics)

    def check(self, declared: Sequence[MetricPolicy], judge: JudgePolicy | None, *, texts_kept: bool) -> None:
        """Raise KeyedError, with keys below `live`, where a policy lacks what judging needs."""
        by_name = {metric.name: metric for metric in declared}
        for position, one in enumerate(self.metrics):
            known = by_name.get(one.metric)
            if one.metric not in SCORED and (known is None or known.kind not in _JUDGED_KINDS):
                raise KeyedError(
                    f"judges can't score {one.metric!r}; name quality, hallucination, or a metric of kind score or "
                    "share that the policy declares under metrics",
                    *("metrics", position, "metric"),
                )
        if self.judge is None and judge is None:
            raise KeyedError(
                "there are no judges: name models under live.judge.models, or under eval.judge.models", "judge"
            )
        if not texts_kept:
            raise KeyedError("judges read texts of live requests, which aren't kept: set texts.keep", "metrics")


_JUDGED_KINDS = frozenset({MetricKind.SHARE, MetricKind.SCORE})
