"""The same check on outputs that were recorded already: then and now by two names in their model column."""

from collections.abc import Sequence
from dataclasses import dataclass

from softlaunch.core.arms import ByArm
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.core.verdict import Outcome
from softlaunch.drift.figures import MAY_LACK, DriftFigures, measure_drift
from softlaunch.drift.judgement import Judgement, Setting, judge_drift
from softlaunch.evals.recordings.columns import Columns
from softlaunch.evals.recordings.comparing import answers_of, cases_of, lacking_ids, rows_of
from softlaunch.evals.recordings.files import RecordingError, Row
from softlaunch.evals.recordings.metrics import Margins, plan_metrics
from softlaunch.evals.recordings.suspicions import suspicions
from softlaunch.policy.drift import DriftPolicy


@dataclass(frozen=True, slots=True)
class RecordedDrift:
    """What a check of recorded outputs found."""

    figures: DriftFigures
    setting: Setting
    judgement: Judgement


def check_recorded(
    rows: Sequence[Row],
    between: tuple[str, str],
    specs: Sequence[str],
    mapped: Sequence[str],
    policy: DriftPolicy,
    *,
    allow_same: bool = False,
) -> RecordedDrift:
    """Compare the outputs of two names, then and now, paired by id.

    `specs` name what a good output is, as for `softlaunch eval compare`; `mapped` says which column is which. Raises
    RecordingError, also for two names of the same outputs, unless `allow_same`.
    """
    then, now = between
    columns = Columns.of(list(rows), list(mapped))
    arms = ByArm(candidate=rows_of(rows, columns, now), stable=rows_of(rows, columns, then))
    if arms.stable[0] is arms.candidate[0] and not allow_same:
        raise RecordingError(f"{then} and {now} are the same outputs: that says nothing about drift")
    points = (
        policy.margin if policy.margin.kind is MarginKind.POINTS else Margin(MarginKind.POINTS, policy.margin.value)
    )
    metrics = plan_metrics(specs, columns, [*arms.stable, *arms.candidate], Margins(points, policy.amounts, {}))
    cases, answers = cases_of(arms, columns), answers_of(arms, columns, metrics)
    looks_wrong = suspicions(arms, columns, reads_reference=any(one.reads_reference for one in metrics))
    doubts = [] if allow_same else [one.sentence for one in looks_wrong]
    lacking = lacking_ids(arms, columns, MAY_LACK)
    doubts += [one.reason for one in lacking if one.outcome is not Outcome.PASS]
    figures = measure_drift(cases, answers, [one.plan for one in metrics], policy, doubts=doubts)
    setting = Setting(model=now)
    return RecordedDrift(figures, setting, judge_drift(figures, (), setting, policy))
