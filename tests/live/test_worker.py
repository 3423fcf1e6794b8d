"""An evaluator at work: with a real endpoint that plays the judge, on a real ledger."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlmodel import col, select

from softlaunch.ledger.reported import LIVE_JUDGES
from softlaunch.live.claims import MOST_TRIES
from softlaunch.live.states import JudgementState
from softlaunch.policy.model import Policy
from softlaunch.store.database import Database
from softlaunch.store.tables import ScoreRow, TextRow
from tests.support.builders import APP
from tests.support.endpoints import Endpoint, Reply, running_endpoint
from tests.support.live_scene import LiveScene, live_policy, trust

Opened = Callable[..., LiveScene]


def grades(_model: str, prompt: str, _before: int) -> Reply:
    """Grades by the word that an answer is."""
    answer = re.findall(r"<answer>\n(.*?)\n</answer>", prompt, re.DOTALL)[0]
    return Reply({"good": "[[5]]", "poor": "[[2]]"}.get(answer, "Hm."))


@pytest.fixture
def judge() -> Iterator[Endpoint]:
    """An endpoint that plays the judge."""
    with running_endpoint() as endpoint:
        endpoint.behaviour = grades
        yield endpoint


@pytest.fixture
def opened(database: Database, judge: Endpoint) -> Opened:
    """Makes the app of a policy whose judge was calibrated."""

    def make(policy: Policy | None = None, **facts: Any) -> LiveScene:
        scene = LiveScene.opened(database, judge, policy or live_policy(), **facts)
        trust(database)
        return scene

    return make


def test_answers_of_both_arms_become_scores(opened: Opened, judge: Endpoint) -> None:
    """Each answer is graded once; the score is under the metric's name, and what it took is written beside."""
    scene = opened()
    scene.serve(["good", "poor", "good", "poor"])
    scene.judge_all()
    assert scene.scores() == {f"{APP}-r1": 1.0, f"{APP}-r2": 0.25, f"{APP}-r3": 1.0, f"{APP}-r4": 0.25}
    rows = scene.judgements()
    assert [(row.arm, row.value, row.calls, row.sample_percent) for row in rows] == [
        ("candidate", 1.0, 1, 100.0),
        ("stable", 0.25, 1, 100.0),
        ("candidate", 1.0, 1, 100.0),
        ("stable", 0.25, 1, 100.0),
    ]
    assert {row.state for row in rows} == {JudgementState.OVER}
    assert {row.reason for row in rows} == {""}  # a reason would keep texts beyond their retention
    assert len({row.panel for row in rows}) == 1
    assert rows[0].cost_usd == pytest.approx(30e-6)
    with scene.database.read() as session:
        one = session.exec(select(ScoreRow).order_by(col(ScoreRow.id))).first()
        assert one is not None
        assert (one.source, one.metric, one.received_at) == (LIVE_JUDGES, "quality", scene.now)
    scene.judge_all()
    assert judge.asked.total() == 4


def test_only_the_sampled_units_are_judged_each_arm_at_its_rate(opened: Opened) -> None:
    """Where stable's share is a tenth, about a tenth of its units are judged, and all of the candidate's."""
    policy = live_policy({"sample_percent": {"candidate": 100, "stable": 10}})
    scene = opened(policy)
    scene.serve(["good"] * 80, seconds=0.01)
    scene.judge_all()
    arms = [row.arm for row in scene.judgements()]
    assert arms.count("candidate") == 40
    assert 1 <= arms.count("stable") <= 10
    assert {row.sample_percent for row in scene.judgements() if row.arm == "stable"} == {10.0}


def test_one_unit_does_not_eat_the_budget(opened: Opened) -> None:
    """Of a unit's many answers only the first few are judged, also when they come later."""
    scene = opened(live_policy({"answers_per_unit": 3}))
    scene.serve(["good"] * 6, units=[1, 2] * 3)
    scene.judge_all()
    scene.serve(["good"] * 4, units=[1, 2] * 2)
    scene.judge_all()
    assert [row.unit for row in scene.judgements()] == [1, 2] * 3


