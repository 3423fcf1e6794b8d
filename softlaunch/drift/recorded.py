"""The same check on outputs that were recorded already: then and now by two names in their model column."""

from collections.abc import Sequence
from dataclasses import dataclass

from softlaunch.core.arms import ByArm
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.drift.figures import DriftFigures, measure_drift
from softlaunch.drift.judgement import Judgement, Setting, judge_drift
from softlaunch.evals.recordings.columns import Columns
from softlaunch.evals.recordings.comparing import answers_of, cases_in_both, rows_of
from softlaunch.evals.recordings.files import Row
from softlaunch.evals.recordings.metrics import Margins, plan_metrics
from softlaunch.policy.drift import DriftPolicy


@dataclass(frozen=True, slots=True)
class RecordedDrift:
    """What a check of recorded outputs found."""

    figures: DriftFigures
    setting: Setting
    judgement: Judgement


def check_recorded(
    rows: Sequence[Row], then: str, now: str, specs: Sequence[str], mapped: Sequence[str], policy: DriftPolicy
) -> RecordedDrift:
    """Compare the outputs of `now` with those of `then`, paired by id.

    `specs` name what a good output is, as for `softlaunch eval compare`; `mapped` says which column is which. Raises
    RecordingError.
    """
    columns = Columns.of(list(rows), list(mapped))
    arms = ByArm(candidate=rows_of(rows, columns, now), stable=rows_of(rows, columns, then))
    points = (
        policy.margin if policy.margin.kind is MarginKind.POINTS else Margin(MarginKind.POINTS, policy.margin.value)
    )
    metrics = plan_metrics(specs, columns, [*arms.stable, *arms.candidate], Margins(points, policy.amounts, {}))
    cases = cases_in_both(arms, columns)
    figures = measure_drift(cases, answers_of(arms, columns, metrics), [one.plan for one in metrics], policy)
    setting = Setting(model=now)
    return RecordedDrift(figures, setting, judge_drift(figures, (), setting, policy))
