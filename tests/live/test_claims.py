"""Several evaluators at one queue, and what becomes of it when one of them dies."""

from collections import Counter

import pytest

from softlaunch.live.claims import Claim, Judgement, Outcome, Wanted, begin, claim, give_back, record
from softlaunch.live.queue import search
from softlaunch.live.standing import Standing, read_standing
from softlaunch.live.states import JudgementState
from softlaunch.store.database import Database
from tests.support.builders import APP
from tests.support.endpoints import Endpoint
from tests.support.live_scene import LiveScene, live_policy

ONE, OTHER = "evaluator one", "evaluator two"
WANTED = Wanted(("quality",), judges=1, most=4)


@pytest.fixture
def scene(database: Database) -> LiveScene:
    """Ten answers wait for judges."""
    made = LiveScene.opened(database, Endpoint("http://127.0.0.1:9/v1"), live_policy())
    made.serve(["good"] * 10)
    search(database, standing(made), ["quality"], made.now)
    return made


def standing(scene: LiveScene) -> Standing:
    """How the app stands."""
    with scene.database.read() as session:
        found = read_standing(session, APP)
    assert found is not None
    return found


def take(scene: LiveScene, holder: str, wanted: Wanted = WANTED, seconds: float = 30) -> list[Claim]:
    """Claim for so many seconds."""
    return claim(scene.database, standing(scene), wanted, holder, scene.now + seconds, scene.now)


def ask(scene: LiveScene, holder: str, one: Claim) -> bool:
    """Say that a claim is asked about, for half a minute; false where it may not be."""
    return begin(scene.database, APP, one, holder, scene.now + 30, scene.now) is not None


def say(scene: LiveScene, holder: str, *claims: Claim) -> None:
    """Write that judges found these answers good."""
    said = [Judgement(one, Outcome.JUDGED, 1.0, calls=1, cost_usd=0.01) for one in claims]
    record(scene.database, APP, holder, said, scene.now)


def states(scene: LiveScene) -> Counter[str]:
    """How many judgements are in which state."""
    return Counter(row.state for row in scene.judgements())


def test_two_evaluators_never_have_the_same_answer(scene: LiveScene) -> None:
    """Each takes the oldest that nobody has; together they take all."""
    taken = [*take(scene, ONE), *take(scene, OTHER), *take(scene, ONE)]
    assert [one.request_id for one in taken] == [f"{APP}-r{number}" for number in range(1, 11)]
    assert take(scene, OTHER) == []


def test_searching_twice_adds_nothing(scene: LiveScene) -> None:
    """Whoever searches the log after another one finds only what is new."""
    search(scene.database, standing(scene), ["quality"], scene.now)
    assert len(scene.judgements()) == 10
    scene.serve(["good"])
    search(scene.database, standing(scene), ["quality"], scene.now)
    assert len(scene.judgements()) == 11


def test_what_a_dead_evaluator_had_only_claimed_goes_back(scene: LiveScene) -> None:
    """When its claim runs out, and not before, another one has it; the dead one can't ask about it any more."""
    lost = take(scene, ONE)
    scene.go(29)
    assert len(take(scene, OTHER, Wanted(("quality",), 1, 10))) == 6
    scene.go(2)
    assert take(scene, OTHER, Wanted(("quality",), 1, 10), seconds=1000) == [
        Claim(one.id, one.request_id, one.arm, one.metric, one.period, 0) for one in lost
    ]
    assert not ask(scene, ONE, lost[0])


def test_what_a_dead_evaluator_had_asked_is_neither_asked_nor_paid_again(scene: LiveScene) -> None:
    """It may have been paid for, so it is over without a value, and counted."""
    first, *_ = take(scene, ONE)
    assert ask(scene, ONE, first)
    scene.go(31)
    again = take(scene, OTHER, Wanted(("quality",), 1, 10))
    assert first.id not in {one.id for one in again}
    assert states(scene)[JudgementState.OVER] == 1
    assert scene.progress().tally.unanswered == 1
    assert scene.judgements()[0].reason == "its evaluator ended before the answer came"


def test_an_answer_that_comes_after_its_claim_ran_out_counts_for_nothing(scene: LiveScene) -> None:
    """An evaluator that was only slow can't write over what others have decided."""
    first, *_ = take(scene, ONE)
    ask(scene, ONE, first)
    scene.go(31)
    take(scene, OTHER)
    say(scene, ONE, first)
    assert scene.scores() == {}
    assert scene.progress().tally.judged == 0


def test_writing_twice_changes_nothing(scene: LiveScene) -> None:
    """An evaluator that doesn't know whether its write went through repeats it."""
    first, *_ = take(scene, ONE)
    ask(scene, ONE, first)
    say(scene, ONE, first)
    say(scene, ONE, first)
    assert scene.scores() == {f"{APP}-r1": 1.0}
    assert (scene.progress().tally.calls, scene.progress().tally.cost_usd) == (1, 0.01)


def test_what_is_given_back_is_there_for_others_at_once(scene: LiveScene) -> None:
    """What was asked about already stays with who asked."""
    claims = take(scene, ONE)
    ask(scene, ONE, claims[0])
    give_back(scene.database, ONE, claims)
    assert states(scene) == {JudgementState.WAITING: 9, JudgementState.ASKED: 1}


def test_claims_of_others_count_against_the_budget(database: Database) -> None:
    """Two evaluators together don't claim more than may be paid."""
    made = LiveScene.opened(database, Endpoint("http://127.0.0.1:9/v1"), live_policy({"budget": {"stage_calls": 6}}))
    made.serve(["good"] * 10)
    search(database, standing(made), ["quality"], made.now)
    assert len(take(made, ONE)) == 4
    assert len(take(made, OTHER)) == 2
    assert made.progress().spent == ""  # what is being asked may come to nothing
    assert take(made, ONE) == []


def test_several_judges_take_several_calls(database: Database) -> None:
    """A budget of seven calls is enough for two answers that three judges judge."""
    made = LiveScene.opened(database, Endpoint("http://127.0.0.1:9/v1"), live_policy({"budget": {"stage_calls": 7}}))
    made.serve(["good"] * 10)
    search(database, standing(made), ["quality"], made.now)
    assert len(take(made, ONE, Wanted(("quality",), judges=3, most=9))) == 2


def test_the_arms_are_judged_in_the_order_in_which_they_came(scene: LiveScene) -> None:
    """Whatever is judged late, or never, is so of both arms alike."""
    assert [one.arm.value for one in take(scene, ONE)] == ["candidate", "stable"] * 2
