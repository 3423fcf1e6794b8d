"""Several gateways and reconcilers on one PostgreSQL, struck at seeded instants while releases are driven."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from softlaunch.ledger.reported import LIVE_JUDGES
from softlaunch.simulator.traffic import Traffic, TrafficPlan
from tests.support.arena import (
    CASES,
    POLICY,
    Arena,
    Instant,
    Process,
    arena,
    end,
    environment_of,
    playing_users,
    whenever,
)
from tests.support.blows import COUNTS, ask, cut_a_connection, twice
from tests.support.invariants import served_one_candidate_while_watched, went_the_whole_way
from tests.support.stacks import free_port

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.timeout(600)]

APPS = ["app-1", "app-2"]
NEVER = 10**9
RATE_RPS = 12.0
GATEWAYS_KILLED = {20, 150}
RECONCILERS_KILLED = {35, 70, 105, 140, 175}
DRIVERS_KILLED = {50, 120}
EVALUATORS_KILLED = {25, 60, 90, 130, 160}
"""At the other instants a connection to the database is cut, one in a transaction where there is one."""


JUDGED = {
    **POLICY,
    "texts": {"keep": True},
    "eval": {**POLICY["eval"], "judge": {"models": ["judge"]}},
    "live": {"metrics": [{"metric": "quality"}], "sample_percent": {"candidate": 100, "stable": 50, "afterwards": 50}},
}


@pytest.mark.parametrize("instants", COUNTS)
def test_nobody_notices_blows_to_what_shares_a_ledger(migrated_postgres: str, tmp_path: Path, instants: int) -> None:
    """Releases go the whole way; nobody switches back and forth at either gateway; nothing is logged or judged twice.

    A gateway that is killed loses what was under way there; users of the other one are answered all the while.
    """
    rng = random.Random(19)
    with (
        arena(migrated_postgres, tmp_path, APPS, RATE_RPS, policy=JUDGED) as playing,
        beside(playing, migrated_postgres) as users,
        evaluating(playing, migrated_postgres) as evaluators,
    ):
        for app in APPS:
            playing.release(Instant(app, NEVER, 0))
        whenever(lambda: len(playing.releases()) == len(APPS), "the releases are opened")
        for number in range(instants):
            time.sleep(rng.uniform(0.05, 0.35))
            strike(playing, evaluators, migrated_postgres, number, rng)
        whenever(playing.over, "every release is over", 300)
        for app in APPS:
            went_the_whole_way(playing, app)
            served_one_candidate_while_watched(playing, app)
        assert switched(playing) == []
        assert twice(playing) == []
        assert judged(playing) > len(APPS)
        assert judged_twice(playing) == []
    assert [one.tally.failures for one in users] == [0] * len(APPS)


def strike(playing: Arena, evaluators: Sequence[Process], url: str, number: int, rng: random.Random) -> None:
    """Do what is planned for an instant; what couldn't start because of a blow is started again."""
    for process in (*playing.reconcilers, *evaluators):
        process.revive()
    if number in EVALUATORS_KILLED:
        struck = rng.choice(evaluators)
        struck.kill()
        struck.start()
    elif number in GATEWAYS_KILLED:
        playing.gateway.kill()
        playing.gateway.start()
    elif number in RECONCILERS_KILLED:
        playing.strike(rng.choice(playing.reconcilers))
    elif number in DRIVERS_KILLED:
        living = [app for app, victim in playing.victims.items() if victim.is_alive()]
        if living:
            victim = playing.victims[rng.choice(living)]
            victim.kill()
            victim.join()
    else:
        cut_a_connection(url, rng)


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


@contextmanager
def evaluating(playing: Arena, url: str) -> Iterator[list[Process]]:
    """Two evaluators share the work while the block does its own."""
    found = [
        Process(
            ("evaluator", "--every", "0.5"), environment_of(url, playing.folder), playing.folder / f"evaluator-{n}.log"
        )
        for n in range(2)
    ]
    for process in found:
        process.start()
    try:
        yield found
    finally:
        for process in found:
            end(process)


def judged(playing: Arena) -> int:
    """How many answers the live judges have scored."""
    return len(ask(playing, f"SELECT id FROM scores WHERE source = '{LIVE_JUDGES}'"))


def judged_twice(playing: Arena) -> list[tuple[object, ...]]:
    """Answers that are scored more than once, or otherwise than by the judgement of them that is kept."""
    scores = f"SELECT request_id, metric, value FROM scores WHERE source = '{LIVE_JUDGES}'"
    kept = "SELECT request_id, metric, value FROM live_judgements WHERE value IS NOT NULL"
    again = f"SELECT request_id, metric FROM ({scores}) AS said GROUP BY 1, 2 HAVING count(*) > 1"
    return [
        *ask(playing, again),
        *ask(playing, f"({scores}) EXCEPT ({kept})"),
        *ask(playing, f"({kept}) EXCEPT ({scores})"),
    ]


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
