"""A real Envoy: who meets the candidate, how soon a weight is in force, and what is left when nothing of ours is."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from sqlmodel import col, select

from softlaunch.client import Client, Options
from softlaunch.core.split import takes_candidate_in_envoy
from softlaunch.gateway.choice import choose
from softlaunch.ledger.gateways import wait_for_gateways
from softlaunch.ledger.routes import read_route
from softlaunch.policy.limited import OnlyPolicy
from softlaunch.policy.route import Arm
from softlaunch.store.database import Database
from softlaunch.store.tables import RequestRow
from tests.gateway.configuration.servers import running_config_server
from tests.support.builders import APP
from tests.support.envoy import SALT, Routed, listens, needs_envoy, routed_app, seconds_until, watched
from tests.support.paths import ROOT
from tests.support.servers import wait_until

pytestmark = [
    *(needs_envoy, pytest.mark.long, pytest.mark.timeout(300)),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
RELEASE = f"{APP}-1"
_AT_ONCE = 100
_BUSY_SECONDS = 1.0
"""What a busy machine may add."""


def ask_all(routed: Routed, users: Sequence[str]) -> list[str]:
    """Who answers each of these users, over one connection."""
    port = int(routed.url.rsplit(":", 1)[1].strip("/"))
    found: list[str] = []
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as answers:
        for start in range(0, len(users), _AT_ONCE):
            some = users[start : start + _AT_ONCE]
            connection.sendall(
                b"".join(f"GET / HTTP/1.1\r\nhost: a\r\nx-user-id: {one}\r\n\r\n".encode() for one in some)
            )
            found += [_body(answers) for _ in some]
    return found


def _body(answers: object) -> str:
    length = 0
    while (line := answers.readline().strip().lower()) != b"":  # type: ignore[attr-defined]
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return str(answers.read(length).decode())  # type: ignore[attr-defined]


def in_force(routed: Routed, revision: int) -> None:
    """Wait until Envoy and whatever else serves follow a revision, by their word, and Envoy has read the routes."""

    def follows() -> bool:
        found = wait_for_gateways(routed.database, APP, revision)
        return found.following > 0 and not found.behind

    wait_until(follows, "Envoy follows")
    time.sleep(0.5)


def by_ofrep(url: str, users: Sequence[str]) -> dict[str, str]:
    """Whom OpenFeature's protocol gives these users."""
    with httpx.Client(base_url=url) as client:
        asked = {
            user: client.post(f"/ofrep/v1/evaluate/flags/{APP}", json={"context": {"targetingKey": user}})
            for user in users
        }
    return {user: answer.json()["metadata"]["arm"] for user, answer in asked.items()}


def test_the_same_users_as_everywhere_and_none_moves_back(database: Database, tmp_path: Path) -> None:
    """Of 10,000 users each meets at 1, 5 and 50 % the same in Envoy, at a gateway and by the client, and OpenFeature
    agrees on each twentieth; nobody goes back.
    """
    users = [f"user-{number}" for number in range(10_000)]
    met: set[str] = set()
    with (
        routed_app(database, tmp_path) as routed,
        watched(routed),
        running_config_server(database.url.render_as_string(hide_password=False)) as config_server,
        Client(config_server, options=Options(folder=None)) as client,
    ):
        app = client.app(APP)
        for weight in (1.0, 5.0, 50.0):
            in_force(routed, routed.split(weight, lease=30.0))
            answers = dict(zip(users, ask_all(routed, users), strict=True))
            route = read_route(database, APP)
            assert route is not None
            chosen = {user: str(choose(route, user, "id", candidate_allowed=True).arm) for user in users}
            assert answers == chosen
            wait_until(
                lambda chosen=chosen: all(app.variant(user=user).arm == arm for user, arm in chosen.items()),
                "the client has heard, and agrees",
            )
            assert by_ofrep(config_server, users[::20]) == {user: chosen[user] for user in users[::20]}
            assert {user for user in met if answers[user] != "candidate"} == set()
            met = {user for user, answer in answers.items() if answer == "candidate"}
            assert met == {user for user in users if takes_candidate_in_envoy(user, SALT, RELEASE, weight)}


