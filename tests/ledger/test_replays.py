"""What was heard once is not heard again, by whichever process, and not for longer than it matters."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlmodel import select

from softlaunch.ledger.replays import is_first
from softlaunch.store.database import Database
from softlaunch.store.tables import HeardRow
from tests.support.builders import NOON


def test_of_two_endpoints_one_hears_a_signature_first(database: Database, database_url: str) -> None:
    """Whatever the balancer does, and at the same instant."""
    other = Database(database_url)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(is_first, one, "v0=1", NOON) for one in (database, other) * 8]
        assert sorted(future.result() for future in asked) == [False] * 15 + [True]
    assert is_first(other, "v0=2", NOON)
    other.close()


def test_what_nobody_accepts_any_more_is_forgotten(database: Database) -> None:
    """Signatures are taken for fresh for five minutes; they are kept for some more, and no longer."""
    assert is_first(database, "v0=1", NOON)
    assert not is_first(database, "v0=1", NOON + timedelta(minutes=14))
    assert is_first(database, "v0=2", NOON + timedelta(minutes=15))
    with database.read() as session:
        assert session.exec(select(HeardRow.signature)).all() == ["v0=2"]
