"""The outbox: a lane is one sender's, until that was silent for too long."""

from datetime import timedelta

import pytest

from softlaunch.ledger.notices import tell
from softlaunch.ledger.outbox import (
    HOLD,
    Place,
    arrived,
    begin_sending,
    give_back,
    lanes_with_mail,
    next_notice,
    read_waiting,
    take_lane,
)
from softlaunch.store.database import Database
from tests.support.builders import APP, NOON, record_app

LANE = f"app:{APP}"
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def mail(database: Database) -> Database:
    """A ledger with one message in an app's lane."""
    record_app(database)
    with database.begin() as session:
        tell(session, APP, None, "one", NOON)
    return database


def test_a_lane_that_was_taken_is_nobody_elses(mail: Database) -> None:
    """From the moment on at which it was taken, for as long as a sender may be silent; then it is free again."""
    with mail.begin() as session:
        assert take_lane(session, LANE, "first", NOON) is not None
        for moment in (NOON, NOON + HOLD - MOMENT):
            assert lanes_with_mail(session, moment) == []
            assert take_lane(session, LANE, "second", moment) is None
        assert lanes_with_mail(session, NOON + HOLD) == [LANE]
        assert take_lane(session, LANE, "second", NOON + HOLD) is not None


def test_beginning_to_send_holds_the_lane_anew(mail: Database) -> None:
    """And who takes it over afterwards finds which message may have arrived."""
    later = NOON + timedelta(seconds=50)
    with mail.begin() as session:
        take_lane(session, LANE, "first", NOON)
        notice = next_notice(session, LANE)
        assert notice is not None
        assert begin_sending(session, LANE, "first", notice.id, later)
        assert take_lane(session, LANE, "second", NOON + HOLD) is None
        lane = take_lane(session, LANE, "second", later + HOLD)
    assert lane is not None
    assert (lane.trying, lane.tried_at) == (notice.id, later)


def test_a_sender_that_lost_its_lane_notes_nothing(mail: Database) -> None:
    """Its message may be on its way a second time: only who holds the lane says what became of it."""
    with mail.begin() as session:
        take_lane(session, LANE, "first", NOON)
        notice = next_notice(session, LANE)
        assert notice is not None
        begin_sending(session, LANE, "first", notice.id, NOON)
        take_lane(session, LANE, "second", NOON + HOLD)
        assert not begin_sending(session, LANE, "first", notice.id, NOON + HOLD)
        assert not arrived(session, notice, "first", Place("C1", "7"), NOON + HOLD)
        give_back(session, LANE, "first")
        assert take_lane(session, LANE, "third", NOON + HOLD) is None
        assert next_notice(session, LANE) == notice
        assert [waiting.count for waiting in read_waiting(session)] == [1]
        assert arrived(session, notice, "second", Place("C1", "8"), NOON + HOLD)
        assert next_notice(session, LANE) is None
