"""How values become harm."""

import json

import numpy as np
import pytest

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.e_process import largest_stake
from softlaunch.gates.observations import NONE, Observations
from softlaunch.gates.reference import ENOUGH
from softlaunch.gates.scales import Scale, is_ready, learn, make_scale


def seen(*values: float) -> Observations:
    """Values of as many units."""
    return Observations(np.arange(len(values), dtype=np.int64), np.array(values))


def noted(metric: Metric, candidate: Observations, stable: Observations) -> Scale:
    """A scale that has seen both arms."""
    scale = make_scale(metric)
    scale.note(scale.tally(candidate), scale.tally(stable))
    return scale


def taught(metric: Metric, *values: float) -> Scale:
    """A scale that knows these values of stable."""
    scale = make_scale(metric)
    learn(scale, scale.tally(seen(*values)))
    return scale


@pytest.mark.parametrize(
    ("metric", "candidate", "stable", "harm"),
    [
        pytest.param(Metric.ERRORS, seen(0, 1), seen(0, 0), 0.5, id="more errors"),
        pytest.param(Metric.HALLUCINATION, seen(0, 0), seen(0, 1), -0.5, id="fewer hallucinations"),
        pytest.param(Metric.QUALITY, seen(0.5), seen(0.75), 0.25, id="lower quality"),
        pytest.param(Metric.SATISFACTION, seen(1.0), seen(0.75), -0.25, id="happier users"),
        pytest.param(Metric.LATENCY, seen(200.0), seen(100.0), 1.0, id="twice as slow"),
        pytest.param(Metric.COST, seen(1e-5), seen(2e-5), -0.5, id="half the price"),
        pytest.param(Metric.COST, seen(2e-9), seen(1e-9), 1.0, id="twice a billionth"),
        pytest.param(Metric.COST, seen(0.0), seen(0.0), 0.0, id="both free"),
        pytest.param(Metric.COST, seen(1e-5), seen(0.0), float("inf"), id="no longer free"),
    ],
)
def test_positive_harm_is_worse_on_every_metric(
    metric: Metric, candidate: Observations, stable: Observations, harm: float
) -> None:
    """Direction and unit are the metric's: points of a share, or relative to stable's median."""
    assert next(iter(noted(metric, candidate, stable).harms().values())) == pytest.approx(harm, rel=0.025)


@pytest.mark.parametrize("metric", Metric)
def test_an_arm_without_values_has_no_harm(metric: Metric) -> None:
    """Unknown is absent, never zero."""
    for candidate, stable in ((NONE, seen(1.0)), (seen(1.0), NONE), (NONE, NONE)):
        scale = noted(metric, candidate, stable)
        assert scale.harms() == {}
        known = scale.values()
        assert (known.candidate is None, known.stable is None) == (not len(candidate), not len(stable))


def test_the_tail_of_a_latency_is_estimated_too() -> None:
    """A median that stands still hides nothing."""
    stable = seen(*[100.0] * 100)
    candidate = seen(*[100.0] * 90, *[500.0] * 10)
    harms = noted(Metric.LATENCY, candidate, stable).harms()
    assert harms["at the median"] == pytest.approx(0.0)
    assert harms["at the 95th percentile"] == pytest.approx(4.0, rel=0.03)


@pytest.mark.parametrize("metric", Metric)
def test_values_are_shown_in_the_metrics_own_unit(metric: Metric) -> None:
    """A quality of 0.9 is shown as that, not as a harm of 0.1."""
    shown = noted(metric, seen(0.9), seen(0.4)).values()
    assert shown.candidate == pytest.approx(0.9, rel=0.01)
    assert shown.stable == pytest.approx(0.4, rel=0.01)


@pytest.mark.parametrize("metric", Metric)
def test_centred_values_stay_inside_their_promised_bounds(metric: Metric) -> None:
    """Otherwise a bet could lose more than everything; also where stable is always at one end."""
    rng = np.random.default_rng(11)
    margins = np.array([-0.95, -0.5, 0.0, 0.1, 0.9, 1.0])
    for known in (rng.random(500), np.zeros(100), np.ones(100)):
        scale = taught(metric, *known)
        both = scale.tally(seen(0.0, 1.0, *rng.random(50)))
        centred = scale.centred(both, both, margins)
        tiny = 1e-12
        assert (centred.candidate.values >= -centred.low[:, None] - tiny).all()
        assert (centred.candidate.values <= centred.high[:, None] + tiny).all()
        assert (centred.stable.values >= -centred.stable_low[:, None] - tiny).all()
        assert (centred.stable.values <= centred.stable_high[:, None] + tiny).all()


@pytest.mark.parametrize("metric", Metric)
def test_stable_centres_on_nothing(metric: Metric) -> None:
    """Against what is known of it, its own values are neither good nor bad on average."""
    values = np.random.default_rng(3).random(500)
    scale = taught(metric, *values)
    centred = scale.centred(scale.tally(NONE), scale.tally(seen(*values)), np.zeros(1))
    assert centred.stable.values[0] @ centred.stable.weights == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("metric", [Metric.ERRORS, Metric.HALLUCINATION], ids=str)
