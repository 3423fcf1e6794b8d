"""What of a metric is bet on."""

import json
from typing import Any

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.bets import Bets
from softlaunch.gates.channels import MagnitudeChannels, ShareChannels, make_channels
from softlaunch.gates.observations import NO_EVENTS, Events, Flags, Floats

SHARES = [metric for metric in Metric if not metric.is_relative]
MARGIN = 0.2


def requests(metric: Metric, values: Floats) -> Events:
    """Stable's requests, one a second."""
    count = len(values)
    return Events(np.arange(float(count)), np.arange(count), np.zeros(count, np.bool_), {metric: values})


def latency(rng: np.random.Generator, count: int) -> Floats:
    """About 800 ms."""
    return np.asarray(800 * rng.lognormal(0, 0.4, count))


def placed(channel: Any, values: Floats, arm: Flags, past: Floats, share: float = 0.5) -> Bets:
    """Bets on entries of one request each, knowing the past."""
    known = channel.known()
    for name, column in zip(channel.names, channel.columns(past).T, strict=True):
        if name in known:
            known[name].add(np.exp(column) if name == "log" else column)
    bets = Bets(channel.weights)
    channel.bet(bets, dict(zip(channel.names, channel.columns(values).T, strict=True)), known, arm, share)
    return bets


@pytest.mark.parametrize("metric", Metric)
def test_the_kinds_of_bets_share_one_stake(metric: Metric) -> None:
    """Else their mean would be no e-value."""
    assert sum(np.concatenate(list(make_channels(metric, MARGIN).weights.values()))) == pytest.approx(1.0)


@pytest.mark.parametrize("metric", SHARES)
def test_more_harm_is_worse_on_every_share(metric: Metric) -> None:
    """Turned where a higher value is better, and cut to what a share may be."""
    harm = ShareChannels(metric).columns(np.array([0.25, np.nan, 7.0, -7.0]))[:, 0]
    better = metric in {Metric.QUALITY, Metric.SATISFACTION, Metric.AGREEMENT, Metric.PREFERENCE}
    np.testing.assert_array_equal(harm, [0.75, np.nan, 0.0, 1.0] if better else [0.25, np.nan, 1.0, 0.0])


@pytest.mark.parametrize("metric", SHARES)
def test_events_are_bet_on_where_the_metric_counts_them(metric: Metric) -> None:
    """A quality is judged by its mean alone."""
    rng = np.random.default_rng(2)
    past = (rng.random(200) < 0.1).astype(np.float64)
    bets = placed(ShareChannels(metric), past[:40], np.arange(40) % 2 == 0, past)
    assert set(bets.log_e_values) == ({"mean", "any"} if metric.is_event else {"mean"})


@pytest.mark.parametrize(
    ("metric", "good", "bad"),
    [
        pytest.param(Metric.ERRORS, 0.02, 0.3, id="errors"),
        pytest.param(Metric.QUALITY, 0.9, 0.5, id="quality"),
    ],
)
def test_harm_of_a_share_is_evidence(metric: Metric, good: float, bad: float) -> None:
    """And its size is the difference of the means; where arms are alike there is neither."""
    rng = np.random.default_rng(3)
    arm = rng.random(600) < 0.5
    past = (rng.random(500) < good).astype(np.float64)
    worse = placed(make_channels(metric, MARGIN), (rng.random(600) < np.where(arm, bad, good)).astype(float), arm, past)
    alike = placed(make_channels(metric, MARGIN), (rng.random(600) < good).astype(float), arm, past)
    assert worse.log_evidence > 15
    assert alike.log_evidence < 1
    harm, error = make_channels(metric, MARGIN).harm(worse)
    assert harm == pytest.approx(abs(bad - good), abs=3 * error)
    assert 0.01 < error < 0.04
    assert not make_channels(metric, MARGIN).is_slower(worse)


@pytest.mark.parametrize("metric", [metric for metric in Metric if metric.is_relative])
def test_harm_of_a_magnitude_is_evidence(metric: Metric) -> None:
    """And its size is the relative change of the geometric mean, whatever the metric's unit."""
    rng = np.random.default_rng(4)
    past, values, arm = 1e-3 * latency(rng, 500), 1e-3 * latency(rng, 400), rng.random(400) < 0.5
    channel = make_channels(metric, MARGIN, requests(metric, past))
    worse = placed(channel, values * np.where(arm, 1.5, 1.0), arm, past)
    assert worse.log_evidence > 15
    assert placed(channel, values, arm, past).log_evidence < 1
    harm, error = channel.harm(worse)
    assert harm == pytest.approx(0.5, abs=3 * error)
    assert error < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_a_slow_tail_is_evidence_behind_a_typical_value_that_stands_still(seed: int) -> None:
    """Of one request in twenty that is ten times as slow the count of slow ones says more than ranks do."""
    rng = np.random.default_rng(seed)
    past, values, arm = latency(rng, 2000), latency(rng, 4000), rng.random(4000) < 0.5
    channel = MagnitudeChannels.of(Metric.LATENCY, MARGIN, requests(Metric.LATENCY, past))
    bets = placed(channel, values * np.where(arm & (rng.random(4000) < 0.05), 10, 1), arm, past)
    assert bets.log_evidence > 15
    assert (
        bets.log_e_values["slowest 1 %"].max() > bets.log_e_values["slowest 5 %"].max() > bets.log_e_values["log"].max()
    )
    assert channel.is_slower(bets)


