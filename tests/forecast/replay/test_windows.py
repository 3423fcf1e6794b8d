"""Rows become windows: when one closes, what order is enough, and when a stage is over."""

from dataclasses import replace

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.replay.counting import StageCount
from softlaunch.forecast.replay.rows import Rows, SamplesError
from softlaunch.forecast.replay.seen import SeenUnits
from softlaunch.forecast.replay.stages import StageNames, candidate_share
from softlaunch.forecast.replay.windows import Cutter, Looks
from softlaunch.gates.observations import Floats
from softlaunch.policy.release import Stage
from tests.support.builders import make_policy

POLICY = make_policy()
TEN, HALF = (StageNames(POLICY).by_name(name) for name in ("canary 10 %", "canary 50 %"))


def at(*seconds: float, first: int = 1, stage: Stage | None = HALF) -> Rows:
    """Rows of stable at these times, units of their own."""
    count = len(seconds)
    return Rows(
        source="samples.csv",
        first=first,
        last=first + count - 1,
        stage=stage,
        ts=np.array(seconds, dtype=np.float64),
        candidate=np.zeros(count, dtype=np.bool_),
        units=np.arange(count),
        named=np.zeros(count, dtype=np.bool_),
        values={Metric.QUALITY: np.full(count, 0.5), Metric.LATENCY: np.arange(count, dtype=np.float64)},
    )


def sizes(looks: Looks, *stretches: Rows) -> list[int]:
    """How many rows the windows have."""
    cutter = Cutter(POLICY, looks)
    return [len(window) for rows in stretches for window in cutter.cut(rows)] + [len(rows) for rows in cutter.rest()]


def test_a_window_closes_with_time_or_rows() -> None:
    """Whichever comes first; time counts from its first row, and the end of the file closes the last."""
    assert sizes(Looks(2, 3), at(0, 1.9, 2.0, 2.1, 2.2, 2.3, 5.0)) == [2, 3, 1, 1]


def test_windows_go_across_stretches() -> None:
    """Where the file's stretches end makes no difference."""
    assert sizes(Looks(2, 3), at(0, 1.9), at(2.0, first=3), at(2.1, 2.2, 2.3, first=4), at(5, first=7)) == [2, 3, 1, 1]


def test_without_limits_windows_are_short_at_first_and_grow() -> None:
    """Twenty candidate requests at half of the users are forty rows; later a fiftieth of what there is."""
    found = sizes(Looks(), at(*np.arange(20_000) / 1e4))
    assert found[:50] == [40] * 50
    assert found[-2] > 300
    assert Looks().most(0.01, 0) == 500
    assert [Looks().longest(lasted) for lasted in (0.0, 1000.0, 1e6)] == [2.0, 20.0, 60.0]


def test_a_row_may_be_a_little_late() -> None:
    """It goes with the window in which it comes."""
    assert sizes(Looks(2, 100), at(0, 1, 0.5, 2.5, 1.0, 4.6)) == [3, 2, 1]


def test_a_row_that_is_too_late_is_named() -> None:
    """The message says what to do."""
    with pytest.raises(SamplesError, match=r"samples.csv, row 13, column ts: it is 7\.5 s earlier .* sort the file"):
        sizes(Looks(), at(0, 8, first=10), at(9.5, 2, first=12))


def test_a_stage_ends_its_window() -> None:
    """No window holds rows of two stages."""
    assert sizes(Looks(100, 100), at(0, 1, stage=TEN), at(1.5, 2, 3, first=3)) == [2, 3]


def test_stragglers_of_a_stage_that_ended_are_left_out() -> None:
    """Gateways take up a weight within moments of each other; whole stages don't come back."""
    cutter = Cutter(POLICY, Looks())
    for rows in (at(0, 1, stage=TEN), at(1.5, first=3), at(1.6, first=4, stage=TEN), at(1.7, first=5)):
        list(cutter.cut(rows))
    assert cutter.left_out == 1
    assert [len(window) for window in cutter.rest()] == [2]
    with pytest.raises(SamplesError, match="row 6: it is of canary 10 %, which had ended at row 3"):
        list(cutter.cut(at(30, first=6, stage=TEN)))


def test_rows_without_a_candidate_in_force_are_left_out() -> None:
    """Once the candidate was in force, traffic at a weight of zero has nothing to compare with."""
    cutter = Cutter(POLICY, Looks())
    for rows in (at(0, stage=None), at(1, first=2), at(1.1, first=3, stage=None)):
        list(cutter.cut(rows))
    assert cutter.left_out == 1


def test_at_all_users_stable_is_the_control_sample() -> None:
    """Five requests of stable beside a hundred of the candidate; copies of a shadow come in pairs."""
    names = StageNames(POLICY)
    assert candidate_share(POLICY, names.by_name("100 %")) == pytest.approx(100 / 105)
    assert candidate_share(POLICY, names.by_name("shadow")) == 0.5
    assert candidate_share(POLICY, TEN) == pytest.approx(0.1)


def shown(count: StageCount, units: list[int], quality: list[float]) -> tuple[list[float], list[float]]:
    """Latencies and qualities that a window of named units adds."""
    rows = at(*[0.0] * len(units))
    values: dict[Metric, Floats] = {**rows.values, Metric.QUALITY: np.array(quality)}
    named = replace(rows, units=np.array(units), named=np.ones(len(units), dtype=np.bool_), values=values)
    window = count.window(named, 0.5, is_split=True)
    return window.stable[Metric.LATENCY].values.tolist(), window.stable[Metric.QUALITY].values.tolist()


def test_a_unit_counts_in_its_first_window() -> None:
    """All its requests of that window, none later; ratings go by the window in which it is first rated."""
    count = StageCount({Metric.LATENCY, Metric.QUALITY})
    nothing = float("nan")
    assert shown(count, [7, 7, 8], [nothing, nothing, 0.8]) == ([0.0, 1.0, 2.0], [0.8])
    assert shown(count, [7, 8, 9], [0.7, 0.1, nothing]) == ([2.0], [0.7])
    assert shown(count, [7, 9], [0.2, 0.9]) == ([], [0.9])


def test_a_window_says_how_many_units_are_met_for_the_first_time() -> None:
    """Named ones once each, and every request that tells no unit."""
    rows = replace(at(0, 0, 0, 0, 0), units=np.array([1, 1, 2, 3, 4]), named=np.array([True, True, True, False, False]))
    count = StageCount({Metric.LATENCY})
    assert count.window(rows, 0.5, is_split=True).split == ByArm(0, 4)
    assert count.window(rows, 0.5, is_split=True).split == ByArm(0, 2)
    assert count.window(rows, 0.5, is_split=False).split is None


def test_known_units_are_always_known_and_new_ones_nearly_always_new() -> None:
    """A million units, of which about fifteen would be taken for known."""
    rng = np.random.default_rng(1)
    seen = SeenUnits()
    units = rng.integers(-(2**63), 2**63 - 1, 1_000_000)
    assert seen.first_time(units).all()
    assert not seen.first_time(units[:1000]).any()
    others = rng.integers(-(2**63), 2**63 - 1, 200_000)
    assert 1 - seen.first_time(others).mean() < 1e-4
