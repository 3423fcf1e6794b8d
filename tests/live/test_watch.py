"""What gates make of live judges: which can't pass, which only guard, and what people are told."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role
from softlaunch.evals.judges.agreement import Estimate
from softlaunch.gates.telemetry import Scope
from softlaunch.live.claims import Judgement, Wanted, begin, claim, record
from softlaunch.live.claims import Outcome as Said
from softlaunch.live.progress import progress_in
from softlaunch.live.queue import search
from softlaunch.live.standing import read_standing
from softlaunch.live.watch import LiveObservation, LiveWatch
from softlaunch.policy.release import State, plan
from softlaunch.releases.conditions import examine
from softlaunch.releases.decision import Observation, Snapshot
from softlaunch.store.database import Database
from softlaunch.store.tables import LiveJudgingRow
from tests.support.builders import APP, NOON, make_release, make_verdict
from tests.support.endpoints import Endpoint
from tests.support.live_scene import HALF, RELEASE, LiveScene, live_policy, trust

GUARDED = [
    {"metric": "errors", "margin": "20 points"},
    {"metric": "quality", "margin": "5 points", "role": "guard"},
]


def opened(database: Database, live: Mapping[str, Any] | None = None, **changes: Any) -> LiveScene:
    """A release at 50 % whose judge was calibrated."""
    scene = LiveScene.opened(database, Endpoint("http://127.0.0.1:9/v1"), live_policy(dict(live or {}), **changes))
    trust(database)
    return scene


def judge(scene: LiveScene, *said: Said) -> None:
    """So many answers come, and judges say these things of them."""
    scene.serve(["good"] * len(said))
    with scene.database.read() as session:
        standing = read_standing(session, APP)
    assert standing is not None
    search(scene.database, standing, ["quality"], scene.now)
    claims = claim(scene.database, standing, Wanted(("quality",), 1, len(said)), "one", scene.now + 30, scene.now)
    found = []
    for one, outcome in zip(claims, said, strict=False):
        begin(scene.database, APP, one, "one", scene.now + 30, scene.now)
        found.append(Judgement(one, outcome, 1.0 if outcome is Said.JUDGED else None, calls=1))
    record(scene.database, APP, "one", found, scene.now, most_tries=1)


def note(scene: LiveScene, problem: str) -> None:
    """An evaluator says why judges give nothing."""
    with scene.database.begin() as session:
        row = session.get_one(LiveJudgingRow, APP)
        row.problem, row.problem_since = problem, scene.now


def look(scene: LiveScene, position: int = HALF, held: Mapping[str, Any] | None = None) -> LiveObservation:
    """A driver's look."""
    scope = Scope(APP, RELEASE, plan(scene.policy)[position])
    return LiveWatch(scene.database).look(scope, scene.policy, held or {}, scene.now)


def test_a_judge_that_nobody_compared_with_people_cannot_gate(database: Database) -> None:
    """The gate says so, and what to run; so does one below the floor, and a guard."""
    scene = LiveScene.opened(database, Endpoint("http://127.0.0.1:9/v1"), live_policy(gates=GUARDED))
    assert look(scene).blockers[Metric.QUALITY].startswith("judge can't gate: it hasn't been compared with people's")
    trust(database, kappa=Estimate(0.45, 0.3, 0.6))
    assert "kappa 0.45 against people on 400 labels, at least 0.30" in look(scene).blockers[Metric.QUALITY]


def test_without_an_evaluator_the_gate_waits_and_says_what_to_start(database: Database) -> None:
    """Nobody was ever heard, or nobody lately; the gate on errors has nothing to do with it."""
    scene = opened(database)
    never = "no evaluator was ever heard; start one with 'softlaunch evaluator' (0 answers wait)"
    assert look(scene).blockers == {Metric.QUALITY: never}
    judge(scene, Said.JUDGED)
    assert look(scene).blockers == {}
    scene.go(90)
    assert look(scene).blockers[Metric.QUALITY].startswith("no evaluator was heard for 90 s; start one")


def test_judges_that_are_away_hold_what_depends_on_them(database: Database) -> None:
    """With how many wait; what they had said before doesn't pass the stage meanwhile."""
    scene = opened(database)
    judge(scene, Said.JUDGED)
    scene.serve(["good"] * 3)
    with scene.database.read() as session:
        standing = read_standing(session, APP)
    assert standing is not None
    search(scene.database, standing, ["quality"], scene.now)
    note(scene, "judges give no answer (judge: connect)")
    assert look(scene).blockers == {Metric.QUALITY: "judges give no answer (judge: connect) (3 answers wait)"}


