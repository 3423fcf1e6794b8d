"""The cases that Kayenta's judge is tested with, and those it is known to get wrong, through our engine.

There a number is one interval's value, and five of them decide. Here a number is one request's, and five decide
nothing: we differ on purpose, because a verdict on five values can't keep a promise of one false rollback in a hundred
releases. With enough requests behind the same numbers the answer is the published one, unless a case says why not.
"""

from collections.abc import Sequence

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.replay.conclusion import Conclusion, Replayed
from softlaunch.forecast.replay.replay import replay
from softlaunch.forecast.replay.rows import Rows
from softlaunch.forecast.replay.stages import StageNames
from softlaunch.forecast.replay.windows import Looks
from tests.support.builders import make_policy

COST = make_policy(gates=[{"metric": "cost", "margin": "10 %"}], shadow=None)
ERRORS = make_policy(gates=[{"metric": "errors", "margin": "1 point"}], shadow=None)
Values = Sequence[float]
CASES = [
    pytest.param([20, 22, 21, 25, 30], [1, 2.2, 1.1, 2.5, 3], Conclusion.ROLLBACK, id="far above"),
    pytest.param([10, 12.2, 10.1, 12.5, 23], [20, 22, 21, 25, 30], Conclusion.PASS, id="below: less is not worse"),
    pytest.param([1, 1, 1], [1, 1], Conclusion.PASS, id="constant and the same"),
    pytest.param([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], Conclusion.PASS, id="the same in another order"),
    pytest.param([10] * 5, [1] * 5, Conclusion.ROLLBACK, id="constant arms, ten times as much"),
    pytest.param([10] * 5, [0] * 5, Conclusion.ROLLBACK, id="a baseline of zero"),
    pytest.param([54.9, 54.5, 55.1, 55.6, 57.4], [0] * 5, Conclusion.ROLLBACK, id="an undefined ratio"),
    pytest.param([0] * 5, [0] * 5, Conclusion.PASS, id="nothing on either side"),
    # Kayenta passes it: seven of ten values are a hundred times as large
    pytest.param([100] * 7 + [1] * 3, [1] * 10, Conclusion.ROLLBACK, id="mostly a hundred times as much"),
]


def judged(metric: Metric, candidate: Values, stable: Values, *, most: int | None = None) -> Replayed:
    """A stage of 50 % whose requests have these values; with `most`, drawn from them until so many are there."""
    policy = COST if metric is Metric.COST else ERRORS
    rng = np.random.default_rng(11)
    if most is None:
        on_candidate = np.arange(len(candidate) + len(stable)) < len(candidate)
        values = np.array([*candidate, *stable], dtype=np.float64)
    else:
        on_candidate = rng.random(most) < 0.5
        values = np.where(on_candidate, rng.choice(candidate, most), rng.choice(stable, most)).astype(np.float64)
    count = len(values)
    rows = Rows(
        source="case",
        first=1,
        last=count,
        stage=StageNames(policy).by_name("50 %"),
        ts=np.arange(count) / 10,
        candidate=on_candidate,
        units=np.arange(count),
        named=np.zeros(count, dtype=np.bool_),
        values={metric: values},
    )
    return replay(policy, [rows], Looks(), {metric})


@pytest.mark.parametrize(("candidate", "stable", "expected"), CASES)
def test_with_requests_behind_them_cases_are_answered_right(
    candidate: Values, stable: Values, expected: Conclusion
) -> None:
    """Worse is rolled back, and not worse passes."""
    assert judged(Metric.COST, candidate, stable, most=4000).conclusion is expected


@pytest.mark.parametrize(("candidate", "stable", "expected"), CASES)
def test_a_handful_of_values_decides_nothing(candidate: Values, stable: Values, expected: Conclusion) -> None:
    """We differ: what five values show may be chance, so the stage holds; it neither rolls back nor passes."""
    assert judged(Metric.COST, candidate, stable).conclusion is Conclusion.INCONCLUSIVE


def test_one_outlier_is_not_enough() -> None:
    """[1, 1, 1, 1, 10] against ones: nothing is decided, and one such request among a thousand does no harm."""
    assert judged(Metric.COST, [1, 1, 1, 1, 10], [1] * 5).conclusion is Conclusion.INCONCLUSIVE
    assert judged(Metric.COST, [1] * 999 + [10], [1], most=4000).conclusion is Conclusion.PASS


def test_an_outlier_in_every_fifth_request_is_harm() -> None:
    """We differ: if a fifth of all requests cost ten times as much, that is no outlier."""
    done = judged(Metric.COST, [1, 1, 1, 1, 10], [1], most=4000)
    assert (done.conclusion, done.metric) == (Conclusion.ROLLBACK, "cost")


def test_no_data_is_no_pass() -> None:
    """[] against [1, 2, 3, 4, 5]: Kayenta scores it; here it is said that an arm is missing."""
    done = judged(Metric.COST, [], [1, 2, 3, 4, 5])
    assert done.conclusion is Conclusion.INCONCLUSIVE
    assert "no data from candidate" in done.reason


@pytest.mark.parametrize("scale", [1.0, 1e-5], ids=["dollars", "thousandths of a cent"])
def test_a_clear_shift_is_seen_at_any_scale(scale: float) -> None:
    """Kayenta passes means of 10 and 11.5 (thirty values each) once they are multiplied by 1e-5."""
    rng = np.random.default_rng(2)
    stable, candidate = (scale * rng.normal(mean, 1.0, 30) for mean in (10.0, 11.5))
    done = judged(Metric.COST, candidate.tolist(), stable.tolist(), most=4000)
    assert (done.conclusion, done.metric) == (Conclusion.ROLLBACK, "cost")


def test_sparse_errors_are_seen_where_stable_has_none() -> None:
    """Kayenta passes [0, 1, 2, 1, 0, 0] errors an interval against none; at 20 requests an interval that is 3.3 %."""
    candidate = [0.0] * 116 + [1.0] * 4
    done = judged(Metric.ERRORS, candidate, [0.0], most=8000)
    assert (done.conclusion, done.metric) == (Conclusion.ROLLBACK, "errors")
    assert done.exposed < 1000


def test_four_errors_alone_are_not_enough() -> None:
    """We differ: four against none on equal arms is a chance of one in sixteen, whatever the requests behind them."""
    done = judged(Metric.ERRORS, [0.0] * 116 + [1.0] * 4, [0.0] * 120)
    assert done.conclusion is not Conclusion.ROLLBACK
    assert done.conclusion is not Conclusion.PASS
