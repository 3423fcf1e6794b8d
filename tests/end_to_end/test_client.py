"""Releases of an app that calls its models itself, by softlaunch's own client around openai's."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func
from sqlmodel import col, select

from softlaunch.ledger.releases import read_release
from softlaunch.policy.release import Release, State
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import FeedbackRow, RequestRow
from softlaunch.wiring import build_driver
from tests.end_to_end.client_app import ClientApp, users_of
from tests.gateway.configuration.servers import ConfigServerProcess
from tests.support.builders import make_variant
from tests.support.endpoints import running_endpoint
from tests.support.recorded_release import LEASE_SECONDS, driver_process, open_recorded, recorded_policy
from tests.support.servers import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

_SECONDS = 300.0
FRESH = make_variant("1.1.0", name="fresh", model="fresh")


@pytest.fixture
def home(migrated_file: Path, tmp_path: Path) -> Path:
    """The folder of an installation with an empty ledger."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    return tmp_path


@pytest.fixture
def database(home: Path) -> Iterator[Database]:
    """Its ledger."""
    opened = open_database(f"sqlite:///{home / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
def release_id(database: Database) -> str:
    """A new app whose calls are recorded, with its first release."""
    return open_recorded(database, recorded_policy(50, 60, "60 %"), FRESH)


@pytest.fixture
def server(home: Path) -> Iterator[ConfigServerProcess]:
    """A config server, as a process."""
    process = ConfigServerProcess(home)
    process.start()
    yield process
    process.kill()


def drive(database: Database, release_id: str) -> Release:
    """Drive a release to its end."""
    driver, began = build_driver(database, "test"), time.monotonic()
    token = driver.acquire_lease(release_id)
    while time.monotonic() - began < _SECONDS and not driver.advance(release_id, token).over:
        time.sleep(0.25)
    with database.read() as session:
        return read_release(session, release_id)


def logged(database: Database) -> int:
    """How many of the users' requests the log has."""
    with database.read() as session:
        return session.exec(select(func.count()).where(col(RequestRow.mirrored).is_(False))).one()


def rated(database: Database) -> int:
    """How many ratings the ledger has."""
    with database.read() as session:
        return session.exec(select(func.count()).select_from(FeedbackRow)).one()


@pytest.mark.parametrize(
    ("slower", "state", "gate"),
    [
        pytest.param(1.0, State.PROMOTED, "", id="fine"),
        pytest.param(3.0, State.ROLLED_BACK, "latency", id="slower"),
    ],
)
def test_a_release_through_the_client(
    database: Database,
    release_id: str,
    server: ConfigServerProcess,
    tmp_path: Path,
    slower: float,
    state: State,
    gate: str,
) -> None:
    """What the wrapped client records decides it, and each call is in the log, once."""
    app = ClientApp(server.url, tmp_path / "kept", slower)
    with running_endpoint() as endpoint:
        endpoint.behaviour = app.behave
        with users_of(app, endpoint.url):
            release = drive(database, release_id)
    assert release.state is state, (release.reason, server.said[-2000:])
    assert gate in release.reason
    assert app.answered == app.asked == logged(database)
    assert not app.client.lost
    wait_until(lambda: rated(database) == app.asked, "each rating is in the ledger")


def test_stable_within_the_lease_when_everything_of_ours_is_killed(
    database: Database, release_id: str, server: ConfigServerProcess, tmp_path: Path
) -> None:
    """SIGKILL of watcher and server: users are answered all the time, by stable within the lease; no call is lost."""
    app = ClientApp(server.url, tmp_path / "kept")
    with driver_process(database, release_id) as watcher, running_endpoint() as endpoint:
        endpoint.behaviour = app.behave
        with users_of(app, endpoint.url):
            wait_until(lambda: app.candidate_at > 0, "users meet the candidate", 60)
            time.sleep(LEASE_SECONDS / 2)
            watcher.kill()
            server.kill()
            died_at = time.monotonic()
            watcher.wait()
            time.sleep(LEASE_SECONDS + 1)
            before = app.asked
            time.sleep(0.5)
            assert app.asked > before  # nobody waits for anything of ours
            assert died_at - LEASE_SECONDS < app.candidate_at <= died_at + LEASE_SECONDS
            server.start()
    assert app.answered == app.asked == logged(database)
    assert not app.client.lost
