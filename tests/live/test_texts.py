"""Texts that are there for judges alone go with the last judgement, and nothing of them stays anywhere."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from softlaunch.core.live_sampling import is_judged
from softlaunch.gateway.choice import Choice
from softlaunch.gateway.texts import keeps_text
from softlaunch.live.claims import MOST_TRIES, Wanted, begin, claim
from softlaunch.live.queue import search
from softlaunch.live.standing import Standing, read_standing
from softlaunch.live.texts import NO_DETAILS
from softlaunch.policy.model import Policy
from softlaunch.policy.release import State
from softlaunch.policy.route import Arm, Route, Serving
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import TextRow
from tests.live.test_worker import grades
from tests.support.builders import APP, make_release, make_variant
from tests.support.endpoints import Endpoint, Reply, running_endpoint
from tests.support.live_scene import HALF, LiveScene, live_policy, trust

MARKER = "ZEBRA-7f3a"
UNTIL_JUDGED = {"keep": "until_judged"}
Opened = Callable[..., LiveScene]


@pytest.fixture
def judge() -> Iterator[Endpoint]:
    """An endpoint that plays the judge."""
    with running_endpoint() as endpoint:
        endpoint.behaviour = grades
        yield endpoint


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    """A ledger whose files can be read."""
    database = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield database
    database.close()


@pytest.fixture
def opened(ledger: Database, judge: Endpoint) -> Opened:
    """Makes the app of a policy under which texts go with their judgement."""

    def make(live: dict[str, Any] | None = None, **changes: Any) -> LiveScene:
        scene = LiveScene.opened(ledger, judge, live_policy(live, texts=UNTIL_JUDGED, **changes))
        trust(ledger)
        return scene

    return make


def _serve(scene: LiveScene, answers: list[str], **facts: Any) -> None:
    """Answers whose texts are there until they are judged, each with a marker."""
    scene.serve(answers, **facts)
    with scene.database.begin() as session:
        session.execute(
            update(TextRow)
            .where(col(TextRow.question).not_like(f"%{MARKER}%"))
            .values(until_judged=True, question=col(TextRow.question) + " " + MARKER)
        )


def _texts(scene: LiveScene) -> int:
    with scene.database.read() as session:
        return len(session.exec(select(TextRow)).all())


def _bytes(database: Database) -> bytes:
    """Everything that is on the disk of a ledger."""
    assert database.path is not None
    return b"".join(path.read_bytes() for path in sorted(database.path.parent.glob(f"{database.path.name}*")))


def test_a_judged_answer_leaves_its_score_alone(opened: Opened, ledger: Database) -> None:
    """The text is gone with the judgement, and from the file and its log seconds later."""
    scene = opened()
    _serve(scene, ["good", "poor", "good", "poor"])
    assert MARKER.encode() in _bytes(ledger)
    scene.judge_all()
    assert len(scene.scores()) == 4
    assert _texts(scene) == 0
    scene.go(20)
    scene.judge_all()
    assert MARKER.encode() not in _bytes(ledger)


def test_the_last_metric_takes_the_text_with_it(opened: Opened) -> None:
    """While one of two judgements waits the text is there, however the other one went."""
    metrics = [{"metric": "quality"}, {"metric": "hallucination"}]
    gates = [{"metric": "errors", "margin": "20 points"}]
    scene = opened({"metrics": metrics, "budget": {"stage_calls": 1, "day_calls": 1}}, gates=gates)
    _serve(scene, ["good"])
    scene.judge_all()
    assert sorted(row.state for row in scene.judgements()) == ["over", "waiting"]
    assert _texts(scene) == 1
    scene.to_stage(HALF + 1)  # what waited of the stage before is let go
    scene.judge_all()
    assert _texts(scene) == 0


def test_what_cannot_be_read_or_answered_goes_too(opened: Opened, judge: Endpoint) -> None:
    """Nobody asks again for what judges said nothing readable of, or never answered, and what was said goes too."""
    scene = opened()
    judge.behaviour = lambda *_: Reply(f"I can't grade {MARKER}.")
    _serve(scene, ["odd"])
    scene.judge_all()
    assert _texts(scene) == 0
    assert [row.reason for row in scene.judgements()] == [NO_DETAILS]
    scene.go(20)
    scene.judge_all()
    assert MARKER.encode() not in _bytes(scene.database)
    judge.behaviour = lambda _model, prompt, _before: Reply(status=500) if "endless" in prompt else Reply("[[5]]")
    _serve(scene, ["endless"])
    assert _texts(scene) == 1
    for _ in range(MOST_TRIES):
        _serve(scene, ["good"])
        scene.judge_all(most=10)
        scene.go(60)
    assert _texts(scene) == 0


def test_what_nobody_will_judge_goes_when_it_was_looked_at(opened: Opened) -> None:
    """One answer too many of its unit, one without words, and what is beyond the backlog."""
    scene = opened({"answers_per_unit": 1, "backlog": 2})
    _serve(scene, ["good", "poor", "good", "poor", "good", ""], units=[1, 2, 1, 2, 3, 4])
    scene.worker().work()
    scene.go(1)
    scene.judge_all()
    assert _texts(scene) == 0
    assert len(scene.judgements()) == 2


def test_what_an_evaluator_took_with_it_goes_when_its_claim_runs_out(opened: Opened, ledger: Database) -> None:
    """It may have been paid for and is never asked again."""
    scene = opened()
    _serve(scene, ["good"])
    with ledger.read() as session:
        standing = read_standing(session, APP)
    assert standing is not None
    search(ledger, standing, ["quality"], scene.now)
    (taken,) = claim(ledger, standing, Wanted(("quality",), 1, 1), "dead", scene.now + 30, scene.now)
    assert begin(ledger, APP, taken, "dead", scene.now + 30, scene.now) is not None
    assert _texts(scene) == 1
    scene.go(31)
    scene.judge_all()  # takes back what had been claimed
    scene.judge_all()
    assert _texts(scene) == 0
    assert scene.scores() == {}


def test_what_others_may_read_stays(opened: Opened) -> None:
    """A text that was kept before the policy changed keeps its time."""
    scene = opened()
    scene.serve(["good"])
    scene.judge_all()
    assert len(scene.scores()) == 1
    assert _texts(scene) == 1


@pytest.mark.parametrize(("position", "weight"), [(HALF, 50.0), (HALF + 1, 100.0), (None, 0.0)])
def test_a_gateway_writes_what_evaluators_look_for(position: int | None, weight: float) -> None:
    """Both know by themselves which answers are judged, and they know the same."""
    policy = live_policy({"sample_percent": {"candidate": 70, "stable": 40, "afterwards": 10}}, texts=UNTIL_JUDGED)
    assert policy.live is not None
    release = None if position is None else make_release(State.CANARY, position, policy=policy)
    standing = Standing(APP, policy, policy.live, release)
    route = _route(policy, weight, release_id=None if release is None else release.id)
    for arm, unit in product(Arm, range(200)):
        wanted = arm in standing.arms and is_judged(APP, unit, standing.sample_percent(arm))
        assert keeps_text(route, Choice(arm, route.stable, unit)) == wanted


def _route(policy: Policy, weight: float, release_id: str | None) -> Route:
    serving = Serving.of("salt", policy)
    return Route(APP, 1, make_variant(), serving, weight_percent=weight, release_id=release_id)
