"""What a release does next, as a table of what is known and what follows."""

from datetime import timedelta

import pytest

from softlaunch.core.approvals import ApprovalKind, ApprovalState
from softlaunch.core.arms import ByArm
from softlaunch.core.verdict import Role, Verdict
from softlaunch.policy.release import State
from softlaunch.releases.decision import Action, Ask, End, Enter, Hold, Snapshot, decide
from tests.releases.snapshots import (
    ERROR,
    FAIL,
    FAILED,
    FIRST,
    INCONCLUSIVE,
    LAST,
    PASS,
    PASSED,
    SHADOW,
    UNSURE,
    at,
    seen,
    undecided,
    with_approval,
)
from tests.support.builders import NOON, make_policy, make_release, make_verdict


def test_a_pending_release_begins_with_the_eval() -> None:
    """Nothing need be known to begin."""
    action = decide(Snapshot(make_release(), NOON))
    assert isinstance(action, Enter)
    assert action.stage.name == "regression eval"


HARM = [
    pytest.param(seen(at(), PASSED[0], FAILED), State.ROLLED_BACK, "latency", id="a failed gate in the canary"),
    pytest.param(seen(at(SHADOW), PASSED[0], FAILED), State.REJECTED, "latency", id="a failed gate in shadow"),
    pytest.param(seen(at(0), FAILED), State.REJECTED, "latency", id="a failed eval"),
    pytest.param(
        seen(at(), *PASSED, make_verdict(FAIL, "satisfaction", Role.GUARD)),
        State.ROLLED_BACK,
        "satisfaction",
        id="a failed guard",
    ),
    pytest.param(
        seen(at(FIRST, with_approval()), FAILED, approvals={ApprovalKind.ENTER_STAGE: ApprovalState.APPROVED}),
        State.ROLLED_BACK,
        "latency",
        id="a failed gate and an approval",
    ),
    pytest.param(
        seen(at(FIRST, with_approval()), FAILED, approvals={ApprovalKind.ENTER_STAGE: ApprovalState.PENDING}),
        State.ROLLED_BACK,
        "latency",
        id="a failed gate while a person is asked",
    ),
    pytest.param(
        undecided("ask", trip="7 of 10 failed", approvals={ApprovalKind.DEADLINE: ApprovalState.APPROVED}),
        State.ROLLED_BACK,
        "breaker",
        id="a tripped breaker and an approval",
    ),
    pytest.param(seen(at(LAST), *PASSED, trip="7 of 10 failed"), State.ROLLED_BACK, "breaker", id="a breaker at 100 %"),
    pytest.param(seen(at(), verdicts=(), trip="7 of 10 failed"), State.ROLLED_BACK, "breaker", id="a breaker alone"),
    pytest.param(
        seen(at(), make_verdict(ERROR, "errors"), FAILED), State.ROLLED_BACK, "latency", id="a fail beside an error"
    ),
    pytest.param(seen(at(), FAILED, requests=ByArm(1, 1), now=NOON), State.ROLLED_BACK, "latency", id="a fail at once"),
]


@pytest.mark.parametrize(("snapshot", "state", "culprit"), HARM)
def test_harm_ends_a_release_whatever_else_is_known(snapshot: Snapshot, state: State, culprit: str) -> None:
    """Who was met by users is rolled back, who wasn't is rejected; no approval or deadline comes before it."""
    action = decide(snapshot)
    assert isinstance(action, End)
    assert (action.state, action.outcome, action.gate) == (state, FAIL, culprit)
    assert culprit in action.reason


NOT_YET = [
    pytest.param(seen(at(), PASSED[0], UNSURE), "latency says inconclusive", id="one gate is inconclusive"),
    pytest.param(seen(at(), PASSED[0], make_verdict(ERROR)), "latency can't be judged", id="one gate has an error"),
    pytest.param(
        seen(at(), *PASSED, make_verdict(ERROR, "cost", Role.GUARD)), "cost can't be judged", id="a guard has an error"
    ),
    pytest.param(seen(at(), verdicts=()), "no required gate", id="no verdicts"),
    pytest.param(seen(at(), verdicts=None), "no required gate", id="nothing was judged"),
    pytest.param(
        seen(at(), verdicts=(), progress="the log can't be read"), "the log can't be read", id="nothing could be seen"
    ),
    pytest.param(seen(at(), make_verdict(PASS, "cost", Role.GUARD)), "no required gate", id="only a guard passes"),
    pytest.param(seen(at(), make_verdict(PASS, "cost", Role.MUTED)), "no required gate", id="only a muted gate passes"),
    pytest.param(seen(at(), *PASSED, requests=ByArm(19, 500)), "19 of at least 20", id="too few of the candidate's"),
    pytest.param(seen(at(), *PASSED, requests=ByArm(500, 19)), "19 of at least 20", id="too few of stable's"),
    pytest.param(
        seen(at(), *PASSED, now=NOON + timedelta(seconds=3)), "2 s of the minimum time", id="before the minimum time"
    ),
    pytest.param(seen(at(), *PASSED, entered_at=None), "minimum time", id="nobody knows since when"),
]