def test_after_the_release_stable_is_judged_at_its_own_rate(opened: Opened) -> None:
    """Without a release only the rate for afterwards counts, and the scores are there to be read."""
    policy = live_policy({"sample_percent": {"candidate": 100, "stable": 100, "afterwards": 5}})
    scene = opened(policy, released=False)
    scene.serve(["good"] * 400, seconds=0.01)
    scene.judge_all()
    assert 5 <= len(scene.scores()) <= 40
    assert {(row.release_id, row.arm, row.sample_percent) for row in scene.judgements()} == {(None, "stable", 5.0)}


def test_what_cannot_be_read_is_counted_and_says_why(opened: Opened, judge: Endpoint) -> None:
    """Nonsense is no score, is asked for once, and is told."""
    scene = opened()
    scene.serve(["good", "gibberish"])
    scene.judge_all()
    assert scene.scores() == {f"{APP}-r1": 1.0}
    assert scene.judgements()[1].reason == "judge said what can't be read: 'Hm.'"
    assert (scene.progress().tally.judged, scene.progress().tally.unreadable) == (1, 1)
    scene.judge_all()
    assert judge.asked.total() == 2


@pytest.mark.long
def test_a_judge_that_was_away_is_asked_again_and_nothing_is_lost(opened: Opened, judge: Endpoint) -> None:
    """For an hour nothing is answered: it is asked ever more rarely, and goes on by itself as soon as it answers."""
    scene = opened()
    judge.behaviour = lambda *_: Reply(status=503)
    scene.serve(["good", "poor"] * 30)
    for _ in range(60):
        scene.judge_all()
        scene.go(60)
    asked_in_vain = judge.asked.total()
    assert asked_in_vain < 70
    assert scene.progress().away == "judges give no answer (judge: http_503)"
    judge.behaviour = grades
    scene.judge_all()
    assert scene.progress().away == ""
    assert len(scene.scores()) == 60
    assert scene.progress().tally.unanswered == 0


def test_an_answer_that_no_judge_answers_is_given_up(opened: Opened, judge: Endpoint) -> None:
    """It holds up nobody else, and is counted once it was tried often enough."""
    scene = opened()
    judge.behaviour = lambda model, prompt, before: Reply(status=500) if "endless" in prompt else Reply("[[5]]")
    for _ in range(MOST_TRIES):
        scene.serve(["good", "endless", "good"] if scene.served == 0 else ["good"])
        scene.judge_all(most=10)
        scene.go(60)
    assert scene.progress().tally.unanswered == 1
    assert len(scene.scores()) == 2 + MOST_TRIES - 1
    assert scene.judgements()[1].reason == "judge: http_500"


def test_a_judge_slower_than_the_traffic_leaves_a_bounded_backlog(opened: Opened, judge: Endpoint) -> None:
    """More comes than is judged: the oldest are let go, of both arms alike, and counted."""
    scene = opened(live_policy({"backlog": 20}))
    for _ in range(3):
        scene.serve(["good"] * 50, seconds=0.1)
        scene.worker().work()  # one pass judges 16
    progress = scene.progress()
    assert progress.waiting <= 20
    assert progress.tally.judged == judge.asked.total() == 48
    assert progress.tally.judged + progress.tally.let_go + progress.waiting == 150
    arms = [row.arm for row in scene.judgements() if row.value is not None]
    assert arms.count("candidate") == arms.count("stable") == 24


