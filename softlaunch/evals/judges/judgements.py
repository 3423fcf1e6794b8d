"""Which judgements an eval needs, and its answers once the judges' scores and those of the policy's metrics are in.

Answers are asked for once and kept; what is scored of them can be worked out, and asked of judges, at any time later.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.calls.tool_calls import tool_calls_in
from softlaunch.evals.suites.case import Case
from softlaunch.evals.suites.scoring import mean_of, score_with
from softlaunch.metrics import ACCURACY, AnyMetric, AskingMetric, Metric, PairMetric, Sample, Score


@dataclass(frozen=True, slots=True)
class JudgementKey:
    """Which judgement: a metric's key, and the answer; for pairs it is the candidate's answer."""

    metric: str
    answer: CallKey


@dataclass(frozen=True, slots=True)
class Judging:
    """What judges are to be asked: one answer, or a pair of them; `stable` is None for metrics of one answer."""

    key: JudgementKey
    metric: AskingMetric | PairMetric
    sample: Sample
    stable: Sample | None = None


Judgements = Mapping[JudgementKey, Score]


def wanted_judgements(
    cases: Sequence[Case], answers: Sequence[EvalAnswer], metrics: Sequence[AnyMetric]
) -> Iterator[Judging]:
    """Every judgement that an eval's answers need, for the cases' own metrics and those of the policy."""
    by_key = {answer.key: answer for answer in answers if answer.status is Status.SCORED}
    known = {case.id: case for case in cases}
    for key, answer in by_key.items():
        case = known.get(key.case_id)
        if case is None:
            continue
        sample = sample_of(case, answer)
        asked = (one for one in (*case.own_metrics, *metrics) if isinstance(one, AskingMetric | PairMetric))
        for metric in {one.key: one for one in asked}.values():
            if isinstance(metric, AskingMetric):
                yield Judging(JudgementKey(metric.key, key), metric, sample)
            elif key.arm is EvalArm.CANDIDATE:
                stable = by_key.get(replace(key, arm=EvalArm.STABLE))
                if stable is not None:
                    yield Judging(JudgementKey(metric.key, key), metric, sample, sample_of(case, stable))


def with_scores(
    cases: Sequence[Case], answers: Iterable[EvalAnswer], metrics: Sequence[AnyMetric], judgements: Judgements
) -> list[EvalAnswer]:
    """The answers with the scores of all metrics that could be had; what is unscored is absent."""
    known = {case.id: case for case in cases}
    return [
        _scored(known[answer.key.case_id], answer, metrics, judgements)
        if answer.status is Status.SCORED and answer.key.case_id in known
        else answer
        for answer in answers
    ]


def _scored(case: Case, answer: EvalAnswer, metrics: Sequence[AnyMetric], judgements: Judgements) -> EvalAnswer:
    sample = sample_of(case, answer)
    own = mean_of([_score(metric, answer.key, sample, judgements) for metric in case.own_metrics])
    found = {ACCURACY: own} | {metric.key: _score(metric, answer.key, sample, judgements) for metric in metrics}
    return replace(
        answer,
        scores={name: one.value for name, one in found.items() if one.value is not None},
        unscored_because={name: one.reason for name, one in found.items() if one.value is None},
    )


def _score(metric: AnyMetric, key: CallKey, sample: Sample, judgements: Judgements) -> Score:
    if isinstance(metric, Metric):
        return score_with(metric, sample)
    if not isinstance(metric, PairMetric):
        return judgements.get(JudgementKey(metric.key, key), Score(None, "not judged"))
    of_pair = judgements.get(JudgementKey(metric.key, replace(key, arm=EvalArm.CANDIDATE)), Score(None, "not judged"))
    if of_pair.value is None or key.arm is EvalArm.CANDIDATE:
        return of_pair
    return replace(of_pair, value=1 - of_pair.value)


def sample_of(case: Case, answer: EvalAnswer) -> Sample:
    """A stored answer as metrics read it."""
    return case.sample(
        answer.answer or "",
        tool_calls=tool_calls_in(answer.answer or ""),
        latency_ms=answer.latency_ms,
        cost_usd=answer.cost_usd,
        output_tokens=answer.output_tokens,
    )
