"""Further repeats: where they help, and without a bias."""

import numpy as np

from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm
from softlaunch.evals.sequential.allocation import further_repeats, weighed
from softlaunch.evals.statistics.rows import by_case, mean_value
from softlaunch.metrics import ACCURACY
from tests.evals.arms import answer, candidate, stable


def test_cases_that_vary_get_more_and_none_is_left_out() -> None:
    """Of 4 x 3 further repeats the two that never vary get one each."""
    steady, wavering = (1.0, 1.0, 1.0), (1.0, 0.0, 1.0)
    first = [*stable([steady, steady, wavering, wavering]), *candidate([steady, steady, wavering, steady])]
    found = further_repeats(["c0", "c1", "c2", "c3"], first, ACCURACY, 3)
    assert (found["c0"], found["c1"]) == (1, 1)
    assert found["c2"] >= found["c3"] > 1
    assert sum(found.values()) == 12


def test_where_nothing_varies_all_get_the_same() -> None:
    """Nothing says where a repeat would help."""
    first = [*stable([(1.0,) * 3] * 3), *candidate([(1.0,) * 3] * 3)]
    assert further_repeats(["c0", "c1", "c2"], first, ACCURACY, 3) == {"c0": 3, "c1": 3, "c2": 3}


def test_means_stay_unbiased_although_luck_decides_who_is_asked_again() -> None:
    """Right in 90 % of the answers: the mean over many cases is 0.9; weights as the repeats come would say 0.92."""
    rng, ids = np.random.default_rng(5), [f"c{number}" for number in range(1500)]

    def drawn(case_id: str, repeat: int) -> EvalAnswer:
        return answer(CallKey(EvalArm.STABLE, case_id, repeat), float(rng.random() < 0.9))

    first = [drawn(case_id, repeat) for case_id in ids for repeat in range(3)]
    given = further_repeats(ids, first, ACCURACY, 3)
    more = [drawn(case_id, 3 + number) for case_id in ids for number in range(given[case_id])]

    def overall(answers: list[EvalAnswer]) -> float:
        grouped = by_case(answers)
        return float(np.mean([mean_value(grouped[case_id, EvalArm.STABLE], ACCURACY) for case_id in ids]))

    assert abs(overall(weighed([*first, *more], 3, 3, given)) - 0.9) < 0.012
    assert overall([*first, *more]) > 0.915