def test_bad_events_of_a_share_are_its_failures(metric: Metric) -> None:
    """Counted by unit: a unit whose every other request failed has half a failure."""
    scale = make_scale(metric)
    halves = scale.tally(Observations(np.array([1, 1, 2]), np.array([0.0, 1.0, 1.0])))
    assert scale.events(halves, scale.tally(seen(0.0, 0.0))) == {"failures": (1.5, 0.0)}


@pytest.mark.parametrize("metric", [Metric.QUALITY, Metric.SATISFACTION], ids=str)
def test_ratings_have_no_bad_events(metric: Metric) -> None:
    """They are judged by their mean."""
    scale = make_scale(metric)
    assert scale.events(scale.tally(seen(0.1)), scale.tally(seen(0.9))) == {}


@pytest.mark.parametrize("metric", Metric)
def test_what_hits_both_arms_of_a_window_moves_neither_against_the_other(metric: Metric) -> None:
    """The window's own pooled mean is its centre: what is left of a shift of both arms is the past's small part."""
    rng = np.random.default_rng(7)
    scale = taught(metric, *rng.random(500))
    for shift in (0.0, 0.5):
        candidate, stable = (scale.tally(seen(*(rng.random(4000) / 2 + shift))) for _ in range(2))
        centred = scale.centred(candidate, stable, np.zeros(1))
        for side in (centred.candidate, centred.stable):
            assert side.values[0] @ side.weights / side.weights.sum() == pytest.approx(0.0, abs=0.015)


@pytest.mark.parametrize("metric", Metric)
def test_both_arms_are_centred_alike(metric: Metric) -> None:
    """Whichever arm a value is from, it is as good or bad: else a centre that knows the window would favour one."""
    rng = np.random.default_rng(13)
    scale = taught(metric, *rng.random(300))
    one, other = (scale.tally(seen(*rng.random(20))) for _ in range(2))
    there, back = scale.centred(one, other, np.zeros(1)), scale.centred(other, one, np.zeros(1))
    np.testing.assert_allclose(there.candidate.values, back.stable.values)
    np.testing.assert_allclose(there.stable.values, back.candidate.values)


def test_a_slow_request_is_slower_than_stables_slowest_twentieth_or_hundredth() -> None:
    """A constant never exceeds itself; what is among the slowest hundredth is counted as both."""
    scale = taught(Metric.LATENCY, *[5.0] * 100)
    slow = scale.events(scale.tally(seen(5.0, 5.05, 9.0)), scale.tally(seen(5.0)))
    assert slow == {"the slowest 5 %": (1.0, 0.0), "the slowest 1 %": (1.0, 0.0)}
    scale = taught(Metric.LATENCY, *[5.0] * 94, *[9.0] * 4, *[20.0] * 2)
    slow = scale.events(scale.tally(seen(5.0, 9.5, 15.0)), scale.tally(seen(9.0, 30.0)))
    assert slow == {"the slowest 5 %": (2.0, 1.0), "the slowest 1 %": (0.0, 1.0)}


def test_what_never_happened_may_still_happen_to_the_expected_candidate() -> None:
    """Stakes that are chosen for a stable without errors allow for one."""
    expected = taught(Metric.ERRORS, *[0.0] * 100).alternative()
    assert dict(zip(expected.index.tolist(), expected.weight.tolist(), strict=True)) == {0: 101.0, 200: 1.0}


@pytest.mark.parametrize("metric", [Metric.ERRORS, Metric.QUALITY], ids=str)
def test_the_first_event_of_an_arm_without_any_is_no_surprise_beyond_measure(metric: Metric) -> None:
    """Bets stay bounded where all of stable's many values lie at one end, and neither arm can lose everything."""
    perfect = 0.0 if metric is Metric.ERRORS else 1.0
    scale = taught(metric, *[perfect] * 5000)
    centred = scale.centred(scale.tally(NONE), scale.tally(seen(perfect)), np.zeros(1))
    assert centred.stable_low == pytest.approx(0.001)
    assert largest_stake(0.5, centred.low, centred.stable_high)[0] < 1000
    assert largest_stake(0.01, centred.low, centred.stable_high)[0] < 1000


def test_a_reference_follows_the_last_five_thousand_units() -> None:
    """It has learnt from more, and holds that many: fewer would follow every bad hour."""
    scale = make_scale(Metric.ERRORS)
    for _ in range(20):
        learn(scale, scale.tally(seen(*[0.0] * 990, *[1.0] * 10)))
    assert scale.reference.total == pytest.approx(5000)


def test_a_scale_is_ready_once_it_knows_enough_of_stable() -> None:
    """Fifty units; one unit fewer than enough is not enough."""
    assert ENOUGH == 50
    assert not is_ready(taught(Metric.COST, *[3.0] * (ENOUGH - 1)))
    assert is_ready(taught(Metric.COST, *[3.0] * ENOUGH))


@pytest.mark.parametrize("metric", Metric)
def test_a_scale_that_was_dumped_is_the_same_scale(metric: Metric) -> None:
    """Its state survives JSON."""
    scale = noted(metric, seen(0.2, 0.4), seen(0.3, 0.5))
    learn(scale, scale.tally(seen(*np.linspace(0.1, 1, 100))))
    again = make_scale(metric, json.loads(json.dumps(scale.dump())))
    assert again.dump() == scale.dump()
    assert (again.values(), again.harms(), is_ready(again)) == (scale.values(), scale.harms(), is_ready(scale))
