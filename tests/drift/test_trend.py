"""Trends of live traffic: bands, and the week of a change."""

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.drift.trend import WEEK, Week, trend_of


def weeks(levels: list[float], seed: int, units: int = 120) -> list[Week]:
    """Good or bad ratings of so many users a week."""
    rng = np.random.default_rng(seed)
    return [
        Week(number * WEEK, tuple((rng.random(units) < level).astype(float))) for number, level in enumerate(levels)
    ]


def test_a_change_is_found_in_its_week() -> None:
    """With both levels."""
    trend = trend_of(Metric.SATISFACTION, weeks([0.85] * 9 + [0.7] * 7, 3), np.random.default_rng(1), 0.95)
    assert trend.change is not None
    assert abs(trend.change.begins_at / WEEK - 9) <= 1
    assert trend.change.before == pytest.approx(0.85, abs=0.03)
    assert trend.change.after == pytest.approx(0.7, abs=0.03)


def test_a_steady_level_has_no_change_in_all_but_a_few_cases() -> None:
    """Seeded: of 200 steady halves of a year at most about 5 % have one."""
    rng = np.random.default_rng(7)
    found = sum(
        trend_of(Metric.SATISFACTION, weeks([0.8] * 12, seed, 60), rng, 0.95).change is not None for seed in range(200)
    )
    assert found / 200 <= 0.05 + 3.09 * np.sqrt(0.05 * 0.95 / 200)


def test_the_bands_hold_the_truth() -> None:
    """Seeded: 95 % of 2,000 weeks."""
    levels = trend_of(Metric.SATISFACTION, weeks([0.8] * 2000, 11), np.random.default_rng(1), 1 - 1e-9).weeks
    assert np.mean([week.low <= 0.8 <= week.high for week in levels]) == pytest.approx(0.95, abs=0.02)


def test_weeks_with_few_users_say_nothing() -> None:
    """They are left out, and with too few weeks there is no change to look for."""
    trend = trend_of(Metric.QUALITY, weeks([0.9, 0.1], 1, units=9), np.random.default_rng(1), 0.95)
    assert (trend.weeks, trend.change) == ((), None)


def test_a_week_without_any_bad_rating_has_a_band() -> None:
    """Twenty good ratings are no certainty."""
    (week,) = trend_of(Metric.SATISFACTION, weeks([1.0], 1, units=20), np.random.default_rng(1), 0.95).weeks
    assert week.low < 1.0 == week.high
