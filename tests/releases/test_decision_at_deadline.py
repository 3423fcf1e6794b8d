"""What is decided at a stage's deadline, and of an eval that decided nothing."""

from datetime import timedelta
from typing import Any

import pytest

from softlaunch.core.approvals import ApprovalKind, ApprovalState
from softlaunch.core.arms import ByArm
from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.policy.release import State
from softlaunch.policy.stage_limits import Deadlines
from softlaunch.releases.decision import Action, Ask, End, Enter, Extend, Hold, decide
from tests.releases.snapshots import (
    ERROR,
    FIRST,
    INCONCLUSIVE,
    LAST,
    PASS,
    SHADOW,
    UNSURE,
    at,
    seen,
    undecided,
)
from tests.support.builders import NOON, make_policy, make_verdict


@pytest.mark.parametrize(
    ("position", "state"),
    [
        pytest.param(FIRST, State.ROLLED_BACK, id="in the canary"),
        pytest.param(SHADOW, State.REJECTED, id="in shadow"),
    ],
)
def test_an_undecided_deadline_rolls_back_where_the_policy_says_so(position: int, state: State) -> None:
    """The outcome stays inconclusive: nothing was shown against the candidate."""
    action = decide(undecided("roll_back", position))
    assert isinstance(action, End)
    assert (action.state, action.outcome, action.gate) == (state, INCONCLUSIVE, None)
    assert "latency says inconclusive" in action.reason


def test_an_undecided_deadline_is_extended_where_the_policy_says_so() -> None:
    """The stage gets the same time once more, counted from now."""
    action = decide(undecided("extend"))
    assert isinstance(action, Extend)
    assert action.deadlines == Deadlines(NOON + timedelta(minutes=11, seconds=600))
    assert "2026-03-01 12:21:00 UTC" in action.reason


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(None, Ask, id="not asked yet"),
        pytest.param(ApprovalState.PENDING, Hold, id="nobody has answered"),
        pytest.param(ApprovalState.APPROVED, Enter, id="approved"),
        pytest.param(ApprovalState.REJECTED, End, id="refused"),
        pytest.param(ApprovalState.EXPIRED, End, id="nobody answered in time"),
    ],
)
def test_an_undecided_deadline_asks_where_the_policy_says_so(
    answer: ApprovalState | None, expected: type[Action]
) -> None:
    """A person may go on without evidence; nobody else may."""
    action = decide(undecided("ask", approvals=None if answer is None else {ApprovalKind.DEADLINE: answer}))
    assert type(action) is expected
    if isinstance(action, End):
        assert (action.state, action.outcome) == (State.ROLLED_BACK, INCONCLUSIVE)


def test_a_person_may_promote_at_the_last_deadline() -> None:
    """Going on from the last stage is promotion, and the reason says who decided."""
    action = decide(undecided("ask", LAST, approvals={ApprovalKind.DEADLINE: ApprovalState.APPROVED}))
    assert action == End(State.PROMOTED, PASS, "a person decided to continue")


def test_evidence_that_comes_while_a_person_is_asked_moves_on() -> None:
    """A question about a deadline is settled by the gates when they pass after all."""
    late = NOON + timedelta(minutes=11)
    assert isinstance(decide(seen(at(), now=late, approvals={ApprovalKind.DEADLINE: ApprovalState.PENDING})), Enter)


IN_NUMBERS = [
    pytest.param({"deadline_units": 200}, "of 200 candidate units", id="in units"),
    pytest.param({"deadline_requests": 500}, "of 500 candidate requests", id="in requests"),
    pytest.param({"deadline_units": 900, "deadline_requests": 500}, "of 500 candidate requests", id="in either"),
]