@pytest.mark.parametrize("gates", [pytest.param(GUARDED, id="a guard"), pytest.param(GUARDED[:1], id="no gate")])
def test_what_nothing_waits_for_is_not_held(database: Database, gates: list[Any]) -> None:
    """A guard isn't waited for, so that an outage of judges holds no stage by it."""
    scene = opened(database, gates=gates)
    found = look(scene)
    assert (found.blockers, found.lacking, found.trouble) == ({}, {}, "")


def test_a_policy_may_let_a_release_go_on_without_judges(database: Database) -> None:
    """The gate becomes a guard then: what it has seen still counts, and nothing waits for more."""
    scene = opened(database, {"without_judges": {"away": "go_on"}})
    found = look(scene)
    assert found.blockers == {}
    verdicts = found.applied((make_verdict(gate="errors"), make_verdict(Outcome.INCONCLUSIVE, gate="quality")))
    assert verdicts is not None
    assert [one.role for one in verdicts] == [Role.REQUIRED, Role.GUARD]


def test_a_spent_budget_leaves_the_gate_with_what_it_has(database: Database) -> None:
    """Evidence that is there passes; one that isn't can't come any more, and the reason says why."""
    scene = opened(database, {"budget": {"stage_calls": 2}})
    judge(scene, Said.JUDGED, Said.JUDGED)
    found = look(scene)
    assert found.blockers == {}
    passed, waits = make_verdict(gate="quality"), make_verdict(Outcome.INCONCLUSIVE, gate="quality")
    assert found.applied((passed,)) == (passed,)
    spent = "the budget of 2 calls is used up for this stage"
    assert found.applied((waits,)) == (replace(waits, reason=f"{waits.reason}; judges are no longer asked: {spent}"),)
    assert found.trouble == spent


def test_too_much_nonsense_blocks_the_gate(database: Database) -> None:
    """What is left may not be typical: one answer in five without a value is more than the policy allows."""
    scene = opened(database)
    judge(scene, *[Said.JUDGED] * 4, Said.UNREADABLE)
    assert "judges gave no value to 1 of 5 answers" in look(scene).blockers[Metric.QUALITY]
    judge(scene, *[Said.JUDGED] * 20)
    assert look(scene).blockers == {}


def test_other_stages_are_left_alone(database: Database) -> None:
    """Where users see one arm alone, no gate goes by live judges."""
    scene = opened(database)
    assert look(scene, position=1) == LiveObservation()


def test_people_read_what_became_of_the_answers(database: Database) -> None:
    """The stage's evidence keeps the counts, from which status and pages tell."""
    scene = opened(database)
    judge(scene, *[Said.JUDGED] * 30, Said.UNREADABLE, Said.UNANSWERED)
    progress = progress_in(look(scene).dump())
    assert progress is not None
    assert progress.sentences == (
        "Live judges: 30 judgements made, 0 waiting; 1 can't be read; 1 got no answer; 32 calls."
    )


def test_who_is_away_for_long_is_an_incident(database: Database) -> None:
    """It opens once the policy's time without data has passed, and is over when judges judge again."""
    scene = opened(database)
    found = look(scene)
    seconds = scene.policy.no_data_after
    assert condition(scene, found, seconds - 1) == (False, "live judges are working again")
    present, told = condition(scene, found, seconds)
    assert present
    assert "waits for live judges: no evaluator was ever heard" in told
    scene.go(seconds)
    again = look(scene, held=found.dump())
    assert again.since == found.since
    judge(scene, Said.JUDGED)
    assert look(scene, held=again.dump()).since is None


def condition(scene: LiveScene, found: LiveObservation, seconds: float) -> tuple[bool, str]:
    """Whether the incident is there so many seconds later, and what it says."""
    release = make_release(State.CANARY, HALF, policy=scene.policy)
    snapshot = Snapshot(release, NOON + timedelta(seconds=seconds), entered_at=NOON)
    raised = examine(snapshot, Observation((), found.dump(), ""))
    (one,) = (one for one in raised if one.kind is IncidentKind.JUDGES_AWAY)
    return one.present, one.summary
