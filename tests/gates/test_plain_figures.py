"""What people met: the figures that anybody would work out from the log."""

import json

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import LATELY_MINUTES, Met
from softlaunch.gates.observations import NO_EVENTS, Events, Floats
from softlaunch.gates.plain_figures import PlainFigures, harm_met

SHARES = [metric for metric in Metric if not metric.is_relative]
USERS = ByArm(7, 70)


def requests(metric: Metric, values: Floats, at: Floats | None = None) -> Events:
    """Every tenth is the candidate's; some of the values weren't measured."""
    count = len(values)
    moments = np.arange(float(count)) if at is None else at
    return Events(moments, np.arange(count) % 77, np.arange(count) % 10 == 0, {metric: values})


def figures_of(metric: Metric, events: Events, looks: int = 7) -> PlainFigures:
    """Figures of events that came in over several looks."""
    figures = PlainFigures()
    for part in np.array_split(np.arange(len(events)), looks):
        figures.add(metric, events.only(part))
        figures.forget(float(events.at[part[-1]]))
    return figures


def met(figures: PlainFigures, metric: Metric) -> tuple[Met, Met]:
    """Both arms' figures."""
    found = figures.met(metric, USERS)
    assert found.candidate is not None
    assert found.stable is not None
    return found.candidate, found.stable


@pytest.mark.parametrize("metric", SHARES)
@pytest.mark.parametrize("tolerance", [1e-12, 0.0025], ids=["yes or no", "graded"])
def test_a_share_is_the_mean_over_requests(metric: Metric, tolerance: float) -> None:
    """As numpy says it: to the last digit where it either happens or not, else to a quarter of a point."""
    rng = np.random.default_rng(1)
    values = (rng.random(3000) < 0.07).astype(np.float64) if tolerance < 1e-6 else rng.random(3000)
    values[rng.random(3000) < 0.2] = np.nan
    events = requests(metric, values)
    for one, of_arm, users in zip(
        met(figures_of(metric, events), metric), (events.candidate, ~events.candidate), (7, 70), strict=True
    ):
        measured = values[of_arm & ~np.isnan(values)]
        lately = values[of_arm & ~np.isnan(values) & (events.at >= 2940 - 60 * LATELY_MINUTES)]
        assert (one.requests, one.users, one.slow) == (len(measured), users, None)
        assert one.value == pytest.approx(measured.mean(), abs=tolerance)
        assert one.lately == pytest.approx(lately.mean(), abs=tolerance)
        assert one.lately_requests == len(lately)


@pytest.mark.parametrize("metric", [metric for metric in Metric if metric.is_relative])
def test_a_magnitude_is_the_median_over_requests_and_the_95th_percentile(metric: Metric) -> None:
    """As numpy says it, to the width of a bucket, whatever the unit."""
    rng = np.random.default_rng(2)
    values = 1e-6 * rng.lognormal(0, 0.8, 9000)
    values[rng.random(9000) < 0.2] = np.nan
    events = requests(metric, values)
    for one, of_arm in zip(met(figures_of(metric, events), metric), (events.candidate, ~events.candidate), strict=True):
        measured = values[of_arm & ~np.isnan(values)]
        lately = values[of_arm & ~np.isnan(values) & (events.at >= 8940 - 60 * LATELY_MINUTES)]
        assert one.requests == len(measured)
        assert one.value == pytest.approx(np.quantile(measured, 0.5, method="inverted_cdf"), rel=0.0101)
        assert one.slow == pytest.approx(np.quantile(measured, 0.95, method="inverted_cdf"), rel=0.0101)
        assert one.lately == pytest.approx(np.quantile(lately, 0.5, method="inverted_cdf"), rel=0.0101)


def test_lately_is_what_the_last_minutes_brought() -> None:
    """The minute that runs and the five before it: what was good for an hour is no comfort."""
    at = np.arange(0.0, 3600.0, 2.0)
    late = at >= 3300
    figures = figures_of(Metric.ERRORS, requests(Metric.ERRORS, late.astype(np.float64), at))
    for one in met(figures, Metric.ERRORS):
        assert one.value == pytest.approx(1 / 12, abs=0.005)
        assert one.lately == pytest.approx(5 / 6, abs=0.02)


def test_nothing_is_lately_once_nothing_has_come_for_long() -> None:
    """A window without any rating lets time go by too; what the stage brought stays."""
    figures = figures_of(Metric.SATISFACTION, requests(Metric.SATISFACTION, np.ones(100)))
    assert {one.lately for one in met(figures, Metric.SATISFACTION)} == {1.0}
    figures.add(Metric.SATISFACTION, NO_EVENTS)
    figures.forget(3600.0)
    for one in met(figures, Metric.SATISFACTION):
        assert (one.value, one.lately, one.lately_requests) == (1.0, None, 0)


def test_a_metric_that_was_never_measured_has_no_figures() -> None:
    """Nor has an arm that met nothing, which is not the same as zero."""
    assert PlainFigures().met(Metric.COST, USERS) == ByArm(None, None)
    figures = PlainFigures()
    figures.add(Metric.COST, requests(Metric.COST, np.full(50, np.nan)))
    candidate, _ = met(figures, Metric.COST)
    assert (candidate.requests, candidate.value, candidate.slow, candidate.lately) == (0, None, None, None)
    figures.add(Metric.ERRORS, requests(Metric.COST, np.zeros(50)))
    assert figures.met(Metric.ERRORS, USERS) == ByArm(None, None)


@pytest.mark.parametrize("metric", [Metric.ERRORS, Metric.LATENCY])
def test_figures_that_are_stored_are_the_same_figures(metric: Metric) -> None:
    """Also of the last minutes, and after more has come."""
    values = np.random.default_rng(3).random(1000)
    events = requests(metric, values)
    figures = figures_of(metric, events)
    again = PlainFigures.load(json.loads(json.dumps(figures.dump(), allow_nan=False)), [metric])
    for _ in range(2):
        assert again.dump() == figures.dump()
        assert again.met(metric, USERS) == figures.met(metric, USERS)
        for one in (figures, again):
            one.add(metric, events.only(np.arange(100)))
            one.forget(1100.0)


@pytest.mark.parametrize(
    ("metric", "candidate", "stable", "harms"),
    [
        pytest.param(Metric.ERRORS, Met(value=0.3), Met(value=0.1), {"on average": 0.2}, id="more errors"),
        pytest.param(Metric.QUALITY, Met(value=0.6), Met(value=0.9), {"on average": 0.3}, id="lower quality"),
        pytest.param(
            Metric.LATENCY,
            Met(value=100.0, slow=600.0),
            Met(value=200.0, slow=300.0),
            {"at the median": -0.5, "at the 95th percentile": 1.0},
            id="faster mostly, slower at worst",
        ),
        pytest.param(Metric.COST, Met(value=1.0, slow=2.0), Met(value=0.0, slow=0.0), {}, id="nothing to relate to"),
        pytest.param(Metric.ERRORS, Met(), Met(value=0.1), {}, id="no value"),
    ],
)
def test_plain_harm_is_positive_where_the_candidate_is_worse(
    metric: Metric, candidate: Met, stable: Met, harms: dict[str, float]
) -> None:
    """In the margin's unit."""
    assert harm_met(metric, candidate, stable) == pytest.approx(harms)
