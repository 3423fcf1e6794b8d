"""Further repeats, where they help: more of the cases whose answers vary, and at least one of every case.

The variance of the mean over all cases is least where the repeats of a case are proportional to the standard deviation
of its answers (Neyman 1934). Which cases vary is seen in the first repeats, so the two parts of a case are averaged
with fixed weights, as if all had been asked equally often: else a case that was lucky at first, and therefore isn't
asked again, would stay lucky.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from softlaunch.evals.calls.answers import EvalAnswer, EvalArm
from softlaunch.evals.statistics.rows import by_case, value_of

_MOST = 4
"""Times the mean number of further repeats that one case may get."""


def further_repeats(
    case_ids: Sequence[str], first: Sequence[EvalAnswer], metric: str, further: int
) -> Mapping[str, int]:
    """How many further repeats each case gets, of both arms alike, `further` on average and 1 at least.

    `first` are the answers of the first repeats. Where nothing varied, all get the same.
    """
    spreads = _spreads(case_ids, first, metric)
    if further <= 1 or not spreads.any():
        return dict.fromkeys(case_ids, further)
    found = dict.fromkeys(case_ids, 1)
    left = len(case_ids) * (further - 1)
    most = _MOST * further
    by_need = sorted(range(len(case_ids)), key=lambda index: (-spreads[index], case_ids[index]))
    wanted = np.minimum(most - 1, np.floor(left * spreads / spreads.sum())).astype(int)
    for index in by_need:
        found[case_ids[index]] += int(wanted[index])
    left -= int(wanted.sum())
    while left > 0:
        for index in by_need:
            if left and found[case_ids[index]] < most:
                found[case_ids[index]] += 1
                left -= 1
    return found


def weighed(answers: Sequence[EvalAnswer], repeats: int, further: int, given: Mapping[str, int]) -> list[EvalAnswer]:
    """The answers with weights: each case's further repeats count for `further` ones, however many they are."""
    return [
        replace(one, weight=further / given[one.key.case_id]) if one.key.repeat >= repeats else one for one in answers
    ]


def _spreads(case_ids: Sequence[str], first: Sequence[EvalAnswer], metric: str) -> np.ndarray:
    """Each case's standard deviation within an arm, the root of the mean over both arms' variances."""
    grouped = by_case(first)
    found = []
    for case_id in case_ids:
        own = [[value_of(one, metric) for one in grouped.get((case_id, arm), ())] for arm in EvalArm]
        known = [[value for value in values if value is not None] for values in own]
        found.append(float(np.sqrt(np.mean([np.var(values, ddof=1) if len(values) > 1 else 0.0 for values in known]))))
    return np.array(found)
