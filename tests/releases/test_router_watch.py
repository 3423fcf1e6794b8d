"""A split that an Envoy doesn't have in force is no evidence: the stage holds, and people are told what Envoy says."""

from dataclasses import dataclass, field

import pytest
from sqlmodel import col, select

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.installation.doctor.finding import Level
from softlaunch.installation.doctor.of_app import check_local
from softlaunch.ledger.gateways import ROUTER, Problem
from softlaunch.ledger.request_log import Heartbeat, write_batch
from softlaunch.policy.release import State
from softlaunch.releases.driver import Driver, Progress
from softlaunch.releases.ending import roll_back
from softlaunch.releases.rollback_watch import watch_rollbacks
from softlaunch.releases.views import read_view
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow, ReleaseRow
from tests.support.builders import ANNA, APP, Scene
from tests.support.envoy import routed_policy


@dataclass
class Routed:
    """A release in its first stage, the Envoy that splits its traffic, and the one that drives it."""

    scene: Scene
    driver: Driver = field(init=False)
    token: int = field(init=False)

    @classmethod
    def opened(cls, database: Database) -> "Routed":
        """An Envoy that follows, and a stage that has seen traffic."""
        long = {"minimum_requests": 20, "minimum_time": 600, "deadline": 6000}
        stages = [{"weight_percent": weight, **long} for weight in (50, 100)]
        policy = routed_policy("http://a", "http://b", eval={"golden_set": None}, stages=stages, control_percent=50)
        found = cls(Scene.opened(database, policy))
        found.driver = found.scene.driver()
        found.token = found.driver.acquire_lease(found.scene.release_id)
        found.hear()
        while found.scene.release().state is not State.CANARY:
            found.step()
        return found

    def hear(self, problem: Problem | None = None, *, node: str = "n1", revision: int | None = None) -> None:
        """A sign of life of an Envoy, by its control plane."""
        now = self.scene.clock().timestamp()
        known = self.scene.route().revision if revision is None else revision
        problems = {} if problem is None else {APP: problem}
        beat = Heartbeat(f"h-1-{node}", f"envoy {node}", now, now, now, {APP: known}, kind=ROUTER, problems=problems)
        write_batch(self.scene.database, [], {}, beat)

    def step(self, seconds: float = 1.0) -> Progress:
        """A step of the driver after so long."""
        self.scene.clock.go(seconds)
        return self.driver.advance(self.scene.release_id, self.token)

    @property
    def beats(self) -> int:
        """How often gateways were told that somebody watches."""
        return self.scene.route().beat

    def incidents(self) -> list[tuple[str, bool, str]]:
        """Kind, whether it is open, and summary of each."""
        with self.scene.database.read() as session:
            rows = session.exec(select(IncidentRow).order_by(col(IncidentRow.id)))
            return [(row.kind, row.resolved_at is None, row.summary) for row in rows]

    def troubles(self) -> tuple[str, ...]:
        """What `release status` says is wrong."""
        with self.scene.database.read() as session:
            row = session.get_one(ReleaseRow, self.scene.release_id)
            return read_view(session, row, self.scene.clock()).troubles


@pytest.fixture
def routed(database: Database) -> Routed:
    """A release in its canary stage."""
    return Routed.opened(database)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        pytest.param("bad value", "envoy n2 on h (refuses revision 2: bad value)", id="it refuses"),
        pytest.param("", "envoy n2 on h (hasn't confirmed revision 2)", id="it says nothing"),
    ],
)
def test_an_envoy_that_does_not_follow_holds_the_stage(routed: Routed, problem: str, said: str) -> None:
    """Nothing is compared, and nobody beats: all are back on stable. It is told of at once, and mends itself."""
    routed.hear()
    routed.hear(Problem(2, 0.0, problem), node="n2")
    beats = routed.beats
    held = routed.step()
    assert (held.state, held.verdicts, routed.beats) == (State.CANARY, (), beats)
    assert f"1 of 2 Envoys doesn't follow: {said}" in held.message
    ((kind, is_open, summary),) = routed.incidents()
    assert (kind, is_open) == (IncidentKind.ENVOY_NOT_FOLLOWING, True)
    assert said in summary
    assert routed.troubles() == (summary,)
    for node in ("n1", "n2"):
        routed.hear(node=node)
    routed.step()
    assert routed.beats > beats
    assert [one[:2] for one in routed.incidents()] == [(IncidentKind.ENVOY_NOT_FOLLOWING, False)]
    assert routed.troubles() == ()


def test_without_an_envoy_the_stage_holds(routed: Routed) -> None:
    """At once where none is heard of; a person is called when it has been so for longer than a restart takes."""
    routed.hear()
    routed.step(4)
    beats = routed.beats
    held = routed.step(2)
    assert "no Envoy has been heard of for 6 s, the last one was envoy n1 on h" in held.message
    assert (routed.beats, routed.incidents()) == (beats, [])
    routed.step(5)
    assert [one[:2] for one in routed.incidents()] == [(IncidentKind.ENVOY_NOT_FOLLOWING, True)]
    with routed.scene.database.begin() as session:
        roll_back(session, APP, ANNA, "enough", routed.scene.clock.now)
    assert [one[:2] for one in routed.incidents()] == [(IncidentKind.ENVOY_NOT_FOLLOWING, False)]


def test_a_removal_that_is_refused_is_told_of_at_once(routed: Routed) -> None:
    """The lease isn't waited for: an Envoy says that it can't take the candidate away."""
    before = routed.scene.route().revision
    database, clock = routed.scene.database, routed.scene.clock
    with database.begin() as session:
        roll_back(session, APP, ANNA, "enough", clock.now)
    routed.hear(revision=before)
    assert watch_rollbacks(database, clock.now) == []
    routed.hear(Problem(before + 1, 0.0, "bad value"), revision=before)
    ((summary, worse),) = watch_rollbacks(database, clock.now)
    assert worse
    assert summary == (
        f"{APP}: {APP}-1 was rolled back, but 1 of 1 gateways doesn't follow: envoy n1 on h "
        f"(refuses revision {before + 1}: bad value)."
    )
    routed.hear()
    assert [worse for _, worse in watch_rollbacks(database, clock.now)] == [False]


def test_doctor_names_it(routed: Routed) -> None:
    """Before a release begins, too."""
    routed.hear(Problem(2, 0.0, "bad value"))
    with routed.scene.database.read() as session:
        found = list(check_local(session, APP, routed.scene.clock().timestamp()))
    (problem,) = (one for one in found if one.check == "gateway")
    assert problem.level is Level.PROBLEM
    assert "refuses revision 2: bad value" in problem.text
