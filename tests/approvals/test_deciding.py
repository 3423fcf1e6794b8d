"""Answering what a release asks: the first valid answer counts, and everything said is kept."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from softlaunch.approvals.deciding import (
    Decision,
    NotAllowedError,
    NothingToDecideError,
    apply_decision,
    apply_rollback,
    check_decision,
    raise_if_refused,
)
from softlaunch.approvals.rules import Person, VoteResult
from softlaunch.core.approvals import ApprovalChoice, ApprovalState
from softlaunch.ledger.releases import Actor
from softlaunch.policy.release import State
from softlaunch.releases.ending import roll_back
from softlaunch.store.database import Database
from softlaunch.store.tables import ApprovalRow, ReleaseRow, VoteRow
from tests.support.builders import APP, NOON, Scene, make_policy, told

BEN, CEM = Person("ben", "command line"), Person("cem", "slack", "U0CEM000")
MALLORY = Person("mallory", "slack", "U0MALLORY")
BRIEF = {"minimum_time": 5, "minimum_requests": 20, "deadline": 600}
STAGES = [{"weight_percent": 10, **BRIEF}, {"weight_percent": 100, "approval": True, **BRIEF}]
APPROVERS = [{"name": "ben"}, {"name": "cem", "slack": "U0CEM000"}]


def asked(database: Database, **approval: Any) -> Scene:
    """A release that has asked whether to go on, started by `anna`."""
    scene = Scene.opened(database, make_policy(stages=STAGES, approvers=APPROVERS, approval=approval))
    driver = scene.driver()
    scene.drive_until(lambda _: bool(question(database)), driver)
    return scene


def question(database: Database) -> ApprovalRow | None:
    """The question, if there is one."""
    with database.read() as session:
        return session.exec(select(ApprovalRow)).one_or_none()


def say(
    database: Database, said: ApprovalChoice, person: Person, seconds: float = 60, **parts: Any
) -> tuple[VoteResult, str]:
    """What becomes of an answer."""
    with database.begin() as session:
        (one,) = apply_decision(session, Decision(APP, said, person, **parts), NOON + timedelta(seconds=seconds))
    return one.result, one.message


def votes(database: Database) -> list[tuple[str, str, str]]:
    """The audit: who said what, and what became of it."""
    with database.read() as session:
        rows = session.exec(select(VoteRow).order_by(col(VoteRow.id)))
        return [(row.person, row.said, row.ruling) for row in rows]


@pytest.mark.parametrize("first", [ApprovalChoice.APPROVE, ApprovalChoice.REJECT])
def test_the_first_answer_counts(database: Database, first: ApprovalChoice) -> None:
    """Who comes second hears who decided and when; the ledger keeps both."""
    asked(database)
    assert say(database, first, BEN, reason="looks fine")[0] is VoteResult.DECIDED
    other = ApprovalChoice.REJECT if first is ApprovalChoice.APPROVE else ApprovalChoice.APPROVE
    ruling, said = say(database, other, CEM)
    assert ruling is VoteResult.LATE
    assert f"the last one was {first.state} by ben at 12:01 UTC" in said
    row = question(database)
    assert row is not None
    assert (row.state, row.decided_by, row.decided_from, row.reason) == (
        first.state,
        "ben",
        "command line",
        "looks fine",
    )
    assert votes(database) == [("ben", first.state, "decided"), ("cem", other.state, "late")]
    assert told(database)[-1].endswith("Start canary 100 %? (looks fine)")


def test_who_started_it_from_slack_does_not_approve_it_at_the_command_line(database: Database) -> None:
    """A release that a button starts is recorded by a handle; the audit knows whose it is."""
    scene = asked(database)
    with database.begin() as session:
        session.get_one(ReleaseRow, scene.release_id).opened_by = "cemmy"
        drift: dict[str, Any] = {"said": "pin", "reason": "", "ruling": VoteResult.DECIDED, "told": "begun"}
        session.add(VoteRow(app=APP, person="cem", name="cemmy", origin="slack", said_at=NOON, **drift))
    ruling, said = say(database, ApprovalChoice.APPROVE, Person("cem", "command line"))
    assert (ruling, "you started this" in said) == (VoteResult.REFUSED, True)
    assert say(database, ApprovalChoice.APPROVE, BEN)[0] is VoteResult.DECIDED


def test_a_stranger_changes_nothing_and_is_recorded(database: Database) -> None:
    """The question stays open for those who may answer it."""
    asked(database)
    before = told(database)
    ruling, said = say(database, ApprovalChoice.APPROVE, MALLORY)
    assert ruling is VoteResult.REFUSED
    assert "not among its approvers; add yourself under 'approvers' in the policy of support-bot" in said
    row = question(database)
    assert row is not None
    assert (row.state, row.decided_by) == (ApprovalState.PENDING, "")
    assert votes(database) == [("U0MALLORY", ApprovalState.APPROVED, "refused")]
    assert told(database) == before
    assert say(database, ApprovalChoice.APPROVE, BEN)[0] is VoteResult.DECIDED


def test_two_people_must_agree_where_the_policy_says_so(database: Database) -> None:
    """The first is noted, again by the same person changes nothing, the second decides."""
    scene = asked(database, two_people_from_percent=50)
    rulings = [say(database, ApprovalChoice.APPROVE, person)[0] for person in (BEN, BEN, CEM)]
    assert rulings == [VoteResult.NOTED, VoteResult.REPEATED, VoteResult.DECIDED]
    row = question(database)
    assert row is not None
    assert (row.state, row.decided_by) == (ApprovalState.APPROVED, "ben, cem")
    assert scene.drive_to_end().state is State.PROMOTED


def test_one_refusal_decides_where_two_must_agree(database: Database) -> None:
    """Doubt beats agreement, and the candidate is rolled back."""
    scene = asked(database, two_people_from_percent=50)
    assert [
        say(database, said, person)[0] for said, person in ((ApprovalChoice.APPROVE, BEN), (ApprovalChoice.REJECT, CEM))
    ] == [
        VoteResult.NOTED,
        VoteResult.DECIDED,
    ]
    assert scene.drive_to_end().state is State.ROLLED_BACK


def test_a_rollback_withdraws_the_question(database: Database) -> None:
    """Who answers afterwards hears why nothing is asked any more."""
    asked(database)
    row = question(database)
    assert row is not None
    with database.begin() as session:
        roll_back(session, APP, Actor("ben", "command line"), "users complain", NOON + timedelta(seconds=50))
    ruling, said = say(database, ApprovalChoice.APPROVE, CEM, approval_id=row.id)
    assert ruling is VoteResult.LATE
    assert "was withdrawn (the release is rolled_back), and support-bot-1 is rolled_back" in said


def test_an_expired_question_is_not_answered(database: Database) -> None:
    """From its last moment on it is too late, and silence ends the release."""
    scene = asked(database, timeout=30)
    ruling, said = say(database, ApprovalChoice.APPROVE, BEN, seconds=600)
    assert ruling is VoteResult.LATE
    assert "the last one expired at 12:0" in said
    assert scene.drive_to_end().state is State.ROLLED_BACK


def test_a_click_on_an_old_question_approves_nothing_that_came_later(database: Database) -> None:
    """It names the question that the person saw."""
    scene = asked(database)
    row = question(database)
    assert row is not None
    say(database, ApprovalChoice.APPROVE, BEN)
    scene.drive_to(3)
    assert say(database, ApprovalChoice.APPROVE, CEM, approval_id=row.id)[0] is VoteResult.LATE


def test_objections_are_heard_before_a_reason_is_asked_for(database: Database) -> None:
    """Who may not decide, or comes too late, sees no dialog; that they tried is kept."""
    asked(database)
    with database.begin() as session:
        assert check_decision(session, Decision(APP, ApprovalChoice.APPROVE, CEM), NOON) is None
        refused = check_decision(session, Decision(APP, ApprovalChoice.APPROVE, MALLORY), NOON)
    assert refused is not None
    assert refused.result is VoteResult.REFUSED
    say(database, ApprovalChoice.APPROVE, BEN)
    with database.begin() as session:
        late = check_decision(session, Decision(APP, ApprovalChoice.APPROVE, CEM), NOON)
    assert late is not None
    assert late.result is VoteResult.LATE
    assert [ruling for _, _, ruling in votes(database)] == ["refused", "decided", "late"]


def test_callers_insist_after_the_transaction(database: Database) -> None:
    """A command fails with the reason, and yet the record of the attempt stays."""
    asked(database)
    with database.begin() as session:
        refused = apply_decision(session, Decision(APP, ApprovalChoice.APPROVE, MALLORY), NOON)
    with pytest.raises(NotAllowedError, match="not among its approvers"):
        raise_if_refused(refused)
    with database.begin() as session:
        missing = apply_decision(session, Decision("other-bot", ApprovalChoice.APPROVE, BEN), NOON)
    with pytest.raises(NothingToDecideError, match="no approval of other-bot is pending"):
        raise_if_refused(missing)
    assert len(votes(database)) == 2


def test_a_button_takes_back_its_own_release_only(database: Database) -> None:
    """A stranger's press changes nothing; after the release is over, or replaced by another, it is too late."""
    scene = asked(database)
    with database.begin() as session:
        refused = apply_rollback(session, scene.release_id, MALLORY, "no", NOON)
        assert refused.result is VoteResult.REFUSED
    assert scene.release().state is State.CANARY
    with database.begin() as session:
        done = apply_rollback(session, scene.release_id, CEM, "users complain", NOON)
        again = apply_rollback(session, scene.release_id, CEM, "users complain", NOON)
    assert (done.result, again.result) == (VoteResult.DECIDED, VoteResult.LATE)
    assert scene.release().state is State.ROLLED_BACK
    assert votes(database) == [
        ("U0MALLORY", "roll_back", "refused"),
        ("cem", "roll_back", "decided"),
        ("cem", "roll_back", "late"),
    ]