@pytest.mark.parametrize(("deadlines", "which"), IN_NUMBERS)
def test_a_deadline_in_numbers_may_come_before_the_moment(deadlines: dict[str, int], which: str) -> None:
    """Whichever comes first ends the stage's time, and the reason says which."""
    base: dict[str, Any] = {
        "now": NOON + timedelta(minutes=1),
        "requests": ByArm(500, 4500),
        "units": ByArm(200, 1800),
        **deadlines,
    }
    action = decide(undecided("roll_back", **base))
    assert isinstance(action, End)
    assert action.reason == f"undecided at the deadline {which}: latency: latency says inconclusive"
    asked = decide(undecided("ask", **base))
    assert isinstance(asked, Ask)
    assert f"is undecided at its deadline {which}. latency" in asked.text
    one_less = {**base, "requests": ByArm(499, 4500), "units": ByArm(199, 1800)}
    assert isinstance(decide(undecided("roll_back", **one_less)), Hold)


def test_an_extended_stage_gets_as_much_of_everything_again() -> None:
    """Its time counts from now, and so do its units and requests."""
    release = at()
    stage = {**release.policy.stages[0].model_dump(), "deadline_units": 200, "deadline_requests": 5000}
    others = [stage.model_dump() for stage in release.policy.stages[1:]]
    policy = make_policy(stages=[{**stage, "at_deadline": "extend"}, *others])
    late = {
        "now": NOON + timedelta(minutes=1),
        "requests": ByArm(700, 6300),
        "units": ByArm(205, 1800),
        "deadline_units": 200,
    }
    action = decide(seen(at(FIRST, policy), UNSURE, **late))
    assert isinstance(action, Extend)
    assert action.deadlines == Deadlines(NOON + timedelta(minutes=1, seconds=600), 5700, 405)
    assert action.reason.endswith(
        "extended to 2026-03-01 12:11:00 UTC, 405 candidate units or 5,700 candidate requests"
    )


def test_the_deadline_counts_from_its_very_moment() -> None:
    """At the deadline the stage is late, a moment before it isn't."""
    deadline = NOON + timedelta(minutes=10)
    assert isinstance(decide(undecided("roll_back", now=deadline)), End)
    assert isinstance(decide(undecided("roll_back", now=deadline - timedelta(microseconds=1))), Hold)


UNDECIDED_EVALS = [
    pytest.param((make_verdict(INCONCLUSIVE, "accuracy"),), INCONCLUSIVE, id="inconclusive"),
    pytest.param((make_verdict(PASS, "accuracy"), make_verdict(ERROR, "unscored")), ERROR, id="error"),
    pytest.param((), ERROR, id="no verdicts"),
    pytest.param((make_verdict(PASS, "accuracy", Role.MUTED),), ERROR, id="only muted verdicts"),
]


@pytest.mark.parametrize(("verdicts", "outcome"), UNDECIDED_EVALS)
def test_an_undecided_eval_rejects_where_the_policy_says_so(verdicts: tuple[Verdict, ...], outcome: Outcome) -> None:
    """No case was shown against the candidate, and none for it."""
    policy = make_policy(eval={"golden_set": "g", "on_inconclusive": "reject"})
    action = decide(seen(at(0, policy), verdicts=verdicts))
    assert isinstance(action, End)
    assert (action.state, action.outcome) == (State.REJECTED, outcome)


@pytest.mark.parametrize(("verdicts", "outcome"), UNDECIDED_EVALS)
def test_an_undecided_eval_asks_a_person_otherwise(verdicts: tuple[Verdict, ...], outcome: Outcome) -> None:
    """Only an explicit approval goes on; silence and refusal reject with the eval's own outcome."""
    asked = decide(seen(at(0), verdicts=verdicts))
    assert isinstance(asked, Ask)
    assert asked.kind is ApprovalKind.REVIEW_EVAL
    answered = {
        answer: decide(seen(at(0), verdicts=verdicts, approvals={ApprovalKind.REVIEW_EVAL: answer}))
        for answer in ApprovalState
    }
    assert isinstance(answered[ApprovalState.PENDING], Hold)
    assert isinstance(answered[ApprovalState.APPROVED], Enter)
    for answer in (ApprovalState.REJECTED, ApprovalState.EXPIRED):
        ended = answered[answer]
        assert isinstance(ended, End)
        assert (ended.state, ended.outcome) == (State.REJECTED, outcome)
