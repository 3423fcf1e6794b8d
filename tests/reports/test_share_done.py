"""How far a stage is, as a share of what it waits for."""

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOON
from release_views import PASSED, make_view

from softlaunch.release import State
from softlaunch.views import StageView


def running(position: int, requests: int, seconds: float) -> tuple[StageView, float]:
    """A stage under way for so long, with so many candidate requests, whose gates all pass but the guard."""
    view = make_view(State.CANARY, position, verdicts=PASSED).stages[position]
    begun = replace(view.record, entered_at=NOON, evidence={"requests": [requests, requests]})
    return replace(view, record=begun), seconds


@pytest.mark.parametrize(
    ("requests", "seconds", "share"),
    [
        pytest.param(0, 0, 1 / 3, id="only the gates"),
        pytest.param(10, 2.5, 2 / 3, id="half of the time and the requests"),
        pytest.param(500, 500, 1, id="more than enough"),
    ],
)
def test_a_canary_waits_for_time_requests_and_gates(requests: int, seconds: float, share: float) -> None:
    """Each counts a third, and none more than that."""
    view, after = running(2, requests, seconds)
    assert view.share_done(NOON + timedelta(seconds=after)) == pytest.approx(share)


def test_what_is_over_is_done_and_what_waits_has_not_begun() -> None:
    """Whatever its figures were."""
    stages = make_view(State.CANARY, 2).stages
    assert [stage.share_done(NOON) for stage in (stages[0], stages[1], stages[3])] == [1, 1, 0]


def test_an_eval_waits_for_its_calls() -> None:
    """The share of planned calls that are answered; none are planned before it begins."""
    view = make_view(State.EVALUATING, 0).stages[0]
    half = replace(view, record=replace(view.record, evidence={"done": 30, "planned": 60}))
    unplanned = replace(view, record=replace(view.record, evidence={}))
    assert (half.share_done(NOON), unplanned.share_done(NOON)) == (0.5, 0)
