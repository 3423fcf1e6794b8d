"""The outbox: a stream is one sender's, until that was silent for too long."""

from datetime import timedelta

import pytest

from softlaunch.ledger.notices import Message, notify
from softlaunch.ledger.outbox import (
    HOLD,
    MessageRef,
    begin_sending,
    mark_sent,
    next_notice,
    read_waiting,
    release_stream,
    streams_with_messages,
    take_stream,
)
from softlaunch.store.database import Database
from tests.support.builders import APP, NOON, record_app

STREAM = f"app:{APP}"
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def mail(database: Database) -> Database:
    """A ledger with one message in an app's stream."""
    record_app(database)
    with database.begin() as session:
        notify(session, Message(APP, None, "one"), NOON)
    return database


def test_a_stream_that_was_taken_is_nobody_elses(mail: Database) -> None:
    """From the moment on at which it was taken, for as long as a sender may be silent; then it is free again."""
    with mail.begin() as session:
        assert take_stream(session, STREAM, "first", NOON) is not None
        for moment in (NOON, NOON + HOLD - MOMENT):
            assert streams_with_messages(session, moment) == []
            assert take_stream(session, STREAM, "second", moment) is None
        assert streams_with_messages(session, NOON + HOLD) == [STREAM]
        assert take_stream(session, STREAM, "second", NOON + HOLD) is not None


def test_beginning_to_send_holds_the_stream_anew(mail: Database) -> None:
    """And who takes it over afterwards finds which message may have arrived."""
    later = NOON + timedelta(seconds=50)
    with mail.begin() as session:
        take_stream(session, STREAM, "first", NOON)
        notice = next_notice(session, STREAM)
        assert notice is not None
        assert begin_sending(session, STREAM, "first", notice.id, later)
        assert take_stream(session, STREAM, "second", NOON + HOLD) is None
        stream = take_stream(session, STREAM, "second", later + HOLD)
    assert stream is not None
    assert (stream.trying, stream.tried_at) == (notice.id, later)


def test_a_sender_that_lost_its_stream_notes_nothing(mail: Database) -> None:
    """Its message may be on its way a second time: only who holds the stream says what became of it."""
    with mail.begin() as session:
        take_stream(session, STREAM, "first", NOON)
        notice = next_notice(session, STREAM)
        assert notice is not None
        begin_sending(session, STREAM, "first", notice.id, NOON)
        take_stream(session, STREAM, "second", NOON + HOLD)
        assert not begin_sending(session, STREAM, "first", notice.id, NOON + HOLD)
        assert not mark_sent(session, notice, "first", MessageRef("C1", "7"), NOON + HOLD)
        release_stream(session, STREAM, "first")
        assert take_stream(session, STREAM, "third", NOON + HOLD) is None
        assert next_notice(session, STREAM) == notice
        assert [waiting.count for waiting in read_waiting(session)] == [1]
        assert mark_sent(session, notice, "second", MessageRef("C1", "8"), NOON + HOLD)
        assert next_notice(session, STREAM) is None
