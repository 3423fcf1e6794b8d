"""A gateway that hangs while what it serves is rolled back: who rolls back is told, and so is everybody else."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import orjson
import pytest
from sqlmodel import select

from softlaunch.cli.exits import Exit
from softlaunch.store.database import Database
from softlaunch.store.tables import GatewayRow
from tests.support.builders import APP, Scene, make_policy
from tests.support.deployed import Environment, softlaunch
from tests.support.servers import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


def can_be_written(ledger: Path) -> bool:
    """Whether nobody holds the ledger's lock."""
    with closing(sqlite3.connect(ledger, timeout=0.2, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True


@contextmanager
def hanging(process: "subprocess.Popen[bytes]", ledger: Path) -> Iterator[None]:
    """Stop a process, though not where it would hold up everybody: in the middle of a write."""

    def hang() -> bool:
        process.send_signal(signal.SIGSTOP)
        if can_be_written(ledger):
            return True
        process.send_signal(signal.SIGCONT)
        return False

    wait_until(hang, "the gateway hangs between two writes")
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextmanager
def running(command: list[str], environment: Environment) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is told to stop in the end."""
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()


def serves_by(database: Database) -> int:
    """The revision that the gateway said last that it serves by."""
    with database.read() as session:
        row = session.exec(select(GatewayRow)).one_or_none()
        return 0 if row is None else row.revisions.get(APP, 0)


def test_a_gateway_that_hangs_is_named_until_it_follows(tmp_path: Path, migrated_file: Path) -> None:
    """By the command, by an incident that reconcile opens, and by its end when the gateway goes on."""
    shutil.copy(migrated_file, tmp_path / "ledger.db")
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    scene = Scene.opened(database, make_policy(gateway={"lease": "2 s"}))
    scene.drive_to_end()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SOFTLAUNCH_", "PREFECT_"))}
    environment: Environment = {**kept, "SOFTLAUNCH_HOME": str(tmp_path)}
    serving = [sys.executable, "-m", "softlaunch.cli", "gateway", "--port", "0", "--log-level", "error"]
    with running(serving, environment) as gateway:
        promoted = scene.route().revision
        wait_until(lambda: serves_by(database) == promoted, "the gateway serves what was promoted", 60)
        with hanging(gateway, tmp_path / "ledger.db"):
            command = ("rollback", APP, "--reason", "users complain", "--json")
            said = orjson.loads(softlaunch(environment, *command, code=Exit.INCONCLUSIVE))
            assert (said["state"], said["gateways_following"]) == ("rolled_back", 0)
            (behind,) = said["gateways_behind"]
            assert said["gateways_unknown"] == [behind]

            def incidents() -> list[dict[str, str]]:
                softlaunch(environment, "reconcile")
                return orjson.loads(softlaunch(environment, "incidents", "list", APP, "--json"))  # type: ignore[no-any-return]  # JSON

            wait_until(lambda: incidents() != [], "the incident opens", 60)
            (incident,) = incidents()
            assert incident["kind"] == "rollback_stuck"
            assert (
                f"{APP}-1 was rolled back, but 1 of 1 gateways doesn't follow: {behind} (silent" in incident["summary"]
            )
        wait_until(lambda: serves_by(database) > promoted, "the gateway follows", 60)
        assert incidents() == []
        again = softlaunch(environment, "rollback", APP, "--to", "production", "--reason", "make sure")
        assert "All 1 running gateways follow" in again
    assert "No gateway is running." in softlaunch(environment, "rollback", APP, "--to", "production")
    database.close()
