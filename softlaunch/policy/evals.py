"""The part of a policy that is about the regression eval: what it compares, how sure, and who judges.

Metrics are imported by those policies that name some: a rollback must not wait for them.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from softlaunch.core.content import Name
from softlaunch.core.documents import KeyedError
from softlaunch.core.quantities import Duration, Margin, MarginKind
from softlaunch.core.verdict import Role
from softlaunch.policy.part import Part

if TYPE_CHECKING:
    from softlaunch.metrics import AnyMetric


class EvalMetricPolicy(Part):
    """A metric that the regression eval compares besides the accuracy by the cases' own metrics."""

    metric: Annotated[str, Field(min_length=1)]
    """Its name, such as rubric, with optional parameters: 'latency:limit=3 s'."""
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Further parameters that are easier to write as keys."""
    margin: Margin | None = None
    """How many points the candidate may lose. Left out: the eval's tolerance."""
    role: Role = Role.REQUIRED
    """required: the eval can't pass without it. guard: can reject, but isn't waited for. muted: only shown."""

    @cached_property
    def parsed(self) -> "AnyMetric":
        """The metric itself."""
        from softlaunch.metrics import parse_metric

        return parse_metric({**self.parameters, "metric": self.metric})

    @model_validator(mode="after")
    def _is_a_metric(self) -> Self:
        from softlaunch.metrics import MetricError, parse_metric

        try:
            parse_metric({**self.parameters, "metric": self.metric})
        except MetricError as error:
            raise KeyedError(str(error), "metric") from error
        if self.margin is not None and self.margin.kind is MarginKind.RELATIVE:
            raise KeyedError(f"scores are from 0 to 1: it is written in points, not '{self.margin}'", "margin")
        return self


class JudgePolicy(Part):
    """The judges, and how well they must agree with people before their scores may decide anything."""

    models: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Models of models.yaml. The scores of several judges are averaged."""
    prompts: Mapping[str, str] = Field(default_factory=dict)
    """Prompts that replace the built-in judge-rubric, judge-pairwise and judge-hallucination, each as name@version."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """At 0 a judge gives the same answer the same judgement."""
    minimum_kappa: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """Cohen's kappa with people's labels that a calibration must have shown. Below it the judge can't gate."""

    @model_validator(mode="after")
    def _knows_the_prompts(self) -> Self:
        if not self.prompts:
            return self
        from softlaunch.metrics.judged import JUDGE_PROMPTS

        for name in self.prompts:
            if name not in JUDGE_PROMPTS:
                known = ", ".join(JUDGE_PROMPTS)
                raise KeyedError(f"unknown judge prompt {name!r}; expected one of {known}", "prompts")
        return self


def _check_metrics(metrics: Sequence[EvalMetricPolicy], judge: JudgePolicy | None) -> None:
    """That every metric is there once, and has judges where it asks some. Raises KeyedError."""
    if not metrics:
        return
    from softlaunch.metrics.judged import asks_judges

    keys = [metric.parsed.key for metric in metrics]
    if len(set(keys)) != len(keys):
        raise KeyedError("a metric is listed twice; give one of them its own label", "metrics")
    asking = [metric.parsed.key for metric in metrics if asks_judges(metric.parsed)]
    if asking and judge is None:
        raise KeyedError(f"{asking[0]} needs judges: name their models under eval.judge.models", "metrics")


class OnInconclusive(StrEnum):
    """What an inconclusive regression eval leads to once the repeats are used up."""

    ASK = "ask"
    REJECT = "reject"


class EvalPolicy(Part):
    """The regression eval on the golden set: candidate and stable answer the same cases."""

    golden_set: Annotated[str, Field(min_length=1)] | None
    """JSON Lines with one case per line; the path is relative to the policy file.

    null skips the regression eval, for an embeddings app, whose answers aren't text.
    """
    repeats: Annotated[int, Field(ge=1, le=100)] = 3
    """How often each case is asked at first, because answers vary."""
    maximum_repeats: Annotated[int, Field(ge=1, le=100)] = 6
    """How often an inconclusive eval asks each case at most before it gives up."""
    tolerance: Margin = Margin(MarginKind.POINTS, 0.02)
    """How many points of a metric the candidate may lose."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence of the verdicts, over all metrics and looks together."""
    early_stop: bool = True
    """Stop calling once the verdict is known: a bet on harm is evaluated after every case, and safety at five planned
    looks. With false all calls are made, which finds slightly more in segments and guards.
    """
    maximum_unscored: Margin = Margin(MarginKind.POINTS, 0.05)
    """Share of the candidate's calls that may end without a score (errors, timeouts) before the eval is an error."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 16
    """Concurrent calls, for both variants together."""
    budget_calls: Annotated[int, Field(ge=1)] | None = None
    """How many calls an eval may make, including retries. Left out: as many as the repeats need."""
    budget_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """What an eval's answers may cost, in USD. Every model then needs prices."""
    reuse: Duration = 0.0
    """Reuse answers of earlier evals up to this age, for the same variant, case and repeat. 0 reuses none."""
    timeout: Duration = 60.0
    """How long one call may take."""
    on_inconclusive: OnInconclusive = OnInconclusive.ASK
    """Ask a person, or reject. Metrics that contradict each other always go to a person."""
    metrics: tuple[EvalMetricPolicy, ...] = ()
    """What is compared besides accuracy, which is the mean score of the cases' own metrics."""
    segments: tuple[str, ...] = ()
    """Tags of critical cases: the eval fails if one is shown to be worse by more than the tolerance. Other tags are for
    people to review. A golden set's header can name more, under `suite.segments`.
    """
    judge: JudgePolicy | None = None
    """The judges, for metrics that ask any."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        _check_metrics(self.metrics, self.judge)
        if self.maximum_repeats < self.repeats:
            raise KeyedError(f"{self.maximum_repeats} is less than repeats, which is {self.repeats}", "maximum_repeats")
        for key, margin in (("tolerance", self.tolerance), ("maximum_unscored", self.maximum_unscored)):
            if margin.kind is MarginKind.RELATIVE:
                raise KeyedError(f"it is written in points, like '2 points', not '{margin}'", key)
        return self
