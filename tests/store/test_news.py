"""What people are told: incidents that open once, and an outbox that is emptied once."""

import threading
from datetime import timedelta

import pytest
from builders import APP, NOON, record_app
from sqlmodel import col, select

from softlaunch.store.database import Database
from softlaunch.store.news import (
    Incident,
    IncidentKind,
    Notice,
    Severity,
    open_incident,
    resolve_incident,
    take_unsent,
    tell,
)
from softlaunch.store.tables import IncidentRow


def no_data(lasting: str) -> Incident:
    """An incident whose evidence grows."""
    key = "support-bot-1:no_data"
    return Incident(IncidentKind.NO_DATA, APP, None, key, f"no data for {lasting}", {"for": lasting})


def test_an_incident_opens_once_and_tells_of_it_once(database: Database) -> None:
    """The message links the runbook of its kind."""
    record_app(database)
    key, said = "support-bot-1:gate_latency", "support-bot was taken back."
    incident = Incident(IncidentKind.GATE_LATENCY, APP, None, key, said, {"harm": 4.1})
    with database.begin() as session:
        assert open_incident(session, incident, NOON)
        assert not open_incident(session, incident, NOON + timedelta(minutes=1))
    with database.begin() as session:
        notices = take_unsent(session, NOON)
    with database.read() as session:
        row = session.exec(select(IncidentRow)).one()
    assert (row.severity, row.evidence, row.opened_at, row.resolved_at) == ("page", {"harm": 4.1}, NOON, None)
    assert (row.seen, row.updated_at) == (2, NOON + timedelta(minutes=1))
    assert [notice.text for notice in notices] == ["support-bot was taken back. Runbook: runbooks/gate_latency.md"]


def test_what_is_open_is_brought_up_to_date(database: Database) -> None:
    """The newest summary and evidence stand, and nobody is told again."""
    record_app(database)
    for number in range(3):
        with database.begin() as session:
            open_incident(session, no_data(f"{number} minutes"), NOON + timedelta(minutes=number))
    with database.read() as session:
        row = session.exec(select(IncidentRow)).one()
    assert (row.summary, row.evidence, row.seen) == ("no data for 2 minutes", {"for": "2 minutes"}, 3)
    with database.begin() as session:
        assert len(take_unsent(session, NOON)) == 1


def test_a_resolved_incident_may_open_again(database: Database) -> None:
    """It is a second incident; the first keeps who resolved it and why. Resolving what isn't open changes nothing."""
    record_app(database)
    with database.begin() as session:
        assert not resolve_incident(session, "support-bot-1:no_data", "anna", "gateway is back", NOON)
        open_incident(session, no_data("5 minutes"), NOON)
        assert resolve_incident(session, "support-bot-1:no_data", "anna", "gateway is back", NOON)
        assert open_incident(session, no_data("9 minutes"), NOON)
    with database.read() as session:
        first, second = session.exec(select(IncidentRow).order_by(col(IncidentRow.id))).all()
    assert (first.resolved_at, first.resolved_by, first.resolution) == (NOON, "anna", "gateway is back")
    assert (second.resolved_at, second.seen) == (None, 1)
    with database.begin() as session:
        texts = [notice.text for notice in take_unsent(session, NOON)]
    assert texts[1] == "Resolved by anna: gateway is back. It was: no data for 5 minutes"


def test_every_kind_says_how_soon_a_person_must_look() -> None:
    """What can wait for a working day wakes nobody up."""
    assert IncidentKind.ROLLBACK_STUCK.severity is Severity.PAGE
    assert IncidentKind.GOLDEN_SET_STALE.severity is Severity.TICKET
    assert IncidentKind.GATE_LATENCY.words == "Latency gate failed"
    assert IncidentKind.NO_DATA.words == "No data"


def test_notices_leave_in_the_order_in_which_they_were_written(database: Database) -> None:
    """A limited batch takes the oldest, and nothing is taken twice."""
    record_app(database)
    with database.begin() as session:
        for number in range(5):
            tell(session, APP, None, f"message {number}", NOON)
            session.flush()
    batches: list[list[Notice]] = []
    for _ in range(3):
        with database.begin() as session:
            batches.append(take_unsent(session, NOON, limit=3))
    assert [[notice.text[-1] for notice in batch] for batch in batches] == [["0", "1", "2"], ["3", "4"], []]
    assert batches[0][0].written_at == NOON


def test_a_notice_that_was_not_written_is_not_sent(database: Database) -> None:
    """It belongs to the transaction of what it tells of."""
    record_app(database)

    def break_off() -> None:
        with database.begin() as session:
            tell(session, APP, None, "promoted", NOON)
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    with database.begin() as session:
        assert take_unsent(session, NOON) == []


def test_two_senders_never_get_the_same_notice(database: Database) -> None:
    """However they meet, each message leaves once and none is left."""
    record_app(database)
    with database.begin() as session:
        for number in range(40):
            tell(session, APP, None, f"message {number}", NOON)
    taken: list[int] = []
    barrier = threading.Barrier(2)

    def send() -> None:
        barrier.wait(10)
        for _ in range(30):
            with database.begin() as session:
                taken.extend(notice.id for notice in take_unsent(session, NOON, limit=3))

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    assert len(taken) == len(set(taken)) == 40