@pytest.mark.parametrize(("snapshot", "reason"), NOT_YET)
def test_without_evidence_a_stage_holds(snapshot: Snapshot, reason: str) -> None:
    """Only required gates that all pass, for long enough and on enough requests, move a release on."""
    action = decide(snapshot)
    assert isinstance(action, Hold)
    assert reason in action.reason


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(make_verdict(INCONCLUSIVE, "satisfaction", Role.GUARD), id="an inconclusive guard"),
        pytest.param(make_verdict(FAIL, "cost", Role.MUTED), id="a muted gate that fails"),
        pytest.param(make_verdict(ERROR, "cost", Role.MUTED), id="a muted gate with an error"),
        pytest.param(make_verdict(INCONCLUSIVE, "cost", Role.MUTED), id="an inconclusive muted gate"),
    ],
)
def test_guards_are_not_waited_for_and_muted_gates_change_nothing(extra: Verdict) -> None:
    """The next stage begins as if they weren't there."""
    action = decide(seen(at(), *PASSED, extra))
    assert isinstance(action, Enter)
    assert action.stage.name == "canary 50 %"


@pytest.mark.parametrize(
    ("position", "following"),
    [
        pytest.param(0, "shadow", id="after the eval"),
        pytest.param(SHADOW, "canary 10 %", id="after shadow"),
        pytest.param(3, "canary 100 %", id="after 50 %"),
    ],
)
def test_a_stage_that_passed_is_followed_by_the_next(position: int, following: str) -> None:
    """Stages follow each other in the order of the plan."""
    action = decide(seen(at(position)))
    assert isinstance(action, Enter)
    assert action.stage.name == following


def test_after_the_last_stage_the_candidate_is_promoted() -> None:
    """There is nothing more to wait for."""
    assert decide(seen(at(LAST))) == End(State.PROMOTED, PASS, "every stage passed")


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
def test_a_stage_with_approval_waits_for_an_explicit_yes(answer: ApprovalState | None, expected: type[Action]) -> None:
    """Silence ends like a refusal, and both roll back what users have met."""
    answers = None if answer is None else {ApprovalKind.ENTER_STAGE: answer}
    action = decide(seen(at(FIRST, with_approval()), approvals=answers))
    assert type(action) is expected
    if isinstance(action, End):
        assert (action.state, action.outcome) == (State.ROLLED_BACK, INCONCLUSIVE)


def test_an_approval_given_early_does_not_stand_for_evidence() -> None:
    """A person agrees to the next stage, not to skipping what must be known before it."""
    approved = {ApprovalKind.ENTER_STAGE: ApprovalState.APPROVED}
    assert isinstance(decide(seen(at(FIRST, with_approval()), UNSURE, approvals=approved)), Hold)


def test_an_answer_to_another_question_is_no_approval() -> None:
    """Having agreed to go on after a deadline isn't having agreed to the next stage."""
    answers = {ApprovalKind.DEADLINE: ApprovalState.APPROVED}
    assert isinstance(decide(seen(at(FIRST, with_approval()), approvals=answers)), Ask)


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        pytest.param(ByArm(49, 900), "49 of at least 50 units in the smaller arm", id="too few of the candidate's"),
        pytest.param(ByArm(900, 49), "49 of at least 50 units in the smaller arm", id="too few of stable's"),
        pytest.param(ByArm(0, 0), "0 of at least 50 units", id="nobody knows how many"),
        pytest.param(ByArm(50, 50), None, id="enough"),
    ],
)
def test_a_stage_waits_for_its_units(units: ByArm[int], expected: str | None) -> None:
    """Many requests of few users don't pass a stage that asks for users."""
    first, *others = (stage.model_dump() for stage in make_policy().stages)
    policy = make_policy(stages=[{**first, "minimum_units": 50}, *others])
    action = decide(seen(at(FIRST, policy), *PASSED, requests=ByArm(9000, 9000), units=units))
    if expected is None:
        assert isinstance(action, Enter)
    else:
        assert isinstance(action, Hold)
        assert expected in action.reason


@pytest.mark.parametrize(
    ("by_fallback", "expected"),
    [
        pytest.param(100, "own model was seen in 0 of at least 20 requests", id="it never answered"),
        pytest.param(81, "its fallback models answered 81 of 100", id="it answered too few"),
        pytest.param(80, None, id="it answered enough"),
    ],
)
def test_a_stage_waits_for_the_candidates_own_model(by_fallback: int, expected: str | None) -> None:
    """A model that no user has met isn't promoted because another one answered well in its place."""
    action = decide(seen(at(), *PASSED, requests=ByArm(100, 100), by_fallback=by_fallback))
    if expected is None:
        assert isinstance(action, Enter)
    else:
        assert isinstance(action, Hold)
        assert expected in action.reason


def test_minimum_numbers_and_times_are_enough_themselves() -> None:
    """At exactly as many requests, and after exactly as long, a stage that passes is over."""
    assert isinstance(decide(seen(at(), *PASSED, requests=ByArm(20, 20), now=NOON + timedelta(seconds=5))), Enter)


def test_an_eval_under_way_holds_with_its_progress() -> None:
    """There is nothing to judge before the last call."""
    assert decide(seen(at(0), verdicts=None, progress="3 of 9 calls")) == Hold("3 of 9 calls")


def test_an_eval_is_not_held_to_times_and_requests_of_live_stages() -> None:
    """An eval that passed at once moves on at once."""
    assert isinstance(decide(seen(at(0), now=NOON, requests=ByArm(0, 0), deadline_at=None)), Enter)
