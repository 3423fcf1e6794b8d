"""Questions to people: asked once, and not for ever."""

from datetime import datetime, timedelta

import pytest

from softlaunch.core.approvals import Answer, Question
from softlaunch.ledger.approvals import OpenQuestion, ask, read_answers
from softlaunch.releases.ending import abort
from softlaunch.store.database import Database
from tests.support.builders import ANNA, APP, NOON, open_in_new_app, told

SOON = NOON + timedelta(minutes=1)
EXPIRY = NOON + timedelta(hours=1)


def question(position: int = 0, kind: Question = Question.ENTER_STAGE) -> OpenQuestion:
    """A question about the first release, open for an hour."""
    return OpenQuestion(f"{APP}-1", position, kind, "Begin canary 50 %?", EXPIRY)


def standing(database: Database, at: datetime = SOON, position: int = 0) -> dict[Question, Answer]:
    """How the questions of a stage stand."""
    with database.read() as session:
        return read_answers(session, f"{APP}-1", position, at)


def put(database: Database, asked: OpenQuestion) -> bool:
    """Ask; whether it was new."""
    with database.begin() as session:
        return ask(session, asked, NOON) is not None


def test_a_question_is_asked_once(database: Database) -> None:
    """A step that is repeated asks nobody again."""
    open_in_new_app(database)
    assert standing(database) == {}
    assert [put(database, question()), put(database, question())] == [True, False]
    assert standing(database) == {Question.ENTER_STAGE: Answer.PENDING}


def test_a_question_expires(database: Database) -> None:
    """From its last moment on it is no approval."""
    open_in_new_app(database)
    put(database, question())
    assert standing(database, EXPIRY - timedelta(seconds=1)) == {Question.ENTER_STAGE: Answer.PENDING}
    assert standing(database, EXPIRY) == {Question.ENTER_STAGE: Answer.EXPIRED}


@pytest.mark.parametrize(
    ("at", "stands", "said"),
    [
        pytest.param(SOON, Answer.WITHDRAWN, "The question is withdrawn", id="before its time is over"),
        pytest.param(EXPIRY, Answer.EXPIRED, "Nobody answered in time", id="when its time is over"),
    ],
)
def test_a_question_ends_with_what_it_asks_about(database: Database, at: datetime, stands: Answer, said: str) -> None:
    """A rollback withdraws it; people are told, and it can't be answered any more."""
    open_in_new_app(database)
    put(database, question())
    with database.begin() as session:
        abort(session, APP, ANNA, "tea", at)
    assert standing(database, at) == {Question.ENTER_STAGE: stands}
    assert sum(text.startswith(said) for text in told(database)) == 1
