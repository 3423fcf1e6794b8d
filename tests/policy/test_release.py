"""The release as a state machine, and its plan of stages."""

from itertools import product

import pytest

from softlaunch.policy.model import Policy
from softlaunch.policy.release import IllegalTransitionError, Kind, StageKind, State, check_transition, plan, stages_of
from softlaunch.policy.stages import AtDeadline
from tests.support.builders import make_policy, make_release

LEGAL = {
    (State.PENDING, State.EVALUATING),
    (State.PENDING, State.SHADOWING),
    (State.PENDING, State.CANARY),
    (State.PENDING, State.TESTING),
    (State.PENDING, State.WATCHING),
    (State.PENDING, State.ROLLED_BACK),
    (State.PENDING, State.ABORTED),
    (State.WATCHING, State.WATCHING),
    (State.WATCHING, State.CONCLUDED),
    (State.WATCHING, State.ROLLED_BACK),
    (State.WATCHING, State.ABORTED),
    (State.TESTING, State.CONCLUDED),
    (State.TESTING, State.ROLLED_BACK),
    (State.TESTING, State.ABORTED),
    (State.EVALUATING, State.SHADOWING),
    (State.EVALUATING, State.CANARY),
    (State.EVALUATING, State.REJECTED),
    (State.EVALUATING, State.ABORTED),
    (State.SHADOWING, State.CANARY),
    (State.SHADOWING, State.REJECTED),
    (State.SHADOWING, State.ABORTED),
    (State.CANARY, State.CANARY),
    (State.CANARY, State.PROMOTED),
    (State.CANARY, State.ROLLED_BACK),
    (State.CANARY, State.ABORTED),
    (State.PROMOTED, State.ROLLED_BACK),
}
OVER = {State.CONCLUDED, State.REJECTED, State.ROLLED_BACK, State.ABORTED}


@pytest.mark.parametrize(("current", "following"), sorted(LEGAL), ids=str)
def test_legal_transitions_are_accepted(current: State, following: State) -> None:
    """Every step of a release's life is allowed."""
    check_transition(current, following)


@pytest.mark.parametrize(("current", "following"), sorted(set(product(State, State)) - LEGAL), ids=str)
def test_every_other_transition_is_refused(current: State, following: State) -> None:
    """Whatever isn't a step of a release's life is refused, and the message lists what is possible."""
    with pytest.raises(IllegalTransitionError) as refused:
        check_transition(current, following)
    message = str(refused.value)
    assert f"{current} can't become {following}" in message
    possible = sorted(to for came_from, to in LEGAL if came_from is current)
    assert message.endswith(", ".join(possible) or "nothing: it is over")


def test_the_lock_is_held_exactly_by_releases_that_can_still_move() -> None:
    """A live release is one that hasn't ended, and promotion is an end."""
    assert {state for state in State if not state.live} == OVER | {State.PROMOTED}


def test_only_the_canary_and_a_test_expose_users() -> None:
    """What happens before the canary nobody sees."""
    assert [state for state in State if state.exposes_users] == [State.CANARY, State.TESTING]


def test_an_ab_test_has_one_stage() -> None:
    """A fixed split until its planned end, under the margins of the policy as they are."""
    (stage,) = stages_of(Kind.AB_TEST, make_policy(ab={"split_percent": 30}))
    assert (stage.kind, stage.weight_percent, stage.state) == (StageKind.AB_TEST, 30, State.TESTING)
    assert (stage.deadline, stage.margin_factor) == (7 * 86400, 1)


def test_the_default_plan_is_eval_shadow_and_four_weights() -> None:
    """An app with five lines of policy gets every stage, numbered in order."""
    stages = plan(Policy.model_validate({"app": "a", "eval": {"golden_set": "g"}}))
    assert [stage.position for stage in stages] == list(range(6))
    assert [stage.kind for stage in stages] == [StageKind.EVAL, StageKind.SHADOW, *[StageKind.CANARY] * 4]
    assert [stage.weight_percent for stage in stages] == [0, 0, 1, 5, 50, 100]
    assert [stage.margin_factor for stage in stages[2:]] == [4, 2, 1, 1]


