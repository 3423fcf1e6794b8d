"""What gates see: known values, windows of several gateways, and units that count once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import NO_EVENTS, NONE, Observations, Tally, Window

_REQUESTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=60)


def seen(units: list[int], values: list[float]) -> Observations:
    """Values and whose they are."""
    return Observations.of(np.array(units), np.array(values, dtype=np.float64))


def test_values_that_were_not_measured_are_left_out() -> None:
    """NaN is no value; its unit goes with it."""
    known = seen([1, 2, 3], [0.5, np.nan, 0.7])
    assert known.units.tolist() == [1, 3]
    assert known.values.tolist() == [0.5, 0.7]
    assert len(known) == 2
    assert len(NONE) == 0


def test_a_unit_counts_once_spread_over_its_requests() -> None:
    """Three requests of unit 7 weigh a third each, whichever bucket they fall into."""
    tally = Tally.of(np.array([7, 3, 7, 5, 7]), np.array([2, 0, 0, 0, 2]))
    assert tally.index.tolist() == [0, 2]
    assert tally.weight.tolist() == pytest.approx([1 + 1 / 3 + 1, 2 / 3])
    assert tally.units == pytest.approx(3)
    assert tally.requests == 5


@given(_REQUESTS)
def test_weights_add_up_to_the_number_of_units(requests: list[tuple[int, int]]) -> None:
    """However requests are spread over units and buckets, buckets come out ascending and no unit is lost."""
    units, index = (np.array([one[at] for one in requests], dtype=np.int64) for at in (0, 1))
    tally = Tally.of(units, index)
    assert tally.units == pytest.approx(len(set(units.tolist())))
    assert tally.requests == len(requests)
    assert tally.index.tolist() == sorted(set(index.tolist()))
    assert (tally.weight > 0).all()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(-1, 1)), min_size=1, max_size=40),
    st.floats(-0.999, 0.999),
)
def test_spread_bets_never_gain_more_than_one_bet_on_the_mean(requests: list[tuple[int, float]], stake: float) -> None:
    """The arithmetic mean is above the geometric: what a unit's requests win together is at most what their mean wins.

    So requests that resemble each other can't make the evidence invalid.
    """
    units = np.array([unit for unit, _ in requests])
    values = np.array([value for _, value in requests])
    tally = Tally.of(units, np.arange(len(values)))
    spread = float(np.log1p(stake * values) @ tally.weight)
    means = np.array([values[units == unit].mean() for unit in np.unique(units)])
    assert spread <= float(np.log1p(stake * means).sum()) + 1e-9


def test_nothing_tallies_to_nothing() -> None:
    """An empty arm stays empty."""
    tally = Tally.of(NONE.units, NONE.units)
    assert (tally.units, tally.requests, len(tally.index)) == (0.0, 0, 0)


def test_windows_of_two_gateways_add_up() -> None:
    """Values of both are there, also those of a metric or an arm that only one has seen; units of the split add up."""
    one = Window(0.1, {Metric.ERRORS: seen([1], [0.0])}, {Metric.ERRORS: seen([2, 3], [0.0, 1.0])}, ByArm(1, 2))
    other = Window(0.1, {}, {Metric.ERRORS: seen([4], [1.0]), Metric.COST: seen([4], [2e-5])}, ByArm(0, 1))
    both = one.merge(other)
    assert both.candidate[Metric.ERRORS].units.tolist() == [1]
    assert both.stable[Metric.ERRORS].units.tolist() == [2, 3, 4]
    assert both.stable[Metric.COST].values.tolist() == [2e-5]
    assert both.split == ByArm(1, 3)


def test_a_window_without_a_split_leaves_the_others() -> None:
    """Copies have no split; where neither has one there is none."""
    assert Window(0.5, split=ByArm(3, 4)).merge(Window(0.5)).split == ByArm(3, 4)
    assert Window(0.5).merge(Window(0.5)).split is None


def test_windows_of_different_shares_do_not_merge() -> None:
    """What was split differently isn't one window."""
    with pytest.raises(ValueError, match=r"different splits: 0\.1 and 0\.5"):
        Window(0.1).merge(Window(0.5))


def test_a_gateway_that_heard_nothing_does_not_make_requests_unknown() -> None:
    """No requests, and requests that can't be told apart, are different things."""
    silent, blind = Window(0.5, requests=NO_EVENTS), Window(0.5)
    assert silent.merge(blind).requests is NO_EVENTS
    assert blind.merge(silent).requests is NO_EVENTS
    assert blind.merge(blind).requests is None
