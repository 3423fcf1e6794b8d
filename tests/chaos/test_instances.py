"""Several gateways and reconcilers on one PostgreSQL, struck at 200 seeded instants while releases are driven."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text

from softlaunch.simulator.traffic import Traffic, TrafficPlan
from tests.support.arena import CASES, Arena, Instant, Process, arena, environment_of, playing_users, whenever
from tests.support.invariants import served_one_candidate_while_watched, went_the_whole_way
from tests.support.stacks import free_port

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.timeout(600)]

APPS = ["app-1", "app-2"]
NEVER = 10**9
RATE_RPS = 12.0
INSTANTS = 200
GATEWAYS_KILLED = {20, 150}
RECONCILERS_KILLED = {35, 70, 105, 140, 175}
DRIVERS_KILLED = {50, 120}
"""At the other instants a connection to the database is cut, one in a transaction where there is one."""


def test_nobody_notices_200_blows_to_what_shares_a_ledger(migrated_postgres: str, tmp_path: Path) -> None:
    """Releases go the whole way; nobody switches back and forth at either gateway, and no request is logged twice.

    A gateway that is killed loses what was under way there; users of the other one are answered all the while.
    """
    rng = random.Random(19)
    with arena(migrated_postgres, tmp_path, APPS, RATE_RPS) as playing, beside(playing, migrated_postgres) as users:
        for app in APPS:
            playing.release(Instant(app, NEVER, 0))
        whenever(lambda: len(playing.releases()) == len(APPS), "the releases are opened")
        for number in range(INSTANTS):
            time.sleep(rng.uniform(0.05, 0.35))
            strike(playing, migrated_postgres, number, rng)
        whenever(playing.over, "every release is over", 300)
        for app in APPS:
            went_the_whole_way(playing, app)
            served_one_candidate_while_watched(playing, app)
        assert switched(playing) == []
        assert twice(playing) == []
    assert [one.tally.failures for one in users] == [0] * len(APPS)


def strike(playing: Arena, url: str, number: int, rng: random.Random) -> None:
    """Do what is planned for an instant."""
    if number in GATEWAYS_KILLED:
        playing.gateway.kill()
        playing.gateway.start()
    elif number in RECONCILERS_KILLED:
        process = rng.choice(playing.reconcilers)
        driven = playing.driven_by(process)
        died = process.kill()
        for app in driven:
            playing.note_death(app, died)
        process.start()
    elif number in DRIVERS_KILLED:
        living = [app for app, victim in playing.victims.items() if victim.is_alive()]
        if living:
            victim = playing.victims[rng.choice(living)]
            victim.kill()
            victim.join()
    else:
        cut_a_connection(url, rng)


def cut_a_connection(url: str, rng: random.Random) -> None:
    """End one of the ledger's connections from the server's side."""
    parsed = make_url(url)
    where = f"host={parsed.query['host']} user={parsed.username} dbname=postgres"
    with psycopg.connect(where, autocommit=True) as connection:
        sessions = "SELECT pid, state = 'idle' FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        found = connection.execute(sessions, [parsed.database]).fetchall()
        busy = sorted(pid for pid, idle in found if not idle) or sorted(pid for pid, _ in found)
        if busy:
            connection.execute("SELECT pg_terminate_backend(%s)", [rng.choice(busy)])


@contextmanager
def beside(playing: Arena, url: str) -> Iterator[list[Traffic]]:
    """A second gateway on the same ledger, with the same users, while the block works."""
    port = free_port()
    command = ("gateway", "--port", str(port), "--log-level", "warning")
    other = Process(command, environment_of(url, playing.folder), playing.folder / "gateway-2.log")
    address = f"http://127.0.0.1:{port}"
    other.start()
    try:
        playing.await_gateway(address)
        plans = [
            TrafficPlan(gateway=address, app=app, rate_rps=RATE_RPS / 2, users=5000, seed=number)
            for number, app in enumerate(APPS)
        ]
        users = [Traffic(plan, CASES) for plan in plans]
        with playing_users(users):
            yield users
    finally:
        other.kill()


def ask(playing: Arena, sql: str) -> list[tuple[object, ...]]:
    """Rows of a query."""
    with playing.database.read() as session:
        return [tuple(row) for row in session.execute(text(sql))]


def switched(playing: Arena) -> list[tuple[object, ...]]:
    """Users whose arm changed within a stage, or who went back to stable when a later one had more users."""
    shown = "mirrored IS FALSE AND fell_back IS FALSE AND weight_percent > 0 AND release_id IS NOT NULL"
    arms = "min(arm) AS arm, count(DISTINCT arm) AS arms"
    of_units = f"SELECT release_id, unit, stage, {arms} FROM requests WHERE {shown}"
    return ask(
        playing,
        f"WITH met AS ({of_units} GROUP BY 1, 2, 3) SELECT release_id, unit, stage FROM met WHERE arms > 1 "
        "UNION ALL SELECT later.release_id, later.unit, later.stage FROM met later JOIN met earlier "
        "ON later.release_id = earlier.release_id AND later.unit = earlier.unit AND later.stage > earlier.stage "
        "WHERE earlier.arm = 'candidate' AND later.arm = 'stable'",
    )


def twice(playing: Arena) -> list[tuple[object, ...]]:
    """Answers that are logged more than once."""
    return ask(playing, "SELECT request_id, arm FROM requests GROUP BY request_id, arm HAVING count(*) > 1")
