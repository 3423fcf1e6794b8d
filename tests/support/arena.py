"""Many apps on one gateway, with users, victims that drive their releases, and reconcilers: all real processes."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
from sqlmodel import col, select

from softlaunch.catalog.apps import apply
from softlaunch.policy.release import State
from softlaunch.simulator.cases import Case
from softlaunch.simulator.profiles import JudgeFigures
from softlaunch.simulator.traffic import Traffic, TrafficPlan
from softlaunch.store.database import Database
from softlaunch.store.tables import DriveRow, ReleaseRow
from tests.support.paths import ROOT
from tests.support.providers import quick_profile, running_provider
from tests.support.servers import wait_until
from tests.support.stacks import free_port
from tests.support.stage import write_app
from tests.support.victims import release_until_killed

LEASE_SECONDS = 3.0
DRIVER_SECONDS = 5.0
CASES = [Case(id=f"c{number}", question=f"What is {number} + 1?", expected=str(number + 1)) for number in range(40)]
_BRIEF = {"minimum_time": "3 s", "minimum_requests": 10, "deadline": "5 min", "at_deadline": "extend"}
POLICY: dict[str, Any] = {
    "eval": {
        "golden_set": "golden.jsonl",
        "repeats": 1,
        "maximum_repeats": 1,
        "on_inconclusive": "reject",
        "tolerance": "20 points",
    },
    "shadow": {"sample_percent": 100, **_BRIEF},
    "stages": [{"weight_percent": weight, **_BRIEF} for weight in (30, 60, 100)],
    "control_percent": 60,
    "gates": [{"metric": "errors", "margin": "30 points"}],
    "gateway": {"timeout": "30 s", "lease": f"{LEASE_SECONDS:g} s"},
}
STAGES = 5


@dataclass(frozen=True)
class Instant:
    """When a driver dies: at the n-th write after the release's transition to a revision."""

    app: str
    revision: int
    writes: int


@dataclass
class Process:
    """A command of ours that can be killed and started again."""

    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, in a group of its own."""
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, "-m", "softlaunch.cli", *self.command],
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def revive(self) -> None:
        """Start it again where it ended by itself, as whatever supervises it does."""
        if self.running is not None and self.running.poll() is not None:
            self.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.running is not None
        return self.running.pid

    def kill(self) -> float:
        """SIGKILL; returns when it died."""
        assert self.running is not None
        self.running.send_signal(signal.SIGKILL)
        self.running.wait()
        return time.time()


@dataclass
class Installation:
    """A ledger, victims that drive releases, and reconcilers."""

    database: Database
    reconcilers: list[Process]
    folder: Path
    provider: str
    deaths: dict[str, list[float]] = field(default_factory=dict)
    victims: dict[str, BaseProcess] = field(default_factory=dict)

    def release(self, instant: Instant) -> None:
        """Start a release in a process that will die at this instant."""
        arguments = (
            self.database.url.render_as_string(hide_password=False),
            instant.app,
            instant.revision,
            instant.writes,
            self.folder / f"{instant.app}.died",
        )
        context = multiprocessing.get_context("forkserver")
        self.victims[instant.app] = context.Process(target=release_until_killed, args=arguments, daemon=True)
        self.victims[instant.app].start()

    def died(self, app: str) -> bool:
        """Whether an app's victim is dead by its own SIGKILL."""
        return self.victims[app].exitcode == -signal.SIGKILL

    def note_death(self, app: str, at: float) -> None:
        """Remember that a driver of an app's release died."""
        self.deaths.setdefault(app, []).append(at)

    def collect_deaths(self) -> int:
        """Note when each victim killed itself; returns how many did."""
        dead = [app for app in self.victims if self.died(app)]
        for app in dead:
            self.note_death(app, float((self.folder / f"{app}.died").read_text()))
        return len(dead)

    def releases(self) -> dict[str, ReleaseRow]:
        """Each app's release, where it was opened."""
        with self.database.read() as session:
            return {row.app: row for row in session.exec(select(ReleaseRow))}

    def over(self) -> bool:
        """Whether every victim is gone and no release is live."""
        gone = all(victim.exitcode is not None for victim in self.victims.values())
        return gone and not any(State(row.state).live for row in self.releases().values())

    def driven_by(self, process: Process) -> list[str]:
        """Apps whose live releases this process drives."""
        with self.database.read() as session:
            rows = session.exec(
                select(ReleaseRow.app, DriveRow.holder)
                .join(DriveRow, col(DriveRow.release_id) == col(ReleaseRow.id))
                .where(col(ReleaseRow.live_app).is_not(None), DriveRow.token == ReleaseRow.driver_token)
            ).all()
        return [app for app, holder in rows if holder.endswith(f"process {process.pid}")]

    def strike_driver(self, app: str) -> None:
        """Kill whoever drives an app's release, a victim or a reconciler, which is started again."""
        victim = self.victims[app]
        if victim.is_alive():
            victim.kill()
            victim.join()
            self.note_death(app, time.time())
        for process in self.reconcilers:
            if app in self.driven_by(process):
                self.strike(process)

    def strike(self, reconciler: Process) -> None:
        """Kill a reconciler, and start it again."""
        driven = self.driven_by(reconciler)
        died = reconciler.kill()
        for app in driven:
            self.note_death(app, died)
        reconciler.start()


