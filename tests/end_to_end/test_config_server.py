"""Releases of an app that calls its models itself, by OpenFeature's SDK: its records alone decide."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func
from sqlmodel import col, select

from softlaunch.ledger.releases import read_release
from softlaunch.policy.release import Release, State
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import RequestRow
from softlaunch.wiring import build_driver
from tests.end_to_end.configured_app import ConfiguredApp, users_of
from tests.gateway.configuration.servers import ConfigServerProcess
from tests.support.builders import CANDIDATE
from tests.support.recorded_release import LEASE_SECONDS, open_recorded, recorded_policy
from tests.support.servers import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

_SECONDS = 300.0


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
    return open_recorded(database, recorded_policy(20, 50, "40 %"), CANDIDATE)


@pytest.fixture
def server(home: Path) -> Iterator[ConfigServerProcess]:
    """A config server, as a process."""
    process = ConfigServerProcess(home, {"SOFTLAUNCH_OTLP_CATCH_UP_SECONDS": "5"})
    process.start()
    yield process
    process.kill()


def drive(database: Database, release_id: str, at_first_look: threading.Event) -> Release:
    """Drive a release to its end; says when gates first see users."""
    driver, began = build_driver(database, "test"), time.monotonic()
    token = driver.acquire_lease(release_id)
    while time.monotonic() - began < _SECONDS:
        step = driver.advance(release_id, token)
        if step.requests.candidate:
            at_first_look.set()
        if step.over:
            break
        time.sleep(0.25)
    with database.read() as session:
        return read_release(session, release_id)


@contextmanager
def killed_once(server: ConfigServerProcess, when: threading.Event) -> Iterator[None]:
    """The server is killed when that happens, and comes back a second later."""

    def kill() -> None:
        when.wait(_SECONDS)
        server.kill()
        time.sleep(1)
        server.start()

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    yield
    thread.join(60)


@pytest.mark.parametrize(
    ("slower", "state", "gate"),
    [
        pytest.param(1.0, State.PROMOTED, "", id="fine, and the server is killed once"),
        pytest.param(2.0, State.ROLLED_BACK, "latency", id="slower"),
    ],
)
def test_records_alone_decide_a_release(
    database: Database, release_id: str, server: ConfigServerProcess, slower: float, state: State, gate: str
) -> None:
    """No call is lost or counted twice, though the server dies in between."""
    app, seen = ConfiguredApp(server.url, slower), threading.Event()
    if state is State.ROLLED_BACK:
        with users_of(app):
            release = drive(database, release_id, seen)
    else:
        with killed_once(server, seen), users_of(app):
            release = drive(database, release_id, seen)
    assert release.state is state, (release.reason, server.said[-2000:])
    assert gate in release.reason
    assert app.refused == []
    with database.read() as session:
        logged = session.exec(select(func.count()).where(col(RequestRow.mirrored).is_(False))).one()
    assert logged == app.calls


def test_the_candidate_is_gone_with_its_lease_when_everything_is_killed(
    database: Database, release_id: str, server: ConfigServerProcess
) -> None:
    """Nobody watches and nobody serves: what users were told, they keep no longer than what was left of the lease."""
    app, driver = ConfiguredApp(server.url, users=50), build_driver(database, "test")
    token, dead = driver.acquire_lease(release_id), threading.Event()

    def watch() -> None:
        while not dead.wait(0.25):
            driver.advance(release_id, token)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    with users_of(app):
        wait_until(lambda: app.shown_at, "users meet the candidate", 60)
        time.sleep(LEASE_SECONDS)
        dead.set()
        watcher.join()
        died_at = time.monotonic()
        server.kill()
        time.sleep(LEASE_SECONDS + 1.5)
        last = app.shown_at - died_at
        assert 0 < last < LEASE_SECONDS + 0.3
        server.start()  # and a server that comes back waits for the first beat
        time.sleep(1.0)
        assert app.shown_at - died_at == last
