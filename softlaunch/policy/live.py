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
    """Shares of units of which every answer may be judged: by a hash of the unit that its arm doesn't depend on.

    The arms' shares may differ: gates compare the arms' means, and know how many of each were heard.
    """

    candidate: Percent = 100.0
    """Of the units that the candidate serves."""
    stable: Percent = 20.0
    """Of the units that stable serves while a release or an A/B test is live."""
    afterwards: Percent = 1.0
    """Of stable's units while none is live."""


class LiveMetricPolicy(Part):
    """A live metric whose values judges give."""

    metric: Annotated[str, Field(min_length=1)]
    """quality, hallucination, or a metric of kind score or share that the policy declares under `metrics`."""
    judged_by: Annotated[str, Field(min_length=1)] | None = None
    """What judges are asked: rubric or hallucination, with parameters as under eval.metrics ('rubric:scale=10').

    Left out: rubric for quality, hallucination for hallucination.
    """
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Further parameters, where they are easier to write as keys, such as `criterion` of a rubric."""

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
            raise KeyedError("say what judges are asked: rubric or hallucination", "judged_by")
        try:
            _ = self.parsed
        except (MetricError, KeyedError) as error:
            raise KeyedError(str(error), "judged_by") from error
        return self


class LiveBudgetPolicy(Part):
    """What judges may take. A repeated attempt counts again, and several judges each count."""

    stage_calls: _Calls = 5000
    """Calls in one stage."""
    stage_usd: _Usd | None = None
    """USD in one stage; every judge's model needs its prices then."""
    day_calls: _Calls = 20_000
    """Calls on one day (UTC), whatever the stage, also while no release is live."""
    day_usd: _Usd | None = None
    """USD on one day (UTC)."""

    @property
    def has_usd(self) -> bool:
        """Whether prices must be known."""
        return self.stage_usd is not None or self.day_usd is not None


class WithoutJudges(StrEnum):
    """What a gate does whose judges give nothing that it could go by."""

    HOLD = "hold"
    GO_ON = "go_on"


class LiveTroublePolicy(Part):
    """What the required gates on judged metrics do when judges give nothing to go by; no other gate is concerned.

    hold: such a gate can't pass, and says why. go_on: it becomes a guard, which still rolls back for harm that it has
    seen and which no stage waits for.
    """

    away: WithoutJudges = WithoutJudges.HOLD
    """Judges give no answer, or no evaluator runs."""
    budget_spent: WithoutJudges = WithoutJudges.HOLD
    """The budget of the stage, or of the day, is used up."""
    unreadable: WithoutJudges = WithoutJudges.HOLD
    """More of what judges said can't be read than eval.maximum_unscored allows: the rest may not be typical."""


class LivePolicy(Part):
    """Judging live answers of both arms; `softlaunch evaluator` asks the judges, beside the traffic.

    They get the texts of live requests: what must not leave your house needs a judge inside of it.
    """

    metrics: Annotated[tuple[LiveMetricPolicy, ...], Field(min_length=1)]
    """What is judged of each answer; each metric takes a call of every judge."""
    sample_percent: LiveSamplePolicy = LiveSamplePolicy()
    judge: JudgePolicy | None = None
    """Who judges; left out, who judges evals (eval.judge)."""
    answers_per_unit: Annotated[int, Field(ge=1, le=10_000)] = 5
    """At most so many answers of one unit are judged in a stage, and on a day while no release is live."""
    budget: LiveBudgetPolicy = LiveBudgetPolicy()
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Answers that one evaluator has judged at once."""
    delay: Duration = 0.0
    """How long after its request an answer is judged at the soonest."""
    backlog: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    """How many judgements may wait. What is beyond it, the oldest, is let go and counted."""
    without_judges: LiveTroublePolicy = LiveTroublePolicy()

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        names = [one.metric for one in self.metrics]
        if len(set(names)) != len(names):
            raise KeyedError("a metric is there twice; keep one", "metrics")
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
                    f"judges can't give {one.metric!r}; name quality, hallucination, or a metric of kind score or "
                    "share that the policy declares under metrics",
                    *("metrics", position, "metric"),
                )
        if self.judge is None and judge is None:
            raise KeyedError("nobody judges: name models under live.judge.models, or under eval.judge.models", "judge")
        if not texts_kept:
            raise KeyedError("judges read texts of live requests, which are not kept: set texts.keep", "metrics")


_JUDGED_KINDS = frozenset({MetricKind.SHARE, MetricKind.SCORE})
