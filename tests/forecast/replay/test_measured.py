"""Of how many requests a metric is known: when a difference between the arms is told, and when it isn't."""

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.replay.measured import Measured, Rates
from softlaunch.gates.observations import Flags, Floats, Units


def measured(units: Units, candidate: Flags, known: Flags) -> Measured:
    """All requests could have a value."""
    counted = Measured()
    counted.add(units, candidate, known, np.ones(len(units), dtype=np.bool_))
    return counted


def rates(units: Units, candidate: Flags, known: Flags, metric: Metric = Metric.QUALITY) -> Rates:
    """What is said of requests."""
    found = measured(units, candidate, known).rates(metric)
    assert found is not None
    return found


def chances(rng: np.random.Generator, users: int, rate: float, alike: float) -> Floats:
    """How likely each user's requests are rated; users are as alike to themselves as the intraclass correlation."""
    if alike == 1:
        return (rng.random(users) < rate).astype(float)
    if alike == 0:
        return np.full(users, rate)
    return rng.beta(rate * (1 / alike - 1), (1 - rate) * (1 / alike - 1), users)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("users", "requests", "share", "rate", "alike"),
    [
        pytest.param(20_000, 20_000, 0.01, 0.01, 0.0, id="few ratings in a small arm"),
        pytest.param(3000, 3000, 0.1, 0.2, 0.0, id="one request a user"),
        pytest.param(300, 6000, 0.1, 0.1, 1.0, id="users who rate everything or nothing"),
        pytest.param(300, 6000, 0.1, 0.9, 0.3, id="nearly everything is rated"),
        pytest.param(40, 400, 0.5, 0.5, 1.0, id="hardly any users"),
    ],
)
def test_chance_is_hardly_ever_told(users: int, requests: int, share: float, rate: float, alike: float) -> None:
    """At most once in a thousand: more than five of 2,000 files would be too many."""
    rng = np.random.default_rng(12)
    told = 0
    for _ in range(2000):
        names = rng.integers(-(2**62), 2**62, users)
        who = np.arange(users) if users == requests else rng.integers(0, users, requests)
        known = rng.random(requests) < chances(rng, users, rate, alike)[who]
        found = measured(names[who], (rng.random(users) < share)[who], known).rates(Metric.QUALITY)
        told += found is not None and found.differ
    assert told <= 5


@pytest.mark.parametrize(
    ("candidate_rate", "stable_rate", "differ"),
    [
        pytest.param(0.8, 0.2, True, id="four to one"),
        pytest.param(1.0, 0.04, True, id="all of one arm"),
        pytest.param(0.0, 0.2, True, id="none of one arm"),
        pytest.param(0.2, 0.2, False, id="alike"),
        pytest.param(1.0, 1.0, False, id="all"),
        pytest.param(0.0, 0.0, False, id="none"),
    ],
)
def test_a_difference_is_told(candidate_rate: float, stable_rate: float, *, differ: bool) -> None:
    """A hundred requests of the candidate's are enough for a large one."""
    rng = np.random.default_rng(2)
    candidate = np.arange(2000) < 100
    known = rng.random(2000) < np.where(candidate, candidate_rate, stable_rate)
    assert rates(np.arange(2000), candidate, known).differ is differ


def test_a_user_is_no_difference() -> None:
    """However many requests one makes."""
    units = np.concatenate([np.arange(1000), np.full(500, 5000)])
    found = rates(units, np.arange(1500) % 2 == 1, units != 5000)
    assert not found.differ
    of_one = rates(units, units == 5000, units != 5000)
    assert (of_one.candidate, of_one.stable, of_one.differ) == (0.0, 1.0, False)


def test_an_arm_without_requests_has_no_rate() -> None:
    """There is nothing to compare."""
    assert measured(np.arange(9), np.zeros(9, np.bool_), np.ones(9, np.bool_)).rates(Metric.QUALITY) is None


@pytest.mark.parametrize(
    ("metric", "candidate", "stable", "said"),
    [
        pytest.param(
            Metric.QUALITY,
            0.8,
            0.2,
            "quality was scored for 80 % of the candidate's answers and 20 % of stable's",
            id="scores",
        ),
        pytest.param(
            Metric.SATISFACTION,
            0.0512,
            0.0538,
            "satisfaction was rated for 5.1 % of the candidate's answers and 5.4 % of stable's",
            id="ratings, as few digits as tell them apart",
        ),
        pytest.param(
            Metric.LATENCY,
            0.9996,
            1.0,
            "latency was measured for 99.96 % of the candidate's answers and 100 % of stable's",
            id="nearly all isn't all",
        ),
        pytest.param(
            Metric.ERRORS,
            0.5,
            1.0,
            "errors were measured for 50 % of the candidate's requests and 100 % of stable's",
            id="of failed requests too",
        ),
    ],
)
def test_both_rates_are_said_in_words(metric: Metric, candidate: float, stable: float, said: str) -> None:
    """As a sentence."""
    assert Rates(metric, candidate, stable, differ=True).said == said


@pytest.mark.parametrize(
    ("metric", "candidate", "differ", "is_invalid"),
    [
        pytest.param(Metric.LATENCY, 0.6, True, True, id="what is missing may have been slow"),
        pytest.param(Metric.LATENCY, 0.6, False, False, id="chance"),
        pytest.param(Metric.LATENCY, 0.995, True, False, id="so little that it makes no difference"),
        pytest.param(Metric.QUALITY, 0.6, True, False, id="of scores there is a sample"),
    ],
)
def test_what_is_missing_in_one_arm_is_a_doubt(
    metric: Metric, candidate: float, *, differ: bool, is_invalid: bool
) -> None:
    """Unless there is a sample anyway, which may be larger in one arm."""
    assert (Rates(metric, candidate, 1.0, differ).validity_error is not None) is is_invalid
