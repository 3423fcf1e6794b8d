"""Processes: forks, copies on disk for a start without a server, and death."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from softlaunch.client import Client
from tests.client.conftest import MakeClient
from tests.support.config_server import APP, ConfigServer, route, running_config_server
from tests.support.paths import ROOT
from tests.support.servers import wait_until


def in_a_fork(act: Any) -> int:
    """What a forked process exits with: 0 where the act raised nothing."""
    child = os.fork()
    if child == 0:
        try:
            act()
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"in the fork: {error!r}\n")
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def record(client: Client, user: str) -> str:
    """One call that was answered; its id."""
    with client.app(APP).variant(user=user).call() as call:
        call.answered()
    return call.id


def test_a_fork_goes_on_by_itself(server: ConfigServer, make_client: MakeClient, tmp_path: Path) -> None:
    """A fork follows the route, records its own calls, and leaves its parent's to the parent."""
    client = make_client(folder=tmp_path)
    app = client.app(APP)
    server.status = 503
    mine = record(client, "parent")
    wait_until(lambda: client.problem != "", "the server is away")

    def act() -> None:
        assert client.waiting == 0
        record(client, "child")
        wait_until(lambda: app.variant(user="ann").arm == "candidate", "the fork follows the route")
        assert client.flush(10.0)

    server.apps, server.lease_left, server._version, server.status = {APP: route(100.0)}, 10.0, 7, 0
    assert in_a_fork(act) == 0
    assert client.flush(10.0)
    assert sorted(one["unit"] for one in server.records if one["id"] in server.ids) == ["child", "parent"]
    assert mine in server.ids


def test_ids_of_forks_differ(make_client: MakeClient, tmp_path: Path) -> None:
    """No two processes draw the same ids, whatever was drawn before they parted."""
    client = make_client()
    record(client, "parent")

    def act(path: Path) -> None:
        path.write_text("\n".join(record(client, "child").rpartition("-")[2][11:22] for _ in range(50)))

    files = [tmp_path / name for name in ("one", "two")]
    assert [in_a_fork(lambda path=path: act(path)) for path in files] == [0, 0]
    drawn = [number for path in files for number in path.read_text().split()]
    assert len(set(drawn)) == 100


def test_a_copy_serves_stable_alone(server: ConfigServer, make_client: MakeClient, tmp_path: Path) -> None:
    """A start without a server serves what was stable last, and never a candidate; the copy is its owner's alone."""
    server.apps, server.lease_left = {APP: route(100.0)}, 10.0
    first = make_client(folder=tmp_path)
    app = first.app(APP)
    wait_until(lambda: app.variant(user="ann").arm == "candidate", "the candidate is served")
    first.close()
    (copy,) = tmp_path.rglob("config.json")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert "candidate" not in copy.read_text()
    assert "my-key" not in copy.read_text()
    server.status = 503
    config = make_client(folder=tmp_path).app(APP).variant(user="ann")
    assert (config.model, config.arm, config.release_id) == ("stable", "stable", None)


@pytest.mark.parametrize("broken", ["", "{", '{"format": 2}', '{"format": 1, "apps": {"support-bot": {}}}'])
def test_a_copy_that_is_broken_is_left_alone(
    server: ConfigServer, make_client: MakeClient, tmp_path: Path, broken: str
) -> None:
    """What can't be read is no copy, and is written anew."""
    make_client(folder=tmp_path).app(APP)
    wait_until(lambda: list(tmp_path.rglob("config.json")), "there is a copy")
    (copy,) = tmp_path.rglob("config.json")
    copy.write_text(broken)
    assert make_client(folder=tmp_path).app(APP).variant(user="ann").model == "stable"
    wait_until(lambda: "stable-digest" in copy.read_text(), "the copy is whole again")


def test_a_folder_that_cant_be_written_costs_nothing(make_client: MakeClient, tmp_path: Path) -> None:
    """Without a disk everything else works."""
    (tmp_path / "file").write_text("")
    client = make_client(folder=tmp_path / "file")
    record(client, "ann")
    assert client.flush(5.0)


PROGRAM = """
import sys, time
from softlaunch.client import Client, Options
client = Client(sys.argv[1], options=Options(folder=sys.argv[2], exit_seconds=float(sys.argv[3])))
app = client.app("support-bot")
for number in range(30):
    with app.variant(user=f"u{number}").call() as call:
        call.answered()
    print(call.id, flush=True)
    time.sleep(0.02)
"""


def started(url: str, folder: Path, exit_seconds: float = 2.0) -> "subprocess.Popen[str]":
    """An application of its own."""
    command = [sys.executable, "-c", PROGRAM, url, str(folder), str(exit_seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": "."})


@pytest.mark.long
def test_the_end_of_a_process_sends_what_waits(server: ConfigServer, tmp_path: Path) -> None:
    """An application that ends has sent all of it."""
    process = started(server.url, tmp_path)
    assert process.stdout is not None
    ids = process.stdout.read().split()
    assert process.wait() == 0
    assert sorted(server.ids) == sorted(ids)
    assert len(ids) == 30


@pytest.mark.long
def test_an_end_without_a_server_leaves_it_to_the_next_start(tmp_path: Path) -> None:
    """What couldn't be sent waits on disk, within a bounded time, and the next process sends it."""
    with running_config_server() as server:
        port = int(server.url.rpartition(":")[2])
        process = started(server.url, tmp_path, 0.3)
        assert process.stdout is not None
        process.stdout.readline()
        server.status = 503
        ids = [*process.stdout.read().split()]
        began = time.monotonic()
        assert process.wait() == 0
        assert time.monotonic() - began < 5
        had = set(server.ids)
    with running_config_server(port) as server:
        process = started(server.url, tmp_path)
        process.wait()
        assert {*ids} <= had | {*server.ids}


@pytest.mark.long
def test_a_killed_process_loses_little(server: ConfigServer, tmp_path: Path) -> None:
    """SIGKILL takes with it what ended within about a second, and nothing that was sent counts twice."""
    process = started(server.url, tmp_path)
    assert process.stdout is not None
    ids = [process.stdout.readline().strip() for _ in range(25)]
    time.sleep(0.6)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert {*ids} <= {*server.ids}
    assert len(server.records) == len(server.ids)
