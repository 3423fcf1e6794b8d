"""Numbers as people read them."""

from datetime import UTC, datetime
from math import inf

import pytest

from softlaunch.core.formatting import (
    show_cost,
    show_duration,
    show_harm,
    show_interval,
    show_moment,
    show_share,
    show_value,
)
from softlaunch.core.verdict import Estimate, Interval, Outcome, Prediction, Verdict
from softlaunch.ledger.exposure import Exposure
from softlaunch.releases.wording import show_exposure, show_prediction, show_verdict


@pytest.mark.parametrize(
    ("gate", "value", "shown"),
    [
        pytest.param("latency", 480.4, "480 ms", id="a latency below a second"),
        pytest.param("latency", 1019.0, "1.02 s", id="a latency of more than a second"),
        pytest.param("cost", 0.00031, "$0.00031", id="a small cost"),
        pytest.param("errors", 0.0125, "1.2 %", id="a rate"),
        pytest.param("accuracy", 0.923, "92.3 %", id="a metric of an eval"),
        pytest.param("errors", None, "-", id="nothing measured"),
    ],
)
def test_a_value_is_shown_in_its_own_unit(gate: str, value: float | None, shown: str) -> None:
    """Latencies are times, costs are dollars, everything else is a share."""
    assert show_value(gate, value) == shown


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        pytest.param(1234.5, "$1,234.50", id="dollars and cents"),
        pytest.param(0.2134, "$0.213", id="less than a dollar"),
        pytest.param(0.0000123, "$0.0000123", id="too small for cents"),
        pytest.param(0.0, "$0", id="free"),
    ],
)
def test_a_cost_never_needs_an_exponent(usd: float, shown: str) -> None:
    """Small costs keep the digits that tell, written out."""
    assert show_cost(usd) == shown


@pytest.mark.parametrize(
    ("gate", "harm", "shown"),
    [
        pytest.param("latency", 0.25, "+25 %", id="relative"),
        pytest.param("errors", 0.02, "+2.0 points", id="points"),
        pytest.param("errors", -0.011, "-1.1 points", id="better"),
        pytest.param("errors", -0.0001, "+0.0 points", id="rounded to nothing"),
        pytest.param("errors", None, "-", id="unknown"),
    ],
)
def test_harm_is_signed(gate: str, harm: float | None, shown: str) -> None:
    """Worse is positive; latency and cost are relative, the rest are points."""
    assert show_harm(gate, harm) == shown


@pytest.mark.parametrize(
    ("interval", "shown"),
    [
        pytest.param(Interval(-0.01, 0.025), "-1 to +2.5 points", id="closed"),
        pytest.param(Interval(-inf, 0.025), "… to +2.5 points", id="open below"),
        pytest.param(Interval(0.025, inf), "+2.5 to … points", id="open above"),
        pytest.param(Interval(-inf, inf), "not known yet", id="open on both sides"),
        pytest.param(None, "-", id="none"),
    ],
)
def test_an_open_end_is_no_number(interval: Interval | None, shown: str) -> None:
    """An infinity is never written as if it were measured."""
    assert show_interval("errors", interval) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        pytest.param(0.42, "0.4 s", id="less than a second"),
        pytest.param(42.0, "42 s", id="seconds"),
        pytest.param(720.0, "12 min", id="minutes"),
        pytest.param(12_000.0, "3 h 20 min", id="hours and minutes"),
        pytest.param(7200.0, "2 h", id="whole hours"),
        pytest.param(187_200.0, "2 d 4 h", id="days and hours"),
    ],
)
def test_a_duration_is_shown_to_the_precision_that_matters(seconds: float, shown: str) -> None:
    """The longer it took, the coarser the unit."""
    assert show_duration(seconds) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        pytest.param(0.0515, "5.1 %", id="some"),
        pytest.param(0.0001, "< 0.1 %", id="very few"),
        pytest.param(0.0, "0.0 %", id="nobody"),
        pytest.param(None, "-", id="no traffic"),
    ],
)
def test_few_are_not_nobody(share: float | None, shown: str) -> None:
    """A small share is never rounded to none."""
    assert show_share(share) == shown


@pytest.mark.parametrize(
    ("exposure", "shown"),
    [
        pytest.param(
            Exposure(151, 2934, 1412, 9021),
            "151 of 2,934 users (5.1 %) were exposed to the candidate, in 1,412 of 9,021 requests.",
            id="some did",
        ),
        pytest.param(Exposure(0, 2934, 0, 9021), "No user was exposed to the candidate.", id="nobody did"),
        pytest.param(Exposure(0, 0, 0, 0), "No request of users was logged during the release.", id="nobody knows"),
    ],
)
def test_who_met_the_candidate_is_a_sentence(exposure: Exposure, shown: str) -> None:
    """Users come first, because it is people that a release reaches."""
    assert show_exposure(exposure) == shown


def test_a_moment_is_shown_to_the_second() -> None:
    """Date and time, without a zone: the column says that it is UTC."""
    assert show_moment(datetime(2026, 3, 1, 14, 5, 9, 123456, tzinfo=UTC)) == "2026-03-01 14:05:09"


def test_a_verdict_fits_a_line() -> None:
    """Gate, outcome, harm and margin."""
    verdict = Verdict("latency", Outcome.PASS, "", harm=0.019, margin=0.1)
    assert show_verdict(verdict) == "latency pass (+1.9 %, margin +10 %)"


def test_a_prediction_tells_both_estimates_and_what_scores_add() -> None:
    """Without scores there is nothing to tell."""
    found = Prediction("quality", 812, 790, Estimate(-0.015, -0.069, 0.039), Estimate(-0.0205, -0.063, 0.022))
    verdict = Verdict("satisfaction", Outcome.INCONCLUSIVE, "not yet sure", prediction=found)
    assert show_prediction(verdict) == (
        "candidate less stable: -1.5 points (-6.9 to +3.9) by 812 ratings; -2.05 points (-6.3 to +2.2) with quality of "
        "790 of them and of other answers, an interval 21 % narrower"
    )
    assert show_prediction(Verdict("satisfaction", Outcome.INCONCLUSIVE, "not yet sure")) == ""
