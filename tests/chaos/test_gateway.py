"""Gateways killed, and databases gone, at seeded instants of releases that are driven all the while."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chaos.arena import LEASE_SECONDS, Arena, Instant, arena, whenever
from chaos.invariants import (
    SLACK_SECONDS,
    candidates_between,
    no_user_was_failed,
    served_one_candidate_while_watched,
    went_the_whole_way,
)
from sqlalchemy import create_engine, text

from softlaunch.store.database import Database

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

APPS = ["app-1", "app-2", "app-3"]
NEVER = 10**9
RATE_RPS = 15.0
KILLS = 4


def test_releases_go_on_when_the_gateway_is_killed(database_url: str, tmp_path: Path) -> None:
    """Requests fail only while there is no gateway; the next one serves the candidate once it hears of a watcher."""
    rng = random.Random(5)
    with arena(database_url, tmp_path, APPS, RATE_RPS) as playing:
        for app in APPS:
            playing.release(Instant(app, NEVER, 0))
        failed_meanwhile = 0
        for number in range(KILLS):
            whenever(lambda wanted=number + 2: reached(playing, wanted), "the next stage begins")
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
