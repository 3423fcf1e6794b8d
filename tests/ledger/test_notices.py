"""What people are told: incidents that open once, and messages that belong to what they tell of."""

from datetime import timedelta

import pytest
from sqlmodel import col, select

from softlaunch.core.incident_kinds import IncidentKind, Severity
from softlaunch.core.live_metrics import Metric
from softlaunch.ledger.notices import Incident, Message, notify, open_incident, resolve_incident
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow
from tests.support.builders import APP, NOON, record_app, told


def no_data(lasting: str) -> Incident:
    """An incident whose evidence grows."""
    key = "support-bot-1:no_data"
    return Incident(IncidentKind.NO_DATA, APP, None, key, f"no data for {lasting}", {"for": lasting})


def test_an_incident_opens_once_and_tells_of_it_once(database: Database) -> None:
    """The message links the runbook of its kind."""
    record_app(database)
    key, said = "support-bot-1:gate_latency", "support-bot was rolled back."
    incident = Incident(IncidentKind.of_metric(Metric.LATENCY), APP, None, key, said, {"harm": 4.1})
    with database.begin() as session:
        assert open_incident(session, incident, NOON)
        assert not open_incident(session, incident, NOON + timedelta(minutes=1))
    with database.read() as session:
        row = session.exec(select(IncidentRow)).one()
    assert (row.severity, row.evidence, row.opened_at, row.resolved_at) == ("page", {"harm": 4.1}, NOON, None)
    assert (row.seen, row.updated_at) == (2, NOON + timedelta(minutes=1))
    assert told(database) == ["support-bot was rolled back. Runbook: runbooks/gate_latency.md"]


def test_what_is_open_is_brought_up_to_date(database: Database) -> None:
    """The newest summary and evidence stand, and nobody is told again."""
    record_app(database)
    for number in range(3):
        with database.begin() as session:
            open_incident(session, no_data(f"{number} minutes"), NOON + timedelta(minutes=number))
    with database.read() as session:
        row = session.exec(select(IncidentRow)).one()
    assert (row.summary, row.evidence, row.seen) == ("no data for 2 minutes", {"for": "2 minutes"}, 3)
    assert len(told(database)) == 1


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
    assert told(database)[1] == "Resolved by anna: gateway is back. It was: no data for 5 minutes"


def test_every_kind_says_how_soon_a_person_must_look() -> None:
    """What can wait for a working day wakes nobody up."""
    assert IncidentKind.ROLLBACK_STUCK.severity is Severity.PAGE
    assert IncidentKind.GOLDEN_SET_STALE.severity is Severity.TICKET
    assert IncidentKind.of_metric(Metric.LATENCY).words == "Latency gate failed"
    assert IncidentKind.NO_DATA.words == "No data"


def test_a_notice_that_was_not_written_is_not_sent(database: Database) -> None:
    """It belongs to the transaction of what it tells of."""
    record_app(database)

    def break_off() -> None:
        with database.begin() as session:
            notify(session, Message(APP, None, "promoted"), NOON)
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert told(database) == []
