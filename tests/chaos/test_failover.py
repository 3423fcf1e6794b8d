"""PostgreSQL's primary killed in the middle of releases, and its standby promoted: what is lost is counted and said."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import func, select

from softlaunch.ledger.losses import Cause
from softlaunch.store.database import Database
from softlaunch.store.days import read_partitions
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import DropRow, GatewayRow, RequestRow
from tests.support.arena import LEASE_SECONDS, Arena, Instant, arena, whenever
from tests.support.invariants import (
    SLACK_SECONDS,
    candidates_between,
    no_user_was_failed,
    served_one_candidate_while_watched,
    went_the_whole_way,
)
from tests.support.standby import Pair, running_pair

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.timeout(600)]

APPS = ["app-1", "app-2"]
NEVER = 10**9
RATE_RPS = 15.0
AWAY_SECONDS = 7.0


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary and a standby that hold an empty, migrated ledger."""
    with running_pair() as made:
        open_database(made.url).close()
        whenever(made.is_level, "the standby has the ledger", 60)
        yield made


@pytest.mark.parametrize(
    "lost_seconds",
    [pytest.param(0.0, id="level", marks=pytest.mark.soak), pytest.param(0.3, id="a little behind")],
)
def test_releases_go_on_where_a_standby_takes_over(pair: Pair, tmp_path: Path, lost_seconds: float) -> None:
    """Users are on stable from the lease to the takeover; nothing counts twice, and what the standby lacks is counted.

    Of a standby that was behind, gateways say that the ledger went back in time.
    """
    with arena(pair.url, tmp_path, APPS, RATE_RPS) as playing:
        for app in APPS:
            playing.release(Instant(app, NEVER, 0))
        whenever(lambda: in_canary(playing), "both canaries are under way")
        if lost_seconds:
            pair.cut()
            time.sleep(lost_seconds)
        pair.primary.kill()
        gone = time.time()
        time.sleep(AWAY_SECONDS)
        back = time.time()
        pair.promote()
        whenever(playing.over, "every release is over", 300)
        for app in APPS:
            assert candidates_between(playing, app, gone + LEASE_SECONDS + SLACK_SECONDS, back) == 0
            went_the_whole_way(playing, app)
            served_one_candidate_while_watched(playing, app)
            playing.traffics[app].stop()
        whenever(lambda: all(accounted(playing.database, app) for app in APPS), "every request is accounted for", 20)
        assert bool(sum(rewound(playing.database, app) for app in APPS)) is bool(lost_seconds)
        with playing.database.read() as session:
            assert read_partitions(session)
    no_user_was_failed(playing)
    said = (tmp_path / "gateway.log").read_text()
    assert ("the ledger went back in time" in said) is bool(lost_seconds)


def in_canary(playing: Arena) -> bool:
    """Whether users of every app meet a candidate."""
    rows = list(playing.releases().values())
    return len(rows) == len(APPS) and all(row.state == "canary" for row in rows)


def accounted(database: Database, app: str) -> bool:
    """Whether what the gateway has begun, copies included, is as much as is logged or counted as lost."""
    with database.read() as session:
        begun = sum(row.counts.get(app, {}).get("begun", 0) for row in session.exec(select(GatewayRow)) if row.counts)
        logged = session.exec(select(func.count()).select_from(RequestRow).where(RequestRow.app == app)).one()
        missing = select(func.coalesce(func.sum(DropRow.count), 0)).where(DropRow.app == app)
        lost = session.exec(missing.where(DropRow.cause != Cause.LATE)).one()
    return bool(begun == logged + lost)


def rewound(database: Database, app: str) -> int:
    """How many of an app's requests the standby hadn't got."""
    with database.read() as session:
        lost = select(func.coalesce(func.sum(DropRow.count), 0)).where(DropRow.app == app)
        return int(session.exec(lost.where(DropRow.cause == Cause.REWOUND)).one())
