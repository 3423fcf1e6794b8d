"""Writing the split, and the beat."""

import pytest
from sqlmodel import Session

from softlaunch.ledger.releases import FencedError
from softlaunch.ledger.routes import read_route
from softlaunch.ledger.splits import Split, beat, set_split
from softlaunch.store.database import Database
from softlaunch.store.tables import RouteRow
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, open_in_new_app

HALF = Split(CANDIDATE.digest, weight_percent=50, release_id="support-bot-1", stage=3, lease_seconds=4)


def beats(session: Session) -> int:
    """The route's beat."""
    return session.get_one(RouteRow, APP, populate_existing=True).beat


def test_a_split_is_what_gateways_read(database: Database) -> None:
    """Every part of it arrives, as a new revision and with a beat."""
    open_in_new_app(database)
    with database.begin() as session:
        revision = set_split(session, APP, STABLE.digest, HALF, 1, NOON)
    route = read_route(database, APP)
    assert route is not None
    assert (route.revision, route.stable, route.candidate) == (revision, STABLE, CANDIDATE)
    assert (route.weight_percent, route.release_id, route.stage, route.lease_seconds) == (50, "support-bot-1", 3, 4)
    assert route.beat == 1


def test_the_default_split_is_stable_alone(database: Database) -> None:
    """Nothing of the candidate remains."""
    open_in_new_app(database)
    with database.begin() as session:
        set_split(session, APP, STABLE.digest, HALF, 1, NOON)
        set_split(session, APP, STABLE.digest, Split(), 1, NOON)
    route = read_route(database, APP)
    assert route is not None
    assert (route.candidate, route.weight_percent, route.shadow_percent, route.release_id) == (None, 0, 0, None)


def test_an_older_driver_can_not_write_the_split(database: Database) -> None:
    """The newest fence stays, and so does its split."""
    open_in_new_app(database)
    with database.begin() as session:
        set_split(session, APP, STABLE.digest, HALF, 5, NOON)
    with pytest.raises(FencedError, match="newer driver than 4"), database.begin() as session:
        set_split(session, APP, STABLE.digest, Split(), 4, NOON)
    route = read_route(database, APP)
    assert route is not None
    assert route.weight_percent == 50


def test_only_the_watcher_of_the_split_in_force_beats(database: Database) -> None:
    """An older driver's sign of life, or one of another release, keeps nothing alive."""
    open_in_new_app(database)
    with database.begin() as session:
        set_split(session, APP, STABLE.digest, HALF, 5, NOON)
        before = beats(session)
        beat(session, "support-bot-1", 4)
        beat(session, "support-bot-2", 6)
        assert beats(session) == before
        beat(session, "support-bot-1", 5)
        assert beats(session) == before + 1
