"""What a comparison found, as frozen values: verdicts, metrics, cases, and what each arm cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from softlaunch.core.quantities import Margin
from softlaunch.core.verdict import Interval, Outcome, Role, Verdict
from softlaunch.evals.statistics.amounts import Beside
from softlaunch.evals.statistics.paired import PairedEstimate

_GRAVITY = (Outcome.FAIL, Outcome.ERROR, Outcome.REVIEW, Outcome.INCONCLUSIVE, Outcome.PASS)
"""Harm that was shown stands, whatever else is missing; what is missing never passes."""


def concluded(verdicts: Sequence[Verdict]) -> tuple[Outcome, str]:
    """What several verdicts come to, and why; those that are only shown count for nothing."""
    counted = [verdict for verdict in verdicts if verdict.role is not Role.MUTED]
    outcome = min((verdict.outcome for verdict in counted), key=_GRAVITY.index, default=Outcome.ERROR)
    reasons = [f"{verdict.gate}: {verdict.reason}" for verdict in counted if verdict.outcome is outcome]
    return outcome, "; ".join(reasons) or "nothing was compared that counts"


@dataclass(frozen=True, slots=True)
class ArmTotals:
    """Everything that one arm's calls came to.

    Latency percentiles are over answered calls. `cost_usd` is None where the cost of any answered call is unknown,
    `errors` counts the unscored calls by code.
    """

    calls: int
    scored: int
    errors: Mapping[str, int]
    cost_usd: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None

    @property
    def unscored(self) -> int:
        """Calls that ended without a score."""
        return self.calls - self.scored

    @property
    def unscored_share(self) -> float:
        """In [0, 1]; 1 where there was no call, because nothing was scored."""
        return self.unscored / self.calls if self.calls else 1.0


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """What to compare: the name under which answers carry the values, and how much worse is acceptable.

    Without a margin it is the policy's tolerance. A margin in points belongs to scores in [0, 1], more being better;
    a relative one to amounts of zero or more. `latency` and `cost` are read from the answer itself where no score has
    that name.
    """

    metric: str
    margin: Margin | None = None
    higher_is_better: bool = True
    role: Role = Role.REQUIRED
    withheld: str = ""
    """Why the metric may decide nothing (its judge isn't good enough); its verdict is an error with this reason."""


class Finding(StrEnum):
    """Which way a metric is shown to have moved, whatever the tolerance; either side at half the level."""

    WORSE = "worse"
    BETTER = "better"
    NONE = "no difference shown"


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric on the cases that both arms have a value for: a figure of both arms, and the harm between them.

    The figure is the weighted mean of a score, and `what` says for an amount: the median, or the tail that decides.
    `beside` has others that are shown, `doubts` what of them keeps a pass from being one.

    Harm, its bounds and the margin are points of a score in [0, 1], or shares of stable's figure where `relative`.
    `outcome` is what the statistics show, each claim adjusted for the number of metrics; `unscored` counts calls
    without a value for this metric.
    """

    metric: str
    stable: float
    candidate: float
    margin: float
    relative: bool
    higher_is_better: bool
    estimate: PairedEstimate
    outcome: Outcome
    finding: Finding
    unscored: int
    what: str = "mean"
    beside: tuple[Beside, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def unit(self) -> float:
        """What one unit of harm is in the metric's own unit: positive means that more is worse."""
        return (self.stable if self.relative else 1.0) * (-1.0 if self.higher_is_better else 1.0)

    @property
    def difference(self) -> float:
        """The candidate's figure minus stable's; for an amount what the bounds are bounds of."""
        return self.estimate.harm * self.unit if self.relative else self.candidate - self.stable

    @property
    def bounds(self) -> Interval:
        """Of the difference, in the metric's own unit."""
        ends = sorted((self.estimate.lower * self.unit, self.estimate.upper * self.unit))
        return Interval(*ends)


@dataclass(frozen=True, slots=True)
class CaseArm:
    """One case in one arm. `flips` counts repeats whose score differs from the one before; `answer` is an example."""

    mean: float | None
    scored: int
    unscored: int
    flips: int
    answer: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case in both arms. `wanted` says for people what a right answer is."""

    case_id: str
    asked: str
    wanted: str
    weight: float
    tags: tuple[str, ...]
    stable: CaseArm
    candidate: CaseArm

    @property
    def change(self) -> float | None:
        """Candidate's mean score minus stable's, in [-1, 1]; None where an arm has no score."""
        if self.stable.mean is None or self.candidate.mean is None:
            return None
        return self.candidate.mean - self.stable.mean

    @property
    def flickering(self) -> bool:
        """Whether the score varies within both arms: the case shows more about chance than about the change."""
        return self.stable.flips > 0 and self.candidate.flips > 0


@dataclass(frozen=True, slots=True)
class EvalReport:
    """The result of one comparison.

    `confidence` holds over all metrics and looks together. `paired_cases` were scored in both arms; `left_out_cases`
    in one only, or in none, and show nothing about the change. `unjudged` metrics, which no case has a value of in both
    arms, are there with the number of calls that lack one.
    """

    outcome: Outcome
    reason: str
    verdicts: tuple[Verdict, ...]
    metrics: tuple[MetricComparison, ...]
    cases: tuple[CaseRow, ...]
    stable: ArmTotals
    candidate: ArmTotals
    paired_cases: int
    left_out_cases: int
    repeats: int
    confidence: float
    unjudged: Mapping[str, int] = field(default_factory=dict)

    def with_verdict(self, verdict: Verdict) -> "EvalReport":
        """The report with one more verdict, which can only make its outcome graver."""
        verdicts = (*self.verdicts, verdict)
        outcome, reason = concluded(verdicts)
        return replace(self, verdicts=verdicts, outcome=outcome, reason=reason)

    @property
    def flickering_cases(self) -> int:
        """Cases whose score varies within both arms."""
        return sum(row.flickering for row in self.cases)