@dataclass(kw_only=True)
class Arena(Installation):
    """What a chaos test of a gateway plays with."""

    gateway: Process
    gateway_url: str
    traffics: dict[str, Traffic]

    def await_gateway(self, address: str = "") -> None:
        """Wait until the gateway, or one at another address, answers and has read its routes."""
        wait_until(lambda: _healthy(address or self.gateway_url), "the gateway answers", 60)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2).is_success
    except httpx.HTTPError:
        return False


def environment_of(database_url: str, home: Path) -> dict[str, str]:
    """The environment of every process of an arena."""
    return {
        **os.environ,
        "SOFTLAUNCH_HOME": str(home),
        "SOFTLAUNCH_DATABASE_URL": database_url,
        "SOFTLAUNCH_DRIVER_SECONDS": f"{DRIVER_SECONDS:g}",
        "SOFTLAUNCH_POLL_SECONDS": "0.4",
    }


@contextmanager
def driven(
    database_url: str, folder: Path, policies: Mapping[str, Mapping[str, Any]], *, reconcilers: int = 2
) -> Iterator[Installation]:
    """Apps with an equally good second model, and reconcilers, while the block works."""
    environment = environment_of(database_url, folder)
    looking = ("reconcile", "--watch", "--every", "1")
    looking_after = [Process(looking, environment, folder / f"reconcile-{number}.log") for number in range(reconcilers)]
    multiprocessing.set_forkserver_preload(["tests.support.victims", "softlaunch.evals.calls.runner"])
    with ExitStack() as stack:
        stack.enter_context(_environment(environment))
        profiles = [quick_profile("first"), quick_profile("second"), quick_profile("judge", judge=JudgeFigures())]
        provider = stack.enter_context(running_provider(CASES, profiles))
        database = Database(database_url)
        stack.callback(database.close)
        for app, policy in policies.items():
            golden = [{"id": case.id, "question": case.question, "expected": case.expected} for case in CASES[:20]]
            write_app(folder / app, provider.endpoint, [one.name for one in profiles], golden, {**policy, "app": app})
            apply(folder / app, database, "test")
        for process in looking_after:
            process.start()
            stack.callback(end, process)
        made = Installation(database, looking_after, folder, provider.endpoint)
        yield made
        for victim in made.victims.values():
            victim.kill()
            victim.join()


@contextmanager
def arena(
    database_url: str,
    folder: Path,
    apps: Sequence[str],
    rate_rps: float,
    *,
    reconcilers: int = 2,
    policy: Mapping[str, Any] = POLICY,
) -> Iterator[Arena]:
    """Apps that are looked after, a gateway, and users, while the block works."""
    with driven(database_url, folder, dict.fromkeys(apps, policy), reconcilers=reconcilers) as found:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = ("gateway", "--port", str(port), "--log-level", "warning")
        gateway = Process(command, environment_of(database_url, folder), folder / "gateway.log")
        traffics = {
            app: Traffic(TrafficPlan(gateway=url, app=app, rate_rps=rate_rps, users=5000, seed=number), CASES)
            for number, app in enumerate(apps)
        }
        made = Arena(**vars(found), gateway=gateway, gateway_url=url, traffics=traffics)
        gateway.start()
        try:
            made.await_gateway()
            with playing_users(list(traffics.values())):
                yield made
        finally:
            end(gateway)


@contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    """Give this process, and what it forks, an environment."""
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def end(process: Process) -> None:
    """Kill it, where it runs."""
    if process.running is not None and process.running.poll() is None:
        process.kill()


@contextmanager
def playing_users(traffics: Sequence[Traffic]) -> Iterator[None]:
    """Let every app's users come while the block works."""

    async def play() -> None:
        await asyncio.gather(*(traffic.run() for traffic in traffics))

    thread = threading.Thread(target=lambda: asyncio.run(play()), name="users", daemon=True)
    thread.start()
    try:
        yield
    finally:
        for traffic in traffics:
            traffic.stop()
        thread.join()


def whenever(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait for a condition generously, without spending a machine's time on looking."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain until {what}")
        time.sleep(0.2)
