"""What is remembered of stable's traffic."""

import json

import numpy as np
import pytest

from softlaunch.gates.observations import Tally
from softlaunch.gates.reference import Histogram, log_buckets, log_values


def tally_of(values: np.ndarray) -> Tally:
    """A tally of these values, each of a unit of its own."""
    return Tally.of(np.arange(len(values)), log_buckets(values))


def histogram_of(*values: float) -> Histogram:
    """A histogram of these values."""
    filled = Histogram()
    filled.add(tally_of(np.array(values)))
    return filled


def bucket(value: float) -> int:
    """The bucket of one value."""
    return int(log_buckets(np.array([value]))[0])


@pytest.mark.parametrize("size", [1e-9, 1e-5, 1.0, 1e6])
def test_a_bucket_gives_its_values_back_to_one_percent_at_any_size(size: float) -> None:
    """Costs of billionths are as fine as latencies of minutes."""
    values = size * np.random.default_rng(5).lognormal(0, 1, 20_000)
    assert log_values(log_buckets(values)) == pytest.approx(values, rel=0.0101)
    filled = histogram_of(*values)
    for share in (0.05, 0.5, 0.95):
        found = filled.quantile(share)
        assert found is not None
        assert log_values(np.array([found]))[0] == pytest.approx(np.quantile(values, share), rel=0.015)


def test_zeros_have_a_bucket_of_their_own() -> None:
    """A free answer costs less than any price, and is zero again when read; so is what is less than free."""
    assert log_values(log_buckets(np.array([0.0, -1.0]))).tolist() == [0.0, 0.0]
    assert bucket(0.0) < bucket(1e-12)


def test_there_are_only_so_many_buckets() -> None:
    """Values beyond any latency or price stay the largest, so that no traffic can swell the state."""
    assert bucket(np.inf) == bucket(1e300) == bucket(1e18)
    assert bucket(1e300) - bucket(0.0) == 4000


def test_an_empty_histogram_has_no_quantile() -> None:
    """Nothing known is not zero."""
    assert Histogram().quantile(0.5) is None


def test_ties_share_their_rank() -> None:
    """Constant values rank in the middle, what is below at 0 and what is above at 1."""
    filled = histogram_of(*[5.0] * 100)
    assert filled.ranks(log_buckets(np.array([4.0, 5.0, 6.0]))).tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_ranks_are_uniform_on_average() -> None:
    """What a histogram holds ranks one half in it on average, which makes stable comparable with itself."""
    filled = histogram_of(*np.random.default_rng(2).lognormal(0, 1, 500))
    held = filled.tally()
    assert filled.ranks(held.index) @ held.weight / held.units == pytest.approx(0.5)


@pytest.mark.parametrize("factor", [0.5, 1.05, 1.072, 1.1, 1.25, 4.0])
def test_values_larger_by_a_factor_rank_one_half_once_divided_by_it(factor: float) -> None:
    """Also by one that moves them by half a bucket: what is compared with is the policy's margin, not a rounded one.

    Rounding to whole buckets would be off by 0.01 and more at 1.072.
    """
    values = np.random.default_rng(3).lognormal(0, 0.3, 50_000)
    filled = histogram_of(*values)
    larger = tally_of(factor * values)
    ranks = filled.ranks_divided(larger.index, np.array([factor]))[0]
    assert ranks @ larger.weight / larger.units == pytest.approx(0.5, abs=0.0005)


def test_dividing_by_one_changes_no_rank_and_zero_stays_zero() -> None:
    """Without a margin values rank as they are; a free answer stays free by whatever it is divided."""
    filled = histogram_of(0.0, 1.0, 2.0, 3.0)
    index = log_buckets(np.array([0.0, 2.0]))
    ranks = filled.ranks_divided(index, np.array([1.0, 1.1, 0.05]))
    assert ranks[0].tolist() == filled.ranks(index).tolist()
    assert ranks[:, 0].tolist() == [0.125] * 3


def test_older_values_fade() -> None:
    """About as many values remain as are to be remembered, and the newest count most."""
    filled = Histogram()
    for size in (1.0, 10.0):
        for _ in range(10):
            filled.add(tally_of(np.full(100, size)), memory=500)
    assert filled.total == pytest.approx(500)
    assert filled.quantile(0.25) == bucket(10.0)


def test_what_has_faded_away_takes_no_room() -> None:
    """Buckets that nothing has fallen into for long are dropped."""
    filled = histogram_of(*np.geomspace(1.0, 100.0, 200))
    for _ in range(200):
        filled.add(tally_of(np.full(100, 5.0)), memory=500)
    assert filled.index.tolist() == [bucket(5.0)]


def test_a_tally_larger_than_the_memory_replaces_it() -> None:
    """The newest values alone remain."""
    filled = histogram_of(*[1.0] * 50)
    filled.add(tally_of(np.full(600, 10.0)), memory=500)
    assert (filled.index.tolist(), filled.weight.tolist()) == ([bucket(10.0)], [600.0])


def test_where_all_is_free_free_is_better_than_any_factor() -> None:
    """Else a candidate of an app that costs nothing could never be shown to cost no more."""
    ranks = histogram_of(*[0.0] * 60).ranks_divided(log_buckets(np.array([0.0, 1e-5])), np.array([0.5, 1.0, 1.1]))
    assert ranks[:, 0].tolist() == [1.0, 0.5, 0.0]
    assert ranks[:, 1].tolist() == [1.0] * 3


def test_a_histogram_that_is_stored_is_the_same_histogram() -> None:
    """To the last digit, also of counts that have faded; and pairs are read, as they were stored once."""
    filled = histogram_of(0.0, *np.random.default_rng(2).lognormal(0, 1, 700))
    for value in (1.0, 2.0, 1e9):
        filled.add(tally_of(np.full(30, value)), memory=500.0)
    again = Histogram.load(json.loads(json.dumps(filled.dump())))
    paired = Histogram.load(list(zip(filled.index.tolist(), filled.weight.tolist(), strict=True))[::-1])
    for other in (again, paired):
        np.testing.assert_array_equal(other.index, filled.index)
        np.testing.assert_array_equal(other.weight, filled.weight)
        other.add(tally_of(np.array([1.0, 3.0])), memory=500.0)
    assert again.dump() == paired.dump()
    assert Histogram.load([]).dump() == Histogram.load(Histogram().dump()).dump() == {"steps": [], "weight": []}


def test_a_histogram_counts_what_a_dictionary_would() -> None:
    """Over many additions, of buckets old and new; what it was given isn't changed."""
    rng = np.random.default_rng(4)
    filled, expected = Histogram(), dict[int, float]()
    for _ in range(30):
        seen = tally_of(rng.lognormal(0, 1, 20))
        kept = filled.tally()
        before = kept.weight.copy()
        filled.add(seen)
        np.testing.assert_array_equal(kept.weight, before)
        for index, weight in zip(seen.index.tolist(), seen.weight.tolist(), strict=True):
            expected[index] = expected.get(index, 0.0) + weight
    assert dict(zip(filled.index.tolist(), filled.weight.tolist(), strict=True)) == dict(sorted(expected.items()))
    assert filled.total == 600
