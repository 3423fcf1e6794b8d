"""Releases of an app that calls its models itself, by OpenFeature's SDK and OpenTelemetry's: spans alone decide."""

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openfeature import api
from sqlmodel import col, func, select

from softlaunch.policy.release import State
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.tables import RequestRow, RouteRow
from tests.end_to_end.configured_app import users_of
from tests.end_to_end.evaluated_app import EvaluatedApp
from tests.end_to_end.test_config_server import drive
from tests.gateway.clients.programs import HERE
from tests.gateway.configuration.servers import ConfigServerProcess, running_config_server
from tests.support.builders import APP, CANDIDATE, STABLE
from tests.support.otlp import ReceiverProcess, record_split, running_receiver
from tests.support.paths import ROOT
from tests.support.recorded_release import LEASE_SECONDS, driver_process, open_recorded, recorded_policy
from tests.support.servers import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

Servers = tuple[ConfigServerProcess, ReceiverProcess]


@pytest.fixture
def database(migrated_file: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty ledger."""
    (tmp_path / "ledger.db").write_bytes(migrated_file.read_bytes())
    opened = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
def release_id(database: Database) -> str:
    """A new app whose spans are taken, with its first release."""
    return open_recorded(database, recorded_policy(50, 60, "40 %"), CANDIDATE)


@pytest.fixture
def servers(database: Database, tmp_path: Path) -> Iterator[Servers]:
    """A config server and a receiver, as processes."""
    url = database.url.render_as_string(hide_password=False)
    receiver = ReceiverProcess(url, tmp_path / "otlp.log")
    config_server = ConfigServerProcess(tmp_path)
    config_server.start()
    receiver.start()
    yield config_server, receiver
    config_server.kill()
    receiver.kill()


def logged(database: Database) -> int:
    """How many of the users' calls the log has."""
    with database.read() as session:
        return session.exec(select(func.count()).where(col(RequestRow.mirrored).is_(False))).one()


@contextmanager
def users_once_split(app: EvaluatedApp, database: Database) -> Iterator[None]:
    """Users who come when the candidate has traffic: what they were told before they would keep for a minute."""

    def is_split() -> bool:
        with database.read() as session:
            return session.get_one(RouteRow, APP).weight_percent > 0

    wait_until(is_split, "the split begins", 120)
    with users_of(app):
        yield


@pytest.mark.parametrize(
    ("slower", "state", "gate"),
    [
        pytest.param(1.0, State.PROMOTED, "", id="fine"),
        pytest.param(2.0, State.ROLLED_BACK, "latency", id="slower"),
    ],
)
def test_spans_of_evaluations_decide_a_release(
    database: Database, release_id: str, servers: Servers, slower: float, state: State, gate: str
) -> None:
    """The application adds one object to both SDKs; each of its calls is in the log, once."""
    app = EvaluatedApp(servers[0].url, slower, receiver=servers[1].url)
    with users_of(app):
        release = drive(database, release_id, threading.Event())
    assert release.state is state, (release.reason, servers[1].log.read_text())
    assert gate in release.reason
    assert (app.defaults, logged(database)) == (0, app.calls)


def test_stable_within_the_lease_when_everything_of_ours_is_killed(
    database: Database, release_id: str, servers: Servers
) -> None:
    """Users are answered all the time, and keep no candidate for longer than was left of the lease; no call is lost."""
    app = EvaluatedApp(servers[0].url, users=50, receiver=servers[1].url)
    with driver_process(database, release_id) as driver, users_once_split(app, database):
        wait_until(lambda: app.shown_at, "users meet the candidate", 60)
        time.sleep(LEASE_SECONDS)
        died_at = time.monotonic()
        for process in (driver, *servers):
            process.kill()
        driver.wait()
        time.sleep(LEASE_SECONDS + 1)
        last, before = app.shown_at, app.defaults
        assert died_at < last < died_at + LEASE_SECONDS + 0.3
        servers[1].start()
        assert (app.shown_at, app.defaults > before) == (last, True)
    assert logged(database) == app.calls


def test_the_guides_program_runs(database: Database) -> None:
    """Against a config server and a receiver: its call is a row, on the arm that was told, and by its revision."""
    said: dict[str, Any] = {}
    with guide(database, "python") as program:
        try:
            exec(compile(program, "config-server.md", "exec"), said)
        finally:
            api.clear_hooks()
            api.clear_providers()
    assert the_row(database).route_revision == said["found"].flag_metadata["revision"]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js 20 or newer")
@pytest.mark.skipif(not (HERE / "node_modules" / "@opentelemetry").is_dir(), reason="needs the clients: make clients")
def test_the_guides_program_for_node_runs(database: Database) -> None:
    """By OpenFeature's own hook and the span processor that the guide adds to it."""
    with guide(database, "js") as program:
        command = ["node", "--input-type=module"]
        done = subprocess.run(command, input=program, cwd=HERE, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
    assert the_row(database).route_revision > 0


@contextmanager
def guide(database: Database, language: str) -> Iterator[str]:
    """The guide's program in a language, for a config server and a receiver that run here."""
    record_split(database, None, since=time.time() - 60, policy=recorded_policy(50, 60, "40 %"))
    url = database.url.render_as_string(hide_password=False)
    page = (ROOT / "docs" / "guide" / "config-server.md").read_text(encoding="utf-8")
    (program,) = re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    with running_config_server(url, client_keys=("my-key",)) as config_server, running_receiver(url) as receiver:
        yield program.replace("http://localhost:8830", config_server).replace("http://localhost:4318", receiver)


def the_row(database: Database) -> RequestRow:
    """The only call in the log, which stable answered."""
    with database.read() as session:
        row = session.exec(select(RequestRow)).one()
        session.expunge(row)
    assert (row.arm, row.variant_digest, row.outcome) == ("stable", STABLE.digest, "answered")
    return row
