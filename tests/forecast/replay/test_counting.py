"""Rows become what the gates see: everything that happened, in order, each unit on one arm."""

from collections.abc import Sequence

import numpy as np
import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.replay.counting import StageCount
from softlaunch.forecast.replay.rows import Rows
from softlaunch.forecast.replay.stages import StageNames
from softlaunch.gates.observations import Events, Floats, Window
from tests.support.builders import make_policy

NONE = float("nan")
METRICS = {Metric.ERRORS, Metric.LATENCY, Metric.QUALITY}


def rows(*said: tuple[float, str, int | None, float], **changes: Floats) -> Rows:
    """Requests: when, on which arm, of which unit if any, and how good the answer was, if it was scored."""
    count = len(said)
    columns = {Metric.LATENCY: np.full(count, 800.0), Metric.QUALITY: np.array([row[3] for row in said])}
    return Rows(
        source="samples.csv",
        first=1,
        last=count,
        stage=StageNames(make_policy()).by_name("canary 50 %"),
        ts=np.array([row[0] for row in said]),
        candidate=np.array([row[1] == "candidate" for row in said]),
        units=np.array([-number if row[2] is None else row[2] for number, row in enumerate(said, start=1)]),
        named=np.array([row[2] is not None for row in said]),
        values={**columns, **{Metric(name): column for name, column in changes.items()}},
    )


def counted(*said: tuple[float, str, int | None, float]) -> Window:
    """What one window shows."""
    return StageCount(METRICS).window(rows(*said), 0.5, is_split=True)


def told(events: Events | None) -> Sequence[tuple[float, int, bool]]:
    """When, who, and whether on the candidate."""
    assert events is not None
    return list(zip(events.at.tolist(), events.units.tolist(), events.candidate.tolist(), strict=True))


def test_a_window_has_every_request_in_order_of_time() -> None:
    """Whoever made it; rows may be a little late in the file."""
    count = StageCount(METRICS)
    count.window(rows((0, "stable", 7, NONE)), 0.5, is_split=True)
    window = count.window(
        rows((3, "stable", 7, NONE), (2, "candidate", 8, NONE), (4, "stable", 7, NONE)), 0.5, is_split=True
    )
    assert told(window.requests) == [(2, 8, True), (3, 7, False), (4, 7, False)]
    assert window.until == 4
    assert window.requests is not None
    assert window.requests.values.keys() == {Metric.LATENCY}


def test_a_request_that_comes_late_happened_when_it_came() -> None:
    """What was told as complete up to a moment stays so."""
    count = StageCount(METRICS)
    count.window(rows((10, "stable", 7, NONE)), 0.5, is_split=True)
    window = count.window(rows((9, "stable", 8, NONE), (9.5, "stable", 9, NONE)), 0.5, is_split=True)
    assert told(window.requests) == [(10, 8, False), (10, 9, False)]
    assert window.until == 10


def test_ratings_are_the_rows_that_have_one() -> None:
    """Per rated metric, with their values."""
    window = counted((0, "stable", 7, NONE), (1, "candidate", 8, 0.4), (2, "stable", 7, 0.9))
    assert window.ratings.keys() == {Metric.QUALITY}
    scored = window.ratings[Metric.QUALITY]
    assert told(scored) == [(1, 8, True), (2, 7, False)]
    assert scored.values[Metric.QUALITY].tolist() == [0.4, 0.9]


def test_requests_that_name_no_unit_are_units_of_their_own() -> None:
    """Each of them is somebody else."""
    window = counted((0, "stable", None, NONE), (1, "candidate", None, NONE), (2, "stable", 7, NONE))
    assert [unit for _, unit, _ in told(window.requests)] == [-1, -2, 7]
    assert window.split == ByArm(1, 2)


def test_a_unit_belongs_to_the_arm_on_which_it_is_first_seen() -> None:
    """By time, not by place in the file; what it did on the other one is left out, in later windows too."""
    count = StageCount(METRICS)
    first = count.window(
        rows((1, "candidate", 7, 0.1), (0, "stable", 7, 0.9), (1, "candidate", 8, 0.5)), 0.5, is_split=True
    )
    assert told(first.requests) == [(0, 7, False), (1, 8, True)]
    assert (first.split, first.stable[Metric.QUALITY].values.tolist()) == (ByArm(1, 1), [0.9])
    later = count.window(
        rows((2, "candidate", 7, 0.1), (3, "stable", 7, 0.8), (4, "stable", 8, 0.2)), 0.5, is_split=True
    )
    assert told(later.requests) == [(3, 7, False)]
    assert told(later.ratings[Metric.QUALITY]) == [(3, 7, False)]
    assert (count.arms.units, count.arms.stray_units, count.arms.stray_requests) == (2, 2, 3)


def test_copies_belong_to_both_arms() -> None:
    """Both answer the same units there."""
    window = StageCount(METRICS).window(rows((0, "stable", 7, NONE), (0, "candidate", 7, NONE)), 0.5, is_split=False)
    assert told(window.requests) == [(0, 7, False), (0, 7, True)]
    assert window.split is None


@pytest.mark.parametrize(
    ("strays", "requests", "is_invalid"),
    [
        pytest.param(1, 1, False, id="one of a thousand"),
        pytest.param(10, 10, False, id="one in a hundred users"),
        pytest.param(11, 11, True, id="more users than that"),
        pytest.param(1, 50, True, id="one user who asks a lot"),
    ],
)
def test_users_on_both_arms_are_a_doubt(strays: int, requests: int, *, is_invalid: bool) -> None:
    """Where they are more than one in a hundred users, or their requests more than that."""
    count = StageCount(METRICS)
    count.window(rows(*((0.0, "stable", unit, NONE) for unit in range(1000))), 0.5, is_split=True)
    assert count.arms.validity_error is None
    others = [(1.0, "candidate", number % max(strays, 1), NONE) for number in range(requests)]
    count.window(rows(*others), 0.5, is_split=True)
    error = count.arms.validity_error or ""
    assert bool(error) is is_invalid
    assert not is_invalid or f"{strays / 10:.3g} % of the users were on both arms" in error


def test_failed_requests_lack_nothing_but_an_answer() -> None:
    """A candidate that fails more often isn't said to be measured less often."""
    count = StageCount(METRICS)
    said = [(float(number), "candidate" if number % 2 else "stable", number, 0.5) for number in range(400)]
    failed = np.array([number % 4 == 1 for number in range(400)])
    latency = np.where(failed, np.nan, 800.0)
    count.window(rows(*said, **{Metric.ERRORS: failed.astype(float), Metric.LATENCY: latency}), 0.5, is_split=True)
    rates = count.rates(Metric.LATENCY)
    assert rates is not None
    assert (rates.candidate, rates.stable, rates.differ) == (1.0, 1.0, False)
    assert count.rates(Metric.COST) is None
