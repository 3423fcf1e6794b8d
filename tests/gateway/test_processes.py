"""`softlaunch gateway --processes`: several gateways on one port, and the process that keeps them."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from softlaunch.gateway.siblings import labelled
from softlaunch.policy.route import Serving
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from tests.gateway.worlds import record, variant
from tests.support.servers import FakeModels, running_models, wait_until

_SCRIPT = "from softlaunch.cli.main import main; main()"
_QUESTION = {"model": "support-bot", "messages": [{"role": "user", "content": "Hi"}]}
_FAILING = """
import logging
from softlaunch.gateway.processes import Processes

logging.basicConfig(format="%(message)s")

def run(place):
    raise OSError("no room")

Processes(2, run).keep()
"""


def test_counts_of_processes_stand_side_by_side() -> None:
    """Each sample says whose it is, and families are told once."""
    first = b'# HELP a_total As.\n# TYPE a_total counter\na_total{app="bot"} 2.0\n# HELP b B.\n# TYPE b gauge\nb 1.0\n'
    second = b'# HELP a_total As.\n# TYPE a_total counter\na_total{app="bot"} 5.0\n'
    lines = labelled({0: first, 1: second}).decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'a_total{app="bot",process="0"} 2.0',
        'a_total{app="bot",process="1"} 5.0',
        'b{process="0"} 1.0',
    ]
    assert lines.count("# TYPE a_total counter") == 1


def test_processes_that_cannot_begin_are_given_up() -> None:
    """Nobody wants a log of a million starts: after five short lives it ends, and says so."""
    done = subprocess.run([sys.executable, "-c", _FAILING], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "5 processes of the gateway ended as soon as they had begun" in done.stderr
    assert "no room" in done.stderr


@contextmanager
def _serving(
    migrated_file: Path, folder: Path, models: FakeModels
) -> Iterator[tuple["subprocess.Popen[bytes]", Database]]:
    """The command with two processes, and its ledger."""
    path = shutil.copy(migrated_file, folder / "ledger.db")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SOFTLAUNCH_")}
    environment = {**kept, "SOFTLAUNCH_HOME": str(folder), "SOFTLAUNCH_DATABASE_URL": f"sqlite:///{path}"}
    with closing(open_database(f"sqlite:///{path}")) as database:
        record(database, variant("stable", models.endpoint), None, Serving(salt="pepper"))
        command = [
            sys.executable,
            "-c",
            _SCRIPT,
            "gateway",
            "--processes",
            "2",
            "--port",
            "0",
            "--log-level",
            "warning",
        ]
        process = subprocess.Popen(command, env=environment)
        try:
            wait_until(lambda: len(_gateways(database)) == 2, "two gateways are in the ledger", 60)
            yield process, database
        finally:
            process.terminate()
            process.wait(30)


def _gateways(database: Database) -> dict[int, str]:
    """Addresses by process id of the gateways that have reported themselves and haven't stopped."""
    with database.read() as session:
        rows = session.execute(text("select id, address from gateways where stopped_at is null")).all()
    return {int(gateway_id.rsplit("-", 2)[1]): address for gateway_id, address in rows}


def _ask(url: str) -> int:
    """The status of a question on a connection of its own."""
    return httpx.post(f"{url}/v1/chat/completions", json=_QUESTION, timeout=20).status_code


@pytest.mark.long
def test_two_processes_are_one_gateway_to_clients(migrated_file: Path, tmp_path: Path) -> None:
    """Both serve, every request is logged once, any of them tells the counts of both, and all end together."""
    with running_models() as models, _serving(migrated_file, tmp_path, models) as (process, database):
        (url,) = set(_gateways(database).values())
        assert [_ask(url) for _ in range(60)] == [200] * 60
        counted = httpx.get(f"{url}/metrics").text
        by_process = dict(re.findall(r'softlaunch_requests_total\{.*process="(\d)".*\} (\d+)', counted))
        assert sum(map(int, by_process.values())) == 60
        assert set(by_process) == {"0", "1"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        with database.read() as session:
            rows = session.execute(text("select gateway_id, count(*) from requests group by gateway_id")).all()
            stopped = session.execute(text("select count(*) from gateways where stopped_at is not null")).scalar_one()
        assert (len(rows), sum(count for _, count in rows), stopped) == (2, 60, 2)


@pytest.mark.long
def test_a_process_that_dies_is_replaced(migrated_file: Path, tmp_path: Path) -> None:
    """Another takes its place; requests are answered all along by those that live."""
    with running_models() as models, _serving(migrated_file, tmp_path, models) as (_, database):
        before = _gateways(database)
        (url,) = set(before.values())
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: set(_gateways(database)) - set(before), "another gateway is in the ledger", 30)
        assert [_ask(url) for _ in range(20)] == [200] * 20


@pytest.mark.long
def test_processes_end_with_their_keeper(migrated_file: Path, tmp_path: Path) -> None:
    """Even where it is killed: a port that nobody stops would be held for ever."""
    with running_models() as models, _serving(migrated_file, tmp_path, models) as (process, database):
        kept = list(_gateways(database))
        process.kill()
        wait_until(lambda: not any(_lives(pid) for pid in kept), "both have ended", 30)
        assert not _gateways(database)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
