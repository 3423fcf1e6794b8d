"""How far a stage is, as a share of what it waits for."""

from dataclasses import replace
from datetime import timedelta

import pytest

from softlaunch.ledger.stages import StageState
from softlaunch.policy.release import State
from softlaunch.releases.views import StageView
from softlaunch.releases.wording import show_limits
from tests.support.builders import NOON
from tests.support.release_views import PASSED, make_view


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


def test_a_stage_that_asks_for_units_waits_for_them_too() -> None:
    """They count like the others."""
    view, _ = running(2, 500, 500)
    counted = replace(view.record, evidence={"requests": [500, 500], "panel": {"split": [30, 900]}})
    asking = replace(view, stage=replace(view.stage, minimum_units=60), record=counted)
    assert asking.share_done(NOON + timedelta(seconds=500)) == pytest.approx(3.5 / 4)


def test_a_stage_says_what_it_needs_and_how_long_it_may_stay_undecided() -> None:
    """By its last look, without the time that nobody watched; what is met already isn't needed."""
    view, _ = running(2, 500, 0)
    record = replace(
        view.record,
        state=StageState.RUNNING,
        looked_at=NOON + timedelta(minutes=7),
        skipped_seconds=120.0,
        deadline_at=NOON + timedelta(minutes=62),
        deadline_units=1200,
        evidence={"requests": [500, 4500], "panel": {"split": [30, 900]}},
    )
    stage = replace(view.stage, minimum_units=60, minimum_time=600.0)
    shown = show_limits(replace(view, stage=stage, record=record))
    assert shown == (
        "Needs 5 min of 10 min and 30 of 60 units in the smaller arm. May stay undecided for 5 min of 60 min or 30 of "
        "1,200 units of the candidate, whichever ends first."
    )
    assert show_limits(replace(view, stage=stage, record=replace(record, state=StageState.PASSED))) == ""


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