def test_without_a_golden_set_the_plan_begins_behind_the_eval() -> None:
    """With the shadow, or with the first weight."""
    stages = plan(Policy.model_validate({"app": "a", "eval": {"golden_set": None}}))
    assert [(stage.position, stage.kind) for stage in stages[:2]] == [(0, StageKind.SHADOW), (1, StageKind.CANARY)]
    stages = plan(Policy.model_validate({"app": "a", "eval": {"golden_set": None}, "shadow": None}))
    assert [(stage.position, stage.kind) for stage in stages[:1]] == [(0, StageKind.CANARY)]


def test_by_default_nothing_is_said_in_units() -> None:
    """A stage waits for requests and time, and its deadline is a time."""
    for stage in plan(Policy.model_validate({"app": "a", "eval": {"golden_set": "g"}}))[1:]:
        assert (stage.minimum_units, stage.deadline_units, stage.deadline_requests) == (0, None, None)
        assert (stage.minimum_requests, stage.deadline) == (100, 86400)


def test_a_plan_has_the_policys_numbers() -> None:
    """Of the shadow in pairs, of the canary in requests and units."""
    numbers = {"minimum_units": 300, "deadline_units": 6000, "deadline_requests": 9000}
    stages = plan(
        make_policy(
            shadow={"deadline_requests": 700}, stages=[{"weight_percent": 5, **numbers}, {"weight_percent": 100}]
        )
    )
    assert stages[1].deadline_requests == 700
    assert (stages[2].minimum_units, stages[2].deadline_units, stages[2].deadline_requests) == (300, 6000, 9000)


def test_without_shadow_the_canary_follows_the_eval() -> None:
    """A policy may leave the shadow stage out."""
    stages = plan(make_policy(shadow=None))
    assert [(stage.position, stage.name) for stage in stages] == [
        (0, "regression eval"),
        (1, "canary 10 %"),
        (2, "canary 50 %"),
        (3, "canary 100 %"),
    ]


def test_blue_green_is_a_single_stage_of_100() -> None:
    """All users at once, with copies to stable to compare with, and the way back as a rollback."""
    stages = plan(make_policy(stages=[{"weight_percent": 100, "at_deadline": "roll_back"}]))
    assert [stage.name for stage in stages] == ["regression eval", "shadow", "canary 100 %"]
    assert stages[2].control_percent == 5
    assert stages[2].at_deadline is AtDeadline.ROLL_BACK


def test_copies_are_made_only_where_users_see_one_arm() -> None:
    """Shadow copies to the candidate, 100 % copies to stable, and what lies between needs no copies."""
    copies = {stage.name: (stage.shadow_percent, stage.control_percent) for stage in plan(make_policy())}
    assert copies == {
        "regression eval": (0, 0),
        "shadow": (10, 0),
        "canary 10 %": (0, 0),
        "canary 50 %": (0, 0),
        "canary 100 %": (0, 5),
    }


def test_stable_is_asked_twice_only_where_texts_are_kept() -> None:
    """A share of the copied requests; without texts there would be nothing to compare."""
    shadow = {"sample_percent": 40, "floor_percent": 25}
    kept = plan(make_policy(shadow=shadow, texts={"keep": True}))[1]
    assert (kept.shadow_percent, kept.control_percent) == (40, 10)
    assert plan(make_policy(shadow=shadow))[1].control_percent == 0


def test_an_observation_is_the_candidates_with_the_stages_weight() -> None:
    """Users are split by weight, and copies come in pairs."""
    assert [stage.candidate_share for stage in plan(make_policy())[1:]] == [0.5, 0.1, 0.5, 0.5]


def test_a_release_knows_where_it_stands_in_its_plan() -> None:
    """The stage in force and the one after it come from the frozen policy; the last has none after it."""
    release = make_release(State.CANARY, 3)
    assert release.stage.name == "canary 50 %"
    assert release.next_stage is not None
    assert release.next_stage.name == "canary 100 %"
    assert make_release(State.CANARY, 4).next_stage is None


def test_a_release_is_called_by_what_changes() -> None:
    """The title names the app and both variants."""
    assert make_release().title == "support-bot: support@1.0.0 on steady -> support@1.1.0 on steady"