@pytest.mark.parametrize(
    ("budget", "spent"),
    [
        pytest.param({"stage_calls": 10}, "the budget of 10 calls is used up for this stage", id="calls of a stage"),
        pytest.param({"day_calls": 10}, "the budget of 10 calls is used up for today", id="calls of a day"),
        pytest.param(
            {"stage_usd": 0.000305}, "the budget of $0.000305 is used up ($0.0003 spent) for this stage", id="dollars"
        ),
    ],
)
def test_the_budget_ends_it(opened: Opened, judge: Endpoint, budget: dict[str, Any], spent: str) -> None:
    """Also for another evaluator, and the rest of the answers wait."""
    scene = opened(live_policy({"budget": budget}))
    scene.serve(["good"] * 30)
    scene.judge_all("one")
    scene.judge_all("other")
    assert judge.asked.total() == 10
    assert scene.progress().spent == spent
    assert scene.progress().waiting == 20


def test_the_next_day_has_a_budget_of_its_own(opened: Opened, judge: Endpoint) -> None:
    """What is used up on one day is there again on the next."""
    scene = opened(live_policy({"budget": {"day_calls": 10}}), released=False)
    scene.serve(["good"] * 15)
    scene.judge_all()
    scene.go(86_400)
    scene.judge_all()
    assert judge.asked.total() == 15


def test_what_waits_of_a_stage_that_is_over_is_let_go(opened: Opened, judge: Endpoint) -> None:
    """No gate can go by it any more, so nobody is paid for it."""
    scene = opened()
    judge.behaviour = lambda *_: Reply(status=503)
    scene.serve(["good"] * 8)
    scene.judge_all()
    judge.behaviour = grades
    scene.to_stage(4)
    scene.go(100)
    scene.judge_all()
    assert scene.scores() == {}
    assert scene.progress().tally.let_go == 8


def test_a_judge_below_the_floor_is_not_asked_for_a_gate(database: Database, judge: Endpoint) -> None:
    """Nobody is paid for what couldn't count; a metric that no gate decides by is judged all the same."""
    scene = LiveScene.opened(database, judge, live_policy())
    scene.serve(["good"] * 3)
    scene.judge_all()
    assert not judge.asked


def test_a_metric_without_a_gate_is_judged_by_anybody(database: Database, judge: Endpoint) -> None:
    """What nothing rests on needs no calibration."""
    gates = [{"metric": "errors", "margin": "20 points"}]
    scene = LiveScene.opened(database, judge, live_policy(gates=gates))
    scene.serve(["good"] * 3)
    scene.judge_all()
    assert judge.asked.total() == 3


def test_a_text_that_is_gone_is_let_go(opened: Opened, judge: Endpoint) -> None:
    """Its retention has run out before a judge was asked."""
    scene = opened(live_policy({"delay": "10 s"}))
    scene.serve(["good", "poor"])
    scene.go(11)
    judge.behaviour = lambda *_: Reply(status=503)
    scene.judge_all()
    with scene.database.begin() as session:
        session.delete(session.get_one(TextRow, (f"{APP}-r1", "candidate")))
    judge.behaviour = grades
    for _ in range(2):
        scene.go(60)
        scene.judge_all()
    assert set(scene.scores()) == {f"{APP}-r2"}
    assert scene.progress().tally.let_go == 1


def test_nothing_is_judged_before_its_delay(opened: Opened, judge: Endpoint) -> None:
    """A policy may let answers rest first."""
    scene = opened(live_policy({"delay": "1 min"}))
    scene.serve(["good"] * 3)
    scene.judge_all()
    assert not judge.asked
    scene.go(60)
    scene.judge_all()
    assert judge.asked.total() == 3


def test_an_unpriced_judge_is_told_where_dollars_are_counted(opened: Opened, judge: Endpoint) -> None:
    """Without a count of tokens a budget in USD can't be kept, so nobody goes on spending."""
    scene = opened(live_policy({"budget": {"stage_usd": 1}}))
    judge.behaviour = lambda *_: Reply("[[5]]", usage=None)
    scene.serve(["good"] * 9)
    scene.judge_all()
    assert "set live.budget.stage_calls and live.budget.day_calls instead" in scene.progress().away
    assert judge.asked.total() == 1
