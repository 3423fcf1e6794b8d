"""Two config servers on one PostgreSQL, and what asks them, struck at seeded instants while a release is driven."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from softlaunch.gateway.configuration.records import request_id_of
from tests.support.arena import POLICY, Installation, Instant, driven, whenever
from tests.support.blows import COUNTS, Disturbed, approve, ask, cut_a_connection, promoted_at, stages, twice
from tests.support.invariants import went_the_whole_way
from tests.support.struck_servers import Servers, servers

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.timeout(600)]

APP = "app-1"
NEVER = 10**9
ALL_KILLED = {55, 140}
SERVERS_KILLED = {*range(10, 200, 18)}
CLIENTS_KILLED = {35, 105, 170}
RECONCILERS_KILLED = {40, 165}
DRIVERS_KILLED = {25}
"""At the other instants a connection to the database is cut, one in a transaction where there is one."""
LEASE_SECONDS = 6.0
UNDAUNTED = {"orphaned": {"maximum_deaths": 50}}
"""Otherwise a release is rolled back whose drivers die five times within an hour."""
MINIMUM_SECONDS = (8, 4, 4)
BUSY_SECONDS = 1.0
"""What a busy machine may add."""


def policy() -> dict[str, Any]:
    """What is released in arenas, with gates by what applications record."""
    sources = {"otlp": {"hold": "1 s", "late": "6 s"}}
    return {
        **POLICY,
        "stages": stages(MINIMUM_SECONDS),
        "sources": sources,
        "gateway": {"lease": f"{LEASE_SECONDS:g} s"},
        **UNDAUNTED,
    }


@pytest.mark.parametrize("instants", COUNTS)
def test_nobody_notices_blows_to_what_tells_applications(migrated_postgres: str, tmp_path: Path, instants: int) -> None:
    """The release goes the whole way; nobody switches back and forth, and each call that was sent counts, once.

    With everything of ours killed the candidate is gone within the lease, by the client and by OpenFeature's protocol.
    """
    rng, disturbed = random.Random(19), Disturbed(LEASE_SECONDS)
    with driven(migrated_postgres, tmp_path, {APP: policy()}) as playing:
        with servers(migrated_postgres, tmp_path, APP) as told, disturbed.noting_beats(playing):
            playing.release(Instant(APP, NEVER, 0))
            told.await_candidate(time.time())
            for number in range(instants):
                time.sleep(rng.uniform(0.02, 0.25))
                strike(playing, told, migrated_postgres, number, rng, disturbed)
            approve(playing, APP)
            whenever(playing.over, "the release is over", 300)
        went_the_whole_way(playing, APP)
        promoted = promoted_at(playing, APP)
        assert disturbed.switched([one for one in told.met if one.began < promoted - 0.1]) == []
        assert told.ofrep.refused == []
        sent = [request_id_of(APP, one) for one in (*told.client.flushed, *told.ofrep.confirmed)]
        logged = [str(row[0]) for row in ask(playing, "SELECT request_id FROM requests WHERE NOT mirrored")]
        assert len({*sent}) == len(sent)
        assert {*sent} - {*logged} == set()
        assert len({*logged}) == len(logged) <= len(told.met)
        assert twice(playing) == []


def strike(
    playing: Installation, told: Servers, url: str, number: int, rng: random.Random, disturbed: Disturbed
) -> None:
    """Do what is planned for an instant; what couldn't start because of a blow is started again."""
    for process in (*playing.reconcilers, *told.servers):
        process.revive()
    if number in ALL_KILLED:
        kill_everything(playing, told, disturbed)
    elif number in SERVERS_KILLED:
        told.strike_server(rng)
    elif number in CLIENTS_KILLED:
        began = time.time()
        told.client.kill()
        told.client.start()
        told.await_candidate(began)
        disturbed.note(began)
    elif number in RECONCILERS_KILLED:
        playing.strike(rng.choice(playing.reconcilers))
    elif number in DRIVERS_KILLED:
        playing.strike_driver(APP)
    else:
        cut_a_connection(url, rng)


def kill_everything(playing: Installation, told: Servers, disturbed: Disturbed) -> None:
    """Nothing of ours runs any more: within the lease nobody meets the candidate."""
    began = time.time()
    for victim in playing.victims.values():
        victim.kill()
        victim.join()
    for process in (*playing.reconcilers, *told.servers):
        process.kill()
    died = time.time()
    time.sleep(LEASE_SECONDS + BUSY_SECONDS + 1.0)
    met = [one for one in told.met if one.began > died + LEASE_SECONDS]
    assert [one for one in met if one.arm == "candidate" and one.began > died + LEASE_SECONDS + BUSY_SECONDS] == []
    assert [one for one in met if one.arm == "stable"]
    for process in (*playing.reconcilers, *told.servers):
        process.start()
    told.await_candidate(died + LEASE_SECONDS)
    disturbed.note(began)
