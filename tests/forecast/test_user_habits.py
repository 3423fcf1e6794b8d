"""How users come back: measured, and imagined from what a person says."""

import numpy as np
import pytest

from softlaunch.forecast.user_habits import (
    Habits,
    count_regulars,
    imagine_arrivals,
    imagine_visits,
    measured_habits,
    visit_lengths,
)
from softlaunch.gates.observations import Events


def distinct(users: int, requests: int = 2**14) -> list[tuple[float, float]]:
    """How many of so many users the first 1, 2, 4, ... requests came from."""
    units = np.random.default_rng(2).integers(0, users, requests)
    firsts = np.sort(np.unique(units, return_index=True)[1])
    return [(2.0**power, float(np.searchsorted(firsts, 2**power))) for power in range(15)]


@pytest.mark.parametrize("users", [40, 300, 4000])
def test_regular_users_are_counted(users: int) -> None:
    """To within a tenth, also where some were not seen yet."""
    assert count_regulars(distinct(users)) == pytest.approx(users, rel=0.1)


def test_users_of_whom_new_ones_come_are_not_counted() -> None:
    """Neither where most are new, nor where too little was seen."""
    assert count_regulars(distinct(10**6)) is None
    assert count_regulars([(1, 1), (2, 1), (4, 1)]) is None
    assert count_regulars([]) is None


def test_imagined_users_are_measured_as_they_were_said() -> None:
    """Three requests a visit are three or a bit less, of whom pauses ended the visit."""
    habits = measured_habits(imagine_arrivals(10, 3, None), None)
    assert habits.comes_back
    assert habits.requests_per_visit == pytest.approx(3, abs=0.6)
    assert habits.visit_seconds > 30


def test_users_who_come_once_don_t_come_back() -> None:
    """A visit is one request."""
    assert measured_habits(imagine_arrivals(10, 1, None), None) == Habits()


def test_a_few_regular_users_come_back_all_the_time() -> None:
    """Their visits a day follow from how many requests there are."""
    habits = measured_habits(imagine_arrivals(1, 1, 100), 100)
    assert habits.comes_back
    assert habits.visits_per_day is not None
    assert habits.visits_per_day * habits.requests_per_visit * 100 == pytest.approx(86400, rel=0.5)


def test_values_keep_how_frequent_they_are() -> None:
    """Whatever the correlation; and requests of a visit are alike."""
    values = np.repeat([0.0, 1.0], [950, 50])
    visits = imagine_visits(values, np.array([5]), 0.3)
    assert visits.values.mean() == pytest.approx(0.05, abs=0.001)
    assert 0.02 < visits.correlation(visits.values) < 0.3
    normal = imagine_visits(np.random.default_rng(1).normal(size=4000), np.array([5]), 0.3)
    assert normal.correlation(normal.values) == pytest.approx(0.3, abs=0.05)


def test_what_is_seldom_seen_is_seen_in_parts_of_visits() -> None:
    """One in ten answers is rated: mostly one of a visit."""
    visits = imagine_visits(np.linspace(0, 1, 1000), np.array([5]), 0.3, share=0.1)
    assert visits.lengths.mean() < 1.5


def test_lengths_are_those_of_the_newest_requests() -> None:
    """Of each user's first visit among them."""
    came = Events(np.arange(6.0), np.array([1, 1, 1, 2, 2, 3]), np.zeros(6, np.bool_))
    assert visit_lengths(came).sum() <= 6
