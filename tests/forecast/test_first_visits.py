"""The sample of first visits that a plan is made from."""

import numpy as np
import pytest

from softlaunch.forecast.first_visits import FirstVisits, seconds_until_over
from softlaunch.gates.observations import Events
from softlaunch.gates.visits import VisitRule

RULE = VisitRule(most=3, pause=10.0, age=40.0)


def make_events(*visits: tuple[int, tuple[float, ...]]) -> Events:
    """Requests of stable, as (unit, times)."""
    units = np.array([unit for unit, times in visits for _ in times], dtype=np.int64)
    at = np.array([one for _, times in visits for one in times])
    order = np.argsort(at, kind="stable")
    return Events(at[order], units[order], np.zeros(len(at), np.bool_))


def test_a_visit_ends_by_a_pause_and_by_its_length() -> None:
    """What comes after either belongs to no first visit."""
    events = make_events((1, (0, 1, 2, 3)), (2, (0.5, 4, 30)))
    visits = FirstVisits.of_events(events, events.at, RULE)
    assert visits.lengths.tolist() == [3, 2]
    assert visits.values.tolist() == [0, 1, 2, 0.5, 4]


def test_requests_that_were_not_measured_are_left_out() -> None:
    """And so are visits without any that were."""
    events = make_events((1, (0, 1)), (2, (0.5, 4)))
    visits = FirstVisits.of_events(events, np.array([np.nan, 7.0, np.nan, np.nan]), RULE)
    assert (visits.values.tolist(), visits.lengths.tolist()) == ([7.0], [1])


def test_nothing_is_no_visit() -> None:
    """An app without a past has none."""
    events = make_events()
    assert len(FirstVisits.of_events(events, events.at, RULE)) == 0
    assert seconds_until_over(events, RULE) == RULE.pause


def test_means_are_those_of_each_visit() -> None:
    """Column by column."""
    visits = FirstVisits.of_lengths(np.array([1.0, 3.0, 5.0]), np.array([2, 1]))
    assert visits.means(np.stack([visits.values, -visits.values], axis=1)).tolist() == [[2, -2], [5, -5]]


def test_a_visit_lasts_until_it_is_known_to_be_over() -> None:
    """At its last request where it is full, else when the pause has gone by."""
    assert seconds_until_over(make_events((1, (0, 1, 2, 3)), (2, (0, 4))), RULE) == pytest.approx((2 + 14) / 2)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.8])
def test_the_correlation_is_found(correlation: float) -> None:
    """Of visits of unequal lengths, to within 0.05."""
    rng = np.random.default_rng(8)
    lengths = rng.integers(1, 6, 3000)
    own = np.repeat(rng.normal(size=len(lengths)), lengths)
    values = np.sqrt(correlation) * own + np.sqrt(1 - correlation) * rng.normal(size=len(own))
    visits = FirstVisits.of_lengths(values, lengths)
    assert visits.correlation(values) == pytest.approx(correlation, abs=0.05)


def test_single_requests_have_no_correlation() -> None:
    """Nothing can be told of how alike they are."""
    assert FirstVisits.alone(np.arange(9.0)).correlation(np.arange(9.0)) == 0
