"""A real Envoy that can't use what it is told, or hangs: whoever must know is told, in Envoy's own words."""

import asyncio
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlmodel import select

from softlaunch.core.clock import utc_now
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.inbound.envoy import discovery
from softlaunch.inbound.envoy.messages import Runtime
from softlaunch.inbound.envoy.server import ControlOptions, ControlPlane
from softlaunch.ledger.gateways import Problem, read_gateways
from softlaunch.ledger.releases import Actor, Opening, open_release
from softlaunch.releases.ending import roll_back
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow
from tests.support.builders import APP, CANDIDATE, STABLE
from tests.support.envoy import Routed, listens, needs_envoy, routed_app, routed_policy, seconds_until, watched
from tests.support.prometheus import free_port
from tests.support.servers import wait_until

pytestmark = [
    *(needs_envoy, pytest.mark.long, pytest.mark.timeout(120)),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
_LEASE_SECONDS = 2.0
REFUSED = "Unexpected RTDS runtime"
"""What Envoy says of a layer that has another name than the one that it asked for."""


@contextmanager
def control_plane(routed: Routed, health_port: int) -> Iterator[ControlPlane]:
    """A control plane in this process, in the place of the one that runs, so that a test can break what it sends."""
    routed.control.kill()
    command = routed.control.command
    port, routes = int(command[command.index("--port") + 1]), Path(command[command.index("--routes") + 1])
    database = Database(routed.database.url.render_as_string(hide_password=False))
    loop = asyncio.new_event_loop()
    options = ControlOptions(port=port, routes=routes, health_port=health_port)

    async def make() -> ControlPlane:
        return ControlPlane(database, options)

    made = loop.run_until_complete(make())
    thread = threading.Thread(target=lambda: loop.run_until_complete(made.run(lambda _: None)))
    thread.start()
    try:
        wait_until(lambda: listens(health_port), "the control plane listens")
        yield made
    finally:
        loop.call_soon_threadsafe(made.stop)
        thread.join()
        loop.close()
        database.close()


def problems(database: Database) -> list[Problem | None]:
    """What the ledger knows against each Envoy."""
    with database.read() as session:
        return [one.problem for one in read_gateways(session, APP, time.time() - 60)]


def exposed(port: int, name: str) -> float:
    """A metric of the control plane."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    found = re.search(rf"^{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


def stuck(database: Database) -> list[str]:
    """Open incidents of rollbacks that aren't followed."""
    with database.read() as session:
        held = select(IncidentRow).where(IncidentRow.kind == IncidentKind.ROLLBACK_STUCK)
        return [row.summary for row in session.exec(held) if row.resolved_at is None]


def everybody(routed: Routed) -> None:
    """Let everybody meet the candidate."""
    routed.split(100.0, lease=_LEASE_SECONDS)
    seconds_until(lambda: routed.candidates(5) == 5)


def break_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send layers that only Envoy can tell are wrong."""
    monkeypatch.setattr(discovery, "Runtime", lambda name: Runtime(name=f"{name}.wrong"))


def test_weights_that_an_envoy_refuses_are_seen(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the ledger and the metrics. Those before end with their lease, though somebody watches on.

    Started again, the Envoy has nothing against it.
    """
    health = free_port()
    with routed_app(database, tmp_path) as routed, control_plane(routed, health), watched(routed):
        everybody(routed)
        assert exposed(health, "softlaunch_envoy_refusals_total") == 0
        break_layers(monkeypatch)
        routed.split(50.0, lease=_LEASE_SECONDS)
        seconds_until(lambda: any(one is not None and REFUSED in one.said for one in problems(database)))
        assert seconds_until(lambda: routed.candidates(5) == 0) < _LEASE_SECONDS + 1
        assert exposed(health, "softlaunch_envoy_refusing") == 1
        assert exposed(health, "softlaunch_envoy_refusals_total") == 1
        assert httpx.get(f"http://127.0.0.1:{health}/healthz").json()["status"] == "degraded"
        monkeypatch.undo()
        routed.envoy.kill()
        routed.start_envoy()
        seconds_until(lambda: problems(database) == [None])
        seconds_until(lambda: 0 < routed.candidates(20) < 20)


def test_a_removal_that_an_envoy_refuses_is_an_incident_at_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Envoy's own words, and without anybody who reconciles; the candidate is gone all the same."""
    anna = Actor("anna", "command line")
    with routed_app(database, tmp_path) as routed, control_plane(routed, free_port()):
        with database.begin() as session:
            policy = routed_policy("http://a", "http://b")
            opening = Opening(APP, STABLE.digest, CANDIDATE.digest, policy, "folder/policy.yaml")
            open_release(session, opening, anna, utc_now())
        with watched(routed):
            routed.split(100.0, lease=30.0)
            seconds_until(lambda: routed.candidates(5) == 5)
            break_layers(monkeypatch)
        with database.begin() as session:
            roll_back(session, APP, anna, "enough", utc_now())
        began = time.monotonic()
        seconds_until(lambda: bool(stuck(database)))
        assert REFUSED in stuck(database)[0]
        seconds_until(lambda: routed.candidates(5) == 0)
        assert time.monotonic() - began < 3


def test_an_envoy_that_hangs_is_seen(database: Database, tmp_path: Path) -> None:
    """It is still connected, and says nothing to what it was told."""
    health = free_port()
    with routed_app(database, tmp_path) as routed, control_plane(routed, health) as plane:
        assert routed.envoy.process is not None
        seconds_until(lambda: any(one.revision for one in plane.followers.present))
        seconds_until(lambda: problems(database) == [None])
        os.kill(routed.envoy.process.pid, signal.SIGSTOP)
        try:
            revision = routed.split(100.0, lease=30.0)
            routed.beat()
            took = seconds_until(lambda: any(problems(database)))
            (problem,) = filter(None, problems(database))
        finally:
            os.kill(routed.envoy.process.pid, signal.SIGCONT)
        assert (problem.revision, problem.said) == (revision, "")
        assert 3 < took < 8
        seconds_until(lambda: problems(database) == [None])
        assert routed.candidates(5) == 5
