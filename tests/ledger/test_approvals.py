"""Questions to people: asked once, and not for ever."""

from datetime import datetime, timedelta

import pytest

from softlaunch.core.approvals import ApprovalKind, ApprovalState
from softlaunch.ledger.approvals import Approval, read_approvals, request_approval
from softlaunch.releases.ending import abort
from softlaunch.store.database import Database
from tests.support.builders import ANNA, APP, NOON, open_in_new_app, told

SOON = NOON + timedelta(minutes=1)
EXPIRY = NOON + timedelta(hours=1)


def question(position: int = 0, kind: ApprovalKind = ApprovalKind.ENTER_STAGE) -> Approval:
    """A question about the first release, open for an hour."""
    return Approval(f"{APP}-1", position, kind, "Start canary 50 %?", EXPIRY)


def standing(database: Database, at: datetime = SOON, position: int = 0) -> dict[ApprovalKind, ApprovalState]:
    """How the questions of a stage stand."""
    with database.read() as session:
        return {kind: one.state for kind, one in read_approvals(session, f"{APP}-1", position, at).items()}


def put(database: Database, asked: Approval) -> bool:
    """Ask; whether it was new."""
    with database.begin() as session:
        return request_approval(session, asked, NOON) is not None


def test_a_question_is_asked_once(database: Database) -> None:
    """A step that is repeated asks nobody again."""
    open_in_new_app(database)
    assert standing(database) == {}
    assert [put(database, question()), put(database, question())] == [True, False]
    assert standing(database) == {ApprovalKind.ENTER_STAGE: ApprovalState.PENDING}


def test_a_question_expires(database: Database) -> None:
    """From its last moment on it is no approval."""
    open_in_new_app(database)
    put(database, question())
    assert standing(database, EXPIRY - timedelta(seconds=1)) == {ApprovalKind.ENTER_STAGE: ApprovalState.PENDING}
    assert standing(database, EXPIRY) == {ApprovalKind.ENTER_STAGE: ApprovalState.EXPIRED}


@pytest.mark.parametrize(
    ("at", "stands", "said"),
    [
        pytest.param(SOON, ApprovalState.WITHDRAWN, "The question is withdrawn", id="before its time is over"),
        pytest.param(EXPIRY, ApprovalState.EXPIRED, "Nobody answered in time", id="when its time is over"),
    ],
)
def test_a_question_ends_with_what_it_asks_about(
    database: Database, at: datetime, stands: ApprovalState, said: str
) -> None:
    """A rollback withdraws it; people are told, and it can't be answered any more."""
    open_in_new_app(database)
    put(database, question())
    with database.begin() as session:
        abort(session, APP, ANNA, "tea", at)
    assert standing(database, at) == {ApprovalKind.ENTER_STAGE: stands}
    assert sum(text.startswith(said) for text in told(database)) == 1