def test_flips_lose_no_request(database: Database, tmp_path: Path) -> None:
    """Thirty weights under load, each in force soon after it is written; every request is answered."""
    answered: Counter[str] = Counter()
    stop = threading.Event()
    with routed_app(database, tmp_path) as routed, watched(routed):
        in_force(routed, routed.split(50.0, lease=30.0))

        def load() -> None:
            with httpx.Client() as client:
                while not stop.is_set():
                    answered[routed.ask(client, f"user-{answered.total()}")] += 1

        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        took = []
        with httpx.Client() as client:
            for number in range(30):
                everybody = number % 2 == 0
                routed.split(100.0 if everybody else 0.0, lease=30.0)
                wanted = "candidate" if everybody else "stable"
                took.append(seconds_until(lambda wanted=wanted: routed.ask(client, "anna") == wanted))
        stop.set()
        for thread in threads:
            thread.join()
    assert answered.total() > 100
    assert set(answered) == {"stable", "candidate"}
    assert sorted(took)[len(took) // 2] < 0.2 + _BUSY_SECONDS  # routes are read each 0.2 s


class ControlPlanes:
    """Control planes on one port, one after the other, each in a process of its own that can be killed."""

    def __init__(self, routed: Routed) -> None:
        command = routed.control.command
        self.port = int(command[command.index("--port") + 1])
        routes = command[command.index("--routes") + 1]
        url = routed.database.url.render_as_string(hide_password=False)
        program = [sys.executable, "-m", "tests.support.envoy_process", url, str(self.port), routes]
        self._forks = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        self._living = 0

    def start(self) -> None:
        """Start one."""
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.write(b"\n")
        self._forks.stdin.flush()
        self._living = int(self._forks.stdout.readline())
        wait_until(lambda: listens(self.port), "the control plane listens", 60)

    def kill(self) -> None:
        """Kill it at once."""
        if self._living:
            os.kill(self._living, signal.SIGKILL)
            self._living = 0

    def close(self) -> None:
        """Leave nothing behind."""
        self.kill()
        self._forks.kill()
        self._forks.wait()


@pytest.fixture
def planes(database: Database, tmp_path: Path) -> Iterator[tuple[Routed, ControlPlanes]]:
    """An Envoy whose control planes are started and killed by the test."""
    with routed_app(database, tmp_path) as routed:
        made = ControlPlanes(routed)
        try:
            yield routed, made
        finally:
            made.close()


def test_killed_at_twenty_instants_the_candidate_is_gone_within_the_lease(planes: tuple[Routed, ControlPlanes]) -> None:
    """Whoever watches and the control plane die together: Envoy alone takes the candidate away, and loses nothing."""
    rng, lease, late = random.Random(19), 1.0, []
    routed, control = planes
    routed.control.kill()
    with httpx.Client() as client:
        for _ in range(20):
            control.start()
            with watched(routed, 0.1):
                routed.split(100.0, lease=lease)
                seconds_until(lambda: routed.ask(client, "anna") == "candidate")
                time.sleep(rng.uniform(0, 0.5))
                control.kill()
            died = time.monotonic()
            seconds_until(lambda: routed.ask(client, "anna") == "stable")
            late.append(time.monotonic() - died)
            assert routed.ask(client, "bert") == "stable"
    assert max(late) < lease + 0.25, sorted(late)


def test_an_envoy_that_starts_alone_serves_stable(database: Database, tmp_path: Path) -> None:
    """It starts without its control plane and answers; once that is back, the candidate is too."""
    with routed_app(database, tmp_path) as routed, watched(routed):
        in_force(routed, routed.split(100.0, lease=5.0))
        assert routed.candidates() == 40
        routed.control.kill()
        routed.envoy.kill()
        routed.start_envoy()
        assert routed.candidates() == 0
        routed.control.start()
        seconds_until(lambda: routed.candidates() == 40, 60)


def test_the_next_control_plane_moves_nobody(planes: tuple[Routed, ControlPlanes]) -> None:
    """The one that an Envoy listens to is killed, and another takes its place: every user stays on his side."""
    routed, control = planes
    with watched(routed):
        in_force(routed, routed.split(50.0, lease=20.0))
        users = [f"user-{number}" for number in range(500)]
        before = ask_all(routed, users)
        routed.control.kill()
        control.start()
        for _ in range(15):
            assert ask_all(routed, users) == before
            time.sleep(0.1)


def test_stages_that_are_limited_and_copies(database: Database, tmp_path: Path) -> None:
    """Only the team meets the candidate, and its requests alone count; each copy is a row that names its original."""
    team = OnlyPolicy(header="x-team", values=("ours",))
    with routed_app(database, tmp_path) as routed, watched(routed):
        in_force(routed, routed.split(100.0, lease=30.0, only=team))
        for headers in ({}, {"x-team": "theirs"}, {"x-team": "ours"}):
            wanted = "candidate" if headers.get("x-team") == "ours" else "stable"
            assert httpx.get(routed.url, headers={"x-user-id": "anna", **headers}).text == wanted
        in_force(routed, routed.split(0.0, lease=30.0, shadow_percent=100.0))
        time.sleep(1)
        began = time.time()
        answer = httpx.post(routed.url, headers={"x-user-id": "anna"}, content=b"how are you?")
        assert answer.text == "stable"

        def copies() -> list[RequestRow]:
            with database.read() as session:
                logged = select(RequestRow).where(col(RequestRow.started_at) >= began - 0.1)
                return list(session.exec(logged).all())

        wait_until(lambda: len(copies()) >= 2, "both are logged")
        rows = {row.arm: row for row in copies()}
    assert set(rows) == {Arm.STABLE, Arm.SHADOW}
    assert rows[Arm.STABLE].request_id == rows[Arm.SHADOW].request_id
    assert rows[Arm.SHADOW].mirrored
    assert routed.candidate.bodies[-1] == b"how are you?"
    assert routed.candidate.seen[-1]["x-softlaunch-arm"] == "shadow"
    assert routed.candidate.seen[-1]["x-softlaunch-variant"] == rows[Arm.SHADOW].variant_digest
