"""Questions to people: asked once, answered once, and not for ever."""

from datetime import datetime, timedelta

import pytest
from builders import ANNA, APP, NOON, open_in_new_app
from sqlmodel import select

from softlaunch.decision import Answer, Question
from softlaunch.ending import abort
from softlaunch.store.database import Database
from softlaunch.store.questions import NothingToDecideError, OpenQuestion, answer, ask, read_answers
from softlaunch.store.releases import Actor
from softlaunch.store.tables import ApprovalRow

SOON = NOON + timedelta(minutes=1)
EXPIRY = NOON + timedelta(hours=1)
BEN = Actor("ben", "slack")


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
        return ask(session, asked, NOON)


def test_a_question_is_asked_once(database: Database) -> None:
    """A step that is repeated asks nobody again."""
    open_in_new_app(database)
    assert standing(database) == {}
    assert [put(database, question()), put(database, question())] == [True, False]
    assert standing(database) == {Question.ENTER_STAGE: Answer.PENDING}


@pytest.mark.parametrize("first", [Answer.APPROVED, Answer.REJECTED])
def test_the_first_answer_counts(database: Database, first: Answer) -> None:
    """Who comes second is told that nothing waits for them; the ledger knows who decided, from where and why."""
    open_in_new_app(database)
    put(database, question())
    with database.begin() as session:
        assert answer(session, APP, first, ANNA, "looks fine", SOON) == [question()]
    other = Answer.REJECTED if first is Answer.APPROVED else Answer.APPROVED
    with pytest.raises(NothingToDecideError, match="release status support-bot"), database.begin() as session:
        answer(session, APP, other, BEN, "no", SOON)
    assert standing(database) == {Question.ENTER_STAGE: first}
    with database.read() as session:
        row = session.exec(select(ApprovalRow)).one()
    assert (row.decided_by, row.decided_from, row.reason, row.decided_at) == (
        "anna",
        "command line",
        "looks fine",
        SOON,
    )


def test_a_question_expires(database: Database) -> None:
    """From its last moment on it can't be answered, and it is no approval."""
    open_in_new_app(database)
    put(database, question())
    assert standing(database, EXPIRY - timedelta(seconds=1)) == {Question.ENTER_STAGE: Answer.PENDING}
    assert standing(database, EXPIRY) == {Question.ENTER_STAGE: Answer.EXPIRED}
    with pytest.raises(NothingToDecideError), database.begin() as session:
        answer(session, APP, Answer.APPROVED, ANNA, "late", EXPIRY)


def test_an_answer_in_time_does_not_expire(database: Database) -> None:
    """What was decided stays decided."""
    open_in_new_app(database)
    put(database, question())
    with database.begin() as session:
        answer(session, APP, Answer.APPROVED, ANNA, "", SOON)
    assert standing(database, EXPIRY + timedelta(days=1)) == {Question.ENTER_STAGE: Answer.APPROVED}


def test_only_questions_of_the_stage_in_force_are_answered(database: Database) -> None:
    """An old question, settled by evidence meanwhile, approves nothing that comes later."""
    open_in_new_app(database)
    put(database, question(position=3))
    with pytest.raises(NothingToDecideError), database.begin() as session:
        answer(session, APP, Answer.APPROVED, ANNA, "", SOON)
    assert standing(database, position=3) == {Question.ENTER_STAGE: Answer.PENDING}


def test_all_open_questions_of_a_stage_are_answered_together(database: Database) -> None:
    """A person means the release, not a row."""
    open_in_new_app(database)
    put(database, question())
    put(database, question(kind=Question.DEADLINE))
    with database.begin() as session:
        assert len(answer(session, APP, Answer.APPROVED, ANNA, "", SOON)) == 2


def test_nothing_waits_where_no_release_is_live(database: Database) -> None:
    """The questions of an ended release ended with it."""
    open_in_new_app(database)
    put(database, question())
    with database.begin() as session:
        abort(session, APP, ANNA, "tea", NOON)
    with pytest.raises(NothingToDecideError), database.begin() as session:
        answer(session, APP, Answer.APPROVED, ANNA, "", SOON)
