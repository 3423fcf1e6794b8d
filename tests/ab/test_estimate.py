"""Differences between the arms: their errors, at a planned end and at any time."""

import numpy as np
import pytest
from scipy import stats

from softlaunch.ab.analysis import Moment, analyse, change, planned_information
from softlaunch.ab.estimate import ENOUGH, at_any_time, ratio, welch
from softlaunch.ab.samples import Arms, Sample, sharpen
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Interval
from softlaunch.policy.ab import AbPolicy

RNG = np.random.default_rng


def test_it_is_welchs_test() -> None:
    """Statistic, p-value and interval agree with scipy's."""
    rng = RNG(3)
    a, b = rng.normal(0.8, 0.3, 90), rng.normal(0.85, 0.1, 40)
    found = welch(Sample.of(a), Sample.of(b))
    known = stats.ttest_ind(b, a, equal_var=False)
    assert found is not None
    assert 2 * stats.norm.sf(abs(found.z)) == pytest.approx(known.pvalue)
    assert found.freedom == pytest.approx(known.df)
    interval = found.within(stats.norm.isf(0.025))
    assert (interval.lower, interval.upper) == pytest.approx(tuple(known.confidence_interval(0.95)))


def test_too_few_units_say_nothing() -> None:
    """Missing evidence is None, never zero."""
    assert welch(Sample.of(np.ones(ENOUGH - 1)), Sample.of(np.ones(500))) is None
    assert ratio(Sample.of(np.empty(0)), Sample.of(np.empty(0))) is None


def test_values_that_never_vary_leave_room_for_what_was_not_seen() -> None:
    """Thirty good ratings on each side are no proof of equality."""
    found = welch(Sample.of(np.ones(30)), Sample.of(np.ones(30)))
    assert found is not None
    assert found.value == 0
    assert found.error > 0.02


def test_a_relative_change_covers_the_truth() -> None:
    """Seeded: of 600 intervals for a cost that is 30 % lower about 95 % hold it."""
    rng = RNG(5)
    held = 0
    for _ in range(600):
        a, b = rng.lognormal(0, 0.6, 400), 0.7 * rng.lognormal(0, 0.6, 400)
        found = ratio(Sample.of(a), Sample.of(b))
        assert found is not None
        interval = found.within(stats.norm.isf(0.025))
        held += interval.lower <= -0.3 <= interval.upper
    assert held / 600 == pytest.approx(0.95, abs=0.025)


@pytest.mark.long
def test_the_interval_for_any_time_holds_at_every_look_together() -> None:
    """Seeded: of 400 A/A tests looked at 40 times at most 5 % are ever told apart; ordinary intervals do so often."""
    rng = RNG(9)
    needed = planned_information(AbPolicy())
    ever, ordinary = 0, 0
    for _ in range(400):
        a, b = (rng.random(4000) < 0.8).astype(float), (rng.random(4000) < 0.8).astype(float)
        looks = [welch(Sample.of(a[:count]), Sample.of(b[:count])) for count in range(100, 4001, 100)]
        ever += any(_excludes_zero(at_any_time(look, 0.05, needed)) for look in looks if look)
        ordinary += any(_excludes_zero(look.within(1.96)) for look in looks if look)
    assert ever / 400 <= 0.05
    assert ordinary / 400 > 0.2


def _excludes_zero(interval: Interval) -> bool:
    return interval.lower > 0 or interval.upper < 0


def test_what_units_did_before_sharpens_the_comparison_and_moves_nothing() -> None:
    """Seeded: the error shrinks as much as the past explains, and the mean of many estimates is the true difference."""
    rng = RNG(13)
    plain: list[float] = []
    adjusted: list[float] = []
    saved: list[float] = []
    for _ in range(200):
        own = rng.normal(0.7, 0.2, 800)
        on_b = rng.random(800) < 0.5
        values = own + rng.normal(0, 0.1, 800) + 0.02 * on_b
        before = np.where(rng.random(800) < 0.8, own + rng.normal(0, 0.1, 800), np.nan)
        a, b = Sample.of(values[~on_b], before[~on_b]), Sample.of(values[on_b], before[on_b])
        sharpened = sharpen(a, b)
        for kept, sides in ((plain, (a, b)), (adjusted, (sharpened.a, sharpened.b))):
            found = welch(*sides)
            assert found is not None
            kept.append(found.value)
        saved.append(sharpened.saved_variance)
    assert np.mean(adjusted) == pytest.approx(0.02, abs=0.002)
    assert np.std(adjusted) < 0.8 * np.std(plain)
    assert np.mean(saved) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("metric", [Metric.LATENCY, Metric.COST], ids=str)
def test_a_saving_that_is_not_shown_has_an_interval_on_both_sides_of_nothing(metric: Metric) -> None:
    """As a relative change, whichever way it was compared: else a chance difference would decide between equals."""
    rng = RNG(17)
    a, b = rng.lognormal(0, 0.6, 200), 0.97 * rng.lognormal(0, 0.6, 200)
    arms = Arms({metric: Sample.of(a)}, {metric: Sample.of(b)}, (200, 200))
    found = analyse(arms, AbPolicy(), Moment(looks=1, number=1, planned=True)).saving(metric)
    assert found is not None
    assert found.beyond() == 0
    for interval in (found.interval, found.anytime, found.equal_interval):
        assert -1 < interval.lower < change(found) < interval.upper < 1
    assert found.anytime.lower < found.interval.lower < found.equal_interval.lower
    assert found.anytime.upper > found.interval.upper > found.equal_interval.upper


@pytest.mark.parametrize("units", [(500, 440), (900, 1100), (40, 60), (50, 50)], ids=str)
def test_the_split_is_doubted_as_much_as_the_binomial_test_doubts_it(units: tuple[int, int]) -> None:
    """By its p-value, two-sided, which a split as it was set leaves at one."""
    found = analyse(Arms(units=units), AbPolicy(), Moment(looks=1, number=1, planned=True)).split_p
    assert found == pytest.approx(stats.binomtest(units[1], sum(units)).pvalue, rel=0.02)


def test_without_a_past_nothing_is_sharpened() -> None:
    """New units are compared as they are."""
    a, b = Sample.of(np.arange(40.0)), Sample.of(np.arange(40.0) + 1)
    assert sharpen(a, b).a is a
    assert sharpen(a, b).saved_variance == 0
