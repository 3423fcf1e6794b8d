"""What a step makes people aware of: nothing while all is well, and what is wrong as soon as it can be told."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from softlaunch.core.approvals import ApprovalKind, ApprovalState
from softlaunch.core.arms import ByArm
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.policy.release import State
from softlaunch.releases.conditions import examine
from softlaunch.releases.decision import Observation, Snapshot
from softlaunch.releases.ending import roll_back
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow
from tests.support.builders import ANNA, APP, NOON, Scene, make_policy, make_release, told

ENTERED = NOON - timedelta(hours=1)
SEEN = NOON.timestamp() - 3
BUSY = ByArm(500, 500)


def present(requests: ByArm[int] = BUSY, **parts: Any) -> list[IncidentKind]:
    """The kinds that a step at 50 % opens."""
    plain: dict[str, Any] = {"seen_until": SEEN, "stable_lately": {"answered": 99, "connect": 1}}
    split = parts.pop("split", (250, 250))
    snapshot: dict[str, Any] = {"entered_at": ENTERED, "requests": requests, **parts.pop("snapshot", {})}
    observation = Observation(
        (), {"panel": {"split": list(split)}}, "no gateway has been heard for 5 s", requests, **{**plain, **parts}
    )
    release = make_release(State.CANARY, 3)
    return [one.kind for one in examine(Snapshot(release, NOON, **snapshot), observation) if one.present]


@pytest.mark.parametrize(
    ("parts", "kinds"),
    [
        pytest.param({}, [], id="all is well"),
        pytest.param({"seen_until": NOON.timestamp() - 299}, [], id="blind for less than the policy says"),
        pytest.param({"seen_until": NOON.timestamp() - 300}, [IncidentKind.NO_DATA], id="blind for long"),
        pytest.param({"seen_until": None}, [IncidentKind.NO_DATA], id="never seen anything"),
        pytest.param({"requests": ByArm(0, 0)}, [IncidentKind.NO_DATA], id="no traffic at all"),
        pytest.param({"requests": ByArm(0, 11)}, [IncidentKind.NO_DATA], id="a candidate that nobody meets"),
        pytest.param({"requests": ByArm(11, 0)}, [IncidentKind.NO_DATA], id="a stable that nobody meets"),
        pytest.param({"requests": ByArm(0, 5)}, [], id="too little traffic to expect anybody"),
        pytest.param(
            {"requests": ByArm(0, 0), "snapshot": {"entered_at": NOON - timedelta(seconds=30)}, "seen_until": SEEN},
            [],
            id="a stage that has just begun",
        ),
        pytest.param({"split": (300, 200)}, [IncidentKind.SPLIT_OFF], id="a split that can't be chance"),
        pytest.param({"split": (260, 240)}, [], id="a split that can"),
        pytest.param(
            {"stable_lately": {"answered": 40, "connect": 20, "provider_failed": 40}},
            [IncidentKind.PROVIDER_DOWN],
            id="stable fails too",
        ),
        pytest.param(
            {"stable_lately": {"answered": 40, "filtered": 60}}, [IncidentKind.PROVIDER_DOWN], id="all is filtered"
        ),
        pytest.param({"stable_lately": {"truncated": 60, "answered": 40}}, [], id="long answers, cut short"),
        pytest.param({"stable_lately": {"provider_failed": 10}}, [], id="too few answers to tell"),
        pytest.param(
            {"snapshot": {"approvals": {ApprovalKind.DEADLINE: ApprovalState.EXPIRED}}},
            [IncidentKind.APPROVAL_EXPIRED],
            id="nobody answered",
        ),
        pytest.param(
            {"snapshot": {"approvals": {ApprovalKind.DEADLINE: ApprovalState.PENDING}}}, [], id="somebody still may"
        ),
    ],
)
def test_what_is_wrong(parts: dict[str, Any], kinds: list[IncidentKind]) -> None:
    """Evidence decides, not suspicion."""
    assert present(**parts) == kinds


def incidents(database: Database) -> list[tuple[str, str]]:
    """Kind of every incident, and why it was resolved."""
    with database.read() as session:
        return [(row.kind, row.resolution) for row in session.exec(select(IncidentRow))]


def test_blindness_opens_one_incident_that_resolves_itself(database: Database) -> None:
    """People hear of it once when it is long, and once when it is over; nothing was decided meanwhile."""
    scene = Scene.opened(database, make_policy(no_data_after=60))
    scene.drive_to(2)
    driver = scene.driver()
    token = driver.acquire_lease(scene.release_id)
    scene.telemetry.problem = "no gateway has been heard for 5 s"
    for _ in range(20):
        scene.clock.go(10)
        driver.advance(scene.release_id, token)
    assert incidents(database) == [("no_data", "")]
    scene.telemetry.problem = None
    scene.clock.go(1)
    driver.advance(scene.release_id, token)
    assert incidents(database) == [("no_data", "data is arriving again")]
    assert scene.release().state is State.CANARY
    assert sum("no complete data" in text and "Runbook" in text for text in told(database)) == 1


def test_the_end_of_a_release_resolves_what_was_wrong_with_its_stages(database: Database) -> None:
    """There is no stage any more that could lack data."""
    scene = Scene.opened(database, make_policy(no_data_after=60))
    scene.drive_to(2)
    driver = scene.driver()
    token = driver.acquire_lease(scene.release_id)
    scene.telemetry.problem = "no gateway has been heard for 5 s"
    scene.clock.go(100)
    driver.advance(scene.release_id, token)
    with database.begin() as session:
        roll_back(session, APP, ANNA, "enough", scene.clock.now)
    assert incidents(database) == [("no_data", "support-bot-1 is rolled_back")]