def test_a_tail_beyond_the_margin_is_told_from_one_within_it() -> None:
    """Slower by the margin at the 95th percentile is still acceptable."""
    rng = np.random.default_rng(6)
    past, values, arm = latency(rng, 5000), latency(rng, 5000), rng.random(5000) < 0.5
    channel = MagnitudeChannels.of(Metric.LATENCY, MARGIN, requests(Metric.LATENCY, past))
    for factor, slower in ((1.0, False), (1.1, False), (1.4, True)):
        assert channel.is_slower(placed(channel, values * np.where(arm, factor, 1.0), arm, past)) is slower


@pytest.mark.parametrize("free", ["candidate", "stable"])
def test_a_few_free_answers_are_no_change_of_the_usual_cost(free: str) -> None:
    """One answer in a hundred that costs nothing, in one arm alone, neither makes harm nor hides it."""
    rng = np.random.default_rng(12)
    past, values, arm = latency(rng, 3000), latency(rng, 8000), rng.random(8000) < 0.5
    channel = make_channels(Metric.COST, MARGIN, requests(Metric.COST, past))
    without = arm if free == "candidate" else ~arm
    some_free = np.where(without & (rng.random(8000) < 0.01), 0.0, values)
    for factor in (1.0, 1.3):
        harm, error = channel.harm(placed(channel, some_free * np.where(arm, factor, 1.0), arm, past))
        assert harm == pytest.approx(factor - 1, abs=0.05 + 2 * error)
    assert np.exp(channel.columns(np.zeros(1))[0, 0]) > np.median(past) / 100


@pytest.mark.parametrize("metric", Metric)
def test_nothing_is_bet_before_enough_is_known(metric: Metric) -> None:
    """But what was seen counts for the estimates."""
    values, arm = np.array([0.5, 0.25] * 30), np.array([True, False] * 30)
    bets = placed(make_channels(metric, MARGIN), values, arm, np.array([0.5] * 49))
    assert (bets.log_evidence, bets.log_e_values) == (0.0, {})
    assert bets.means(make_channels(metric, MARGIN).names[0]).candidate.count == 30


@pytest.mark.parametrize("metric", Metric)
def test_without_entries_of_an_arm_there_is_no_estimate(metric: Metric) -> None:
    """No harm, and no certainty of it."""
    channel = make_channels(metric, MARGIN)
    for arms in ([True, True], [False, False], []):
        bets = placed(channel, np.array([0.5] * len(arms)), np.array(arms, np.bool_), np.empty(0))
        assert channel.harm(bets) == (0.0, np.inf)
        assert not channel.is_slower(bets)


@pytest.mark.parametrize("value", [np.inf, 0.0, 1e300], ids=["endless", "free", "absurd"])
@pytest.mark.parametrize("metric", [metric for metric in Metric if metric.is_relative])
def test_every_figure_stays_a_number(metric: Metric, value: float) -> None:
    """An endless request is the slowest of all, and what is stored of it is JSON; so is the least of all."""
    rng = np.random.default_rng(7)
    past, arm = latency(rng, 200), np.array([True, False] * 100)
    channel = make_channels(metric, MARGIN, requests(metric, past))
    bets = placed(channel, np.where(arm, value, latency(rng, 200)), arm, past)
    assert np.isfinite(bets.log_evidence)
    assert np.isfinite(channel.harm(bets)).all()
    assert (channel.harm(bets)[0] > MARGIN) is (value > 0)
    json.dumps([bets.dump(), channel.dump()], allow_nan=False)


def test_without_a_past_nothing_is_slow() -> None:
    """Infinite edges are stored as none."""
    channel = MagnitudeChannels.of(Metric.LATENCY, MARGIN, NO_EVENTS)
    np.testing.assert_array_equal(channel.columns(np.array([1e9, np.nan]))[:, 1:], [[0, 0, 0], [np.nan] * 3])
    assert channel.dump() == {"margin": MARGIN, "edges": [None] * 3, "floor": channel.floor, "since": None}


def test_a_channel_is_taught_once_enough_is_known() -> None:
    """Two hundred values tell what the slowest of a hundred is; what it was taught stays in store."""
    rng = np.random.default_rng(11)
    channel = MagnitudeChannels.of(Metric.LATENCY, MARGIN, NO_EVENTS)
    assert channel.taught(latency(rng, 199)) == channel
    values = latency(rng, 200)
    taught = channel.taught(values)
    slow, slowest = np.quantile(values, [0.95, 0.99])
    assert (channel.knows_tails, taught.knows_tails) == (False, True)
    assert taught.edges == pytest.approx((slow, slowest, slow * (1 + MARGIN)))
    assert taught.floor == pytest.approx(np.quantile(values, 0.05) / 10)
    assert taught.dump() == {"margin": MARGIN, "edges": list(taught.edges), "floor": taught.floor, "since": None}
