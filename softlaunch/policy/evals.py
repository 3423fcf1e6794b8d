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
    """Its name, such as rubric; parameters may follow: 'latency:limit=3 s'."""
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Further parameters of the metric, where they are easier to write as keys."""
    margin: Margin | None = None
    """How many points the candidate may lose; left out: the eval's tolerance."""
    role: Role = Role.REQUIRED
    """required: the eval passes only with it. guard: it can reject, but isn't waited for. muted: shown only."""

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
    """Who judges, and how well they must agree with people before their scores may decide anything."""

    models: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Models of models.yaml; several judges are averaged."""
    prompts: Mapping[str, str] = Field(default_factory=dict)
    """Prompts in place of those that come along: judge-rubric, judge-pairwise, judge-hallucination, as name@version."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """At 0 a judge says the same of the same answer."""
    minimum_kappa: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """Cohen's kappa against people's labels that calibration must have shown; below it the judge can't gate."""

    @model_validator(mode="after")
    def _knows_the_prompts(self) -> Self:
        if not self.prompts:
            return self
        from softlaunch.metrics.judged import JUDGE_PROMPTS

        for name in self.prompts:
            if name not in JUDGE_PROMPTS:
                known = ", ".join(JUDGE_PROMPTS)
                raise KeyedError(f"there is no judge's prompt {name!r}; there are {known}", "prompts")
        return self


def _check_metrics(metrics: Sequence[EvalMetricPolicy], judge: JudgePolicy | None) -> None:
    """That every metric is there once, and has judges where it asks some. Raises KeyedError."""
    if not metrics:
        return
    from softlaunch.metrics.judged import asks_judges

    keys = [metric.parsed.key for metric in metrics]
    if len(set(keys)) != len(keys):
        raise KeyedError("a metric is there twice; give one of them a label of its own", "metrics")
    asking = [metric.parsed.key for metric in metrics if asks_judges(metric.parsed)]
    if asking and judge is None:
        raise KeyedError(f"{asking[0]} asks judges: name their models under eval.judge.models", "metrics")


class OnInconclusive(StrEnum):
    """What an inconclusive regression eval leads to once the repeats are used up."""

    ASK = "ask"
    REJECT = "reject"


class EvalPolicy(Part):
    """The regression eval on the golden set, candidate and stable on the same cases."""

    golden_set: Annotated[str, Field(min_length=1)] | None
    """JSON lines, one case a line; the path is relative to the policy file.

    null leaves the regression eval out, for an app of embeddings, whose answers are no texts.
    """
    repeats: Annotated[int, Field(ge=1, le=100)] = 3
    """How often each case is asked at first, because answers vary."""
    maximum_repeats: Annotated[int, Field(ge=1, le=100)] = 6
    """Up to how often an inconclusive eval asks each case before it gives up."""
    tolerance: Margin = Margin(MarginKind.POINTS, 0.02)
    """How many points of a metric the candidate may lose."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence of the verdicts, over all metrics and looks together."""
    early_stop: bool = True
    """Make no more calls once the verdict is known: harm is bet on after every case, safety is looked at five times.
    With false all calls are made, which finds a little more in segments and guards.
    """
    maximum_unscored: Margin = Margin(MarginKind.POINTS, 0.05)
    """Share of the candidate's calls that may end without a score (errors, timeouts) before the eval is an error."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 16
    """Calls under way at once, both variants together."""
    budget_calls: Annotated[int, Field(ge=1)] | None = None
    """How many calls an eval may make; left out, as many as the repeats need. A repeated attempt counts again."""
    budget_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """What an eval's answers may cost, in USD; every model needs its prices then."""
    reuse: Duration = 0.0
    """Take answers of earlier evals that are at most this old: same variant, same case, same repeat. 0 takes none."""
    timeout: Duration = 60.0
    """How long one call may take."""
    on_inconclusive: OnInconclusive = OnInconclusive.ASK
    """Ask a person, or reject. Metrics that contradict each other are always for a person."""
    metrics: tuple[EvalMetricPolicy, ...] = ()
    """What is compared besides accuracy, which is the mean score of the cases' own metrics."""
    segments: tuple[str, ...] = ()
    """Tags of cases that are critical: where one is shown to be worse by more than the tolerance, the eval fails. Other
    tags are for people to review. A golden set's header can name more, under `suite.segments`.
    """
    judge: JudgePolicy | None = None
    """Who judges, where metrics ask judges."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        _check_metrics(self.metrics, self.judge)
        if self.maximum_repeats < self.repeats:
            raise KeyedError(f"{self.maximum_repeats} is less than repeats, which is {self.repeats}", "maximum_repeats")
        for key, margin in (("tolerance", self.tolerance), ("maximum_unscored", self.maximum_unscored)):
            if margin.kind is MarginKind.RELATIVE:
                raise KeyedError(f"it is written in points, like '2 points', not '{margin}'", key)
        return self
