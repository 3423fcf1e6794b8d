"""The trail of an app: who said and did what, whether it counted or not."""

from datetime import timedelta

from sqlmodel import select

from softlaunch.approvals.deciding import Decision, apply_decision, apply_rollback
from softlaunch.approvals.rules import Person
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.reports.history import read_history
from softlaunch.store.database import Database
from softlaunch.store.tables import ApprovalRow
from tests.support.builders import APP, NOON, Scene, make_policy

BRIEF = {"minimum_time": 5, "minimum_requests": 20, "deadline": 600}
STAGES = [{"weight_percent": 10, **BRIEF}, {"weight_percent": 100, "approval": True, **BRIEF}]
ANNA, BEN = Person("anna", "command line"), Person("ben", "command line")
MALLORY = Person("ben", "slack", "U0MALLORY")


def asks(database: Database) -> bool:
    """Whether the release waits for a person."""
    with database.read() as session:
        return session.exec(select(ApprovalRow)).first() is not None


def test_what_did_not_count_is_listed_as_well(database: Database) -> None:
    """A stranger by the id that Slack vouches for, who started the release, who comes late, who presses a button."""
    scene = Scene.opened(database, make_policy(stages=STAGES, approvers=[{"name": "ben"}, {"name": "anna"}]))
    scene.drive_until(lambda _: asks(database))
    for minute, person in enumerate((MALLORY, ANNA, BEN, BEN)):
        with database.begin() as session:
            apply_decision(
                session, Decision(APP, ApprovalChoice.APPROVE, person, "fine"), NOON + timedelta(minutes=1 + minute)
            )
    with database.begin() as session:
        apply_rollback(session, scene.release_id, MALLORY, "ha", NOON + timedelta(minutes=5))
        trail = [entry for entry in read_history(session, APP, 50) if entry.happened_at > NOON + timedelta(seconds=59)]
    assert [(entry.event, entry.by, entry.release_id) for entry in trail] == [
        ("refused", "ben (slack, U0MALLORY)", scene.release_id),
        ("refused", "anna (command line)", scene.release_id),
        ("answered", "ben (command line)", scene.release_id),
        ("late", "ben (command line)", scene.release_id),
        ("refused", "ben (slack, U0MALLORY)", scene.release_id),
    ]
    assert trail[0].what.startswith("approved (fine): Nothing was decided: you are not among its approvers")
    assert "you started this" in trail[1].what
    assert trail[4].what.startswith("roll_back")
