"""Gates over time as plots."""

import re
from datetime import timedelta
from math import inf

import pytest

from softlaunch.core.verdict import Interval, Outcome
from softlaunch.ledger.looks import GateLook
from softlaunch.reports.gate_history import arms_plot, harm_plot, thinned
from tests.support.builders import NOON


def _look(seconds: float, width: float = 0.2, lately: float | None = None, margin: float | None = 0.1) -> GateLook:
    interval = Interval(0.02 - width, 0.02 + width)
    at = NOON + timedelta(seconds=seconds)
    return GateLook(at, Outcome.INCONCLUSIVE, 0.02, interval, margin, 0.03, 0.01, lately, lately and lately / 2)


NARROWING = [_look(10 * number, 0.5 / number) for number in range(1, 9)]


def _heights(plot: str, kind: str) -> list[float]:
    steps = re.search(rf'class="{kind}" d="([^"]+)"', plot)
    assert steps is not None
    return [float(y) for y in re.findall(r"[ML]?[\d.]+ ([\d.]+)", steps[1])]


def test_the_interval_narrows_to_its_margin() -> None:
    """The band's width shrinks from look to look, and the margin has a line of its own."""
    plot = harm_plot("errors", NARROWING)
    heights = _heights(plot, "interval")
    widths = [below - above for above, below in zip(heights[:8], heights[:7:-1], strict=True)]
    assert widths[-1] < widths[len(widths) // 2]
    assert 'class="margin"' in plot
    assert "margin +10.0 points" in plot


def test_open_ends_and_no_margin_are_drawn_within_the_plot() -> None:
    """Nothing leaves the picture, whatever a gate doesn't know."""
    looks = [GateLook(NOON, Outcome.PASS, None, Interval(-inf, inf), None, None, None, None, None), *NARROWING]
    drawn = " ".join(re.findall(r' d="([^"]+)"', harm_plot("errors", looks)))
    heights = [float(y) for y in re.findall(r" (-?[\d.]+)", drawn)]
    assert min(heights) >= 0
    assert max(heights) <= 440


def test_both_arms_are_lines_that_differ_by_more_than_colour() -> None:
    """A circle ends the candidate's, a square stable's; what users met lately comes before what they met in all."""
    plot = arms_plot("latency", [_look(10 * number, lately=900.0 + number) for number in range(3)])
    assert 'class="line candidate"' in plot
    assert 'class="line stable"' in plot
    assert "<circle" in plot
    assert "902 ms on the candidate and 451 ms on stable lately" in plot


@pytest.mark.parametrize("plot", [arms_plot, harm_plot])
def test_a_gate_without_any_figure_has_no_plot(plot) -> None:  # type: ignore[no-untyped-def]
    """An empty frame would look like a quiet app."""
    nothing = GateLook(NOON, Outcome.INCONCLUSIVE, None, None, None, None, None, None, None)
    assert plot("errors", [nothing]) == ""
    assert plot("errors", [_look(1)]) != ""


def test_thinning_keeps_spikes_and_both_ends() -> None:
    """Of a thousand looks a tenth is left, with the one that stands out."""
    looks = [_look(number, lately=1.0) for number in range(1000)]
    looks[517] = _look(517, lately=9.0)
    kept = thinned(looks)
    assert len(kept) <= 100
    assert looks[517] in kept
    assert (kept[0], kept[-1]) == (looks[0], looks[-1])
