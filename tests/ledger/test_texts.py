"""Texts are deleted for good: from the table, from the ledger's file and from the log beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import Session, col, select

from softlaunch.ledger.request_log import TextRecord
from softlaunch.ledger.texts import TextSweep, delete_expired, delete_judged
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import TextRow

MARKER = "ZEBRA-7f3a"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    """A migrated ledger on SQLite."""
    database = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield database
    database.close()


def _add(session: Session, number: int, *, until_judged: bool = True, expires_at: float = 1e12, size: int = 1) -> None:
    text = f"{MARKER} {number} " * size
    ids = {"request_id": f"r{number}", "arm": "stable", "app": "bot"}
    session.add(TextRow(**ids, question=text, answer=text, expires_at=expires_at, until_judged=until_judged))


def _left(database: Database) -> set[str]:
    with database.read() as session:
        return set(session.exec(select(TextRow.request_id).order_by(col(TextRow.request_id))).all())


def _bytes(database: Database) -> bytes:
    """Everything that is on the disk of a ledger."""
    assert database.path is not None
    return b"".join(path.read_bytes() for path in sorted(database.path.parent.glob(f"{database.path.name}*")))


def test_only_what_was_there_for_judges_goes_with_the_judgement(database: Database) -> None:
    """What the policy keeps for others stays, on either database."""
    with database.begin() as session:
        _add(session, 1)
        _add(session, 2, until_judged=False)
        _add(session, 3)
    with database.begin() as session:
        gone = delete_judged(session, [("r1", "stable"), ("r2", "stable"), ("r3", "candidate")])
    assert gone == [("r1", "stable")]
    assert _left(database) == {"r2", "r3"}


def test_what_is_due_is_deleted_page_by_page(database: Database) -> None:
    """Whoever may read it: a text's time is over for all."""
    with database.begin() as session:
        for number in range(1200):
            _add(session, number, until_judged=number % 2 == 0, expires_at=100.0 if number < 1100 else 300.0)
    assert delete_expired(database, 200.0) == 1100
    assert len(_left(database)) == 100
    assert delete_expired(database, 200.0) == 0


@pytest.mark.parametrize("size", [1, 2000], ids=["small texts", "texts of many pages"])
def test_a_deleted_text_is_nowhere_in_the_files(ledger: Database, size: int) -> None:
    """Not in the file, whose pages were split and freed meanwhile, and not in its log."""
    with ledger.begin() as session:
        for number in range(60):
            _add(session, number, size=size)
    assert MARKER.encode() in _bytes(ledger)
    for start in range(0, 60, 7):
        with ledger.begin() as session:
            delete_judged(session, [(f"r{number}", "stable") for number in range(start, start + 7)])
    assert ledger.empty_log()
    assert _left(ledger) == set()
    assert MARKER.encode() not in _bytes(ledger)


def test_one_that_is_deleted_among_others_leaves_nothing(ledger: Database) -> None:
    """Its neighbours on the same page stay, and nothing of it."""
    with ledger.begin() as session:
        for number in range(40):
            _add(session, number)
    with ledger.begin() as session:
        delete_judged(session, [("r17", "stable")])
    assert ledger.empty_log()
    found = _bytes(ledger)
    assert f"{MARKER} 16 ".encode() in found
    assert f"{MARKER} 17 ".encode() not in found


def test_a_log_that_somebody_reads_is_emptied_later(ledger: Database) -> None:
    """Nobody is held up: it says that it isn't done, and the next sweep does it."""
    sweep = TextSweep(ledger)
    with ledger.begin() as session:
        _add(session, 1, expires_at=100.0)
    with ledger.read() as reading:
        reading.exec(select(TextRow)).all()
        assert sweep.look(200.0) == 1
        assert not ledger.empty_log()
        assert MARKER.encode() in _bytes(ledger)
    assert sweep.look(230.0) == 0  # within the same minute it doesn't look
    assert MARKER.encode() in _bytes(ledger)
    assert sweep.look(261.0) == 0
    assert MARKER.encode() not in _bytes(ledger)


def test_what_others_deleted_is_swept_too(ledger: Database) -> None:
    """A worker that dies between its judgement and emptying the log leaves that to the gateway."""
    sweep = TextSweep(ledger)
    sweep.look(0.0)
    with ledger.begin() as session:
        _add(session, 1)
    sweep.note_written(TextRecord("r1", "stable", "bot", MARKER, MARKER, 1e12, until_judged=True))
    with ledger.begin() as session:
        delete_judged(session, [("r1", "stable")])
    assert MARKER.encode() in _bytes(ledger)
    sweep.look(100.0)
    assert MARKER.encode() not in _bytes(ledger)


def test_nothing_is_emptied_where_no_text_comes(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger without texts has its log emptied once, and then left alone."""
    emptied = []

    def empty() -> bool:
        emptied.append(1)
        return True

    monkeypatch.setattr(ledger, "empty_log", empty)
    sweep = TextSweep(ledger)
    for minute in range(5):
        sweep.look(100.0 * minute)
    assert emptied == [1]
