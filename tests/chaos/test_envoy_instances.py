"""Two Envoys and two control planes on one PostgreSQL, struck at seeded instants while a release is driven."""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.arena import POLICY, Installation, Instant, driven, whenever
from tests.support.blows import COUNTS, Disturbed, Met, approve, ask, cut_a_connection, promoted_at, stages, twice
from tests.support.envoy import Deployment, needs_envoy
from tests.support.invariants import went_the_whole_way
from tests.support.struck_envoys import Envoys, envoys

pytestmark = [needs_envoy, pytest.mark.chaos, pytest.mark.postgres, pytest.mark.timeout(600)]

APP = "app-1"
NEVER = 10**9
ALL_KILLED = {55, 140}
CONTROLS_KILLED = {*range(10, 200, 18)}
RECONCILERS_KILLED = {40, 165}
DRIVERS_KILLED = {25}
ENVOYS_KILLED = {33, 80, 155}
"""At the other instants a connection to the database is cut, one in a transaction where there is one."""
BUSY_SECONDS = 1.0
"""What a busy machine may add."""
RESTARTED_SECONDS = 4.0
LEASE_SECONDS = 6.0
UNDAUNTED = {"orphaned": {"maximum_deaths": 50}}
"""Otherwise a release is rolled back whose drivers die five times within an hour."""
MINIMUM_SECONDS = (8, 4, 4)


def policy(stable: Deployment, candidate: Deployment) -> dict[str, Any]:
    """What is released in arenas, through Envoy, with gates by its access log."""
    router = {"kind": "envoy", "stable": stable.url, "candidate": candidate.url}
    sources = {"access_log": {"hold": "1 s", "late": "2 s"}}
    changed = {"stages": stages(MINIMUM_SECONDS), "router": router, "unit": {"source": "header"}, "sources": sources}
    return {**POLICY, **changed, "gateway": {"lease": f"{LEASE_SECONDS:g} s"}, **UNDAUNTED}


@pytest.mark.parametrize("instants", COUNTS)
def test_nobody_notices_blows_to_what_tells_envoys(migrated_postgres: str, tmp_path: Path, instants: int) -> None:
    """The release goes the whole way; nobody switches back and forth, nothing counts twice, and no answer is ours.

    Requests under way at an Envoy that is killed are lost; all others are answered. With everything of ours killed the
    candidate is gone within the lease.
    """
    rng, deployments, disturbed = (
        random.Random(19),
        (Deployment("stable"), Deployment("candidate")),
        Disturbed(LEASE_SECONDS),
    )
    down: list[float] = []
    with driven(migrated_postgres, tmp_path, {APP: policy(*deployments)}) as playing:
        with envoys(playing.database, tmp_path, APP, deployments) as routed, disturbed.noting_beats(playing):
            playing.release(Instant(APP, NEVER, 0))
            routed.await_candidate(time.time())
            for number in range(instants):
                time.sleep(rng.uniform(0.02, 0.25))
                if number in ALL_KILLED:
                    kill_everything(playing, routed, disturbed)
                elif number in ENVOYS_KILLED:
                    down.append(kill_an_envoy(routed, disturbed, rng))
                else:
                    strike(playing, routed, migrated_postgres, number, rng)
            approve(playing, APP)
            whenever(playing.over, "the release is over", 300)
        time.sleep(3)
        went_the_whole_way(playing, APP)
        met = routed.met
        assert failed(met, down) == []
        promoted = promoted_at(playing, APP)  # then everybody goes to stable's deployment, which has the new variant
        assert disturbed.switched([one for one in met if one.began < promoted - 0.1]) == []
        assert twice(playing) == []
        assert logged(playing) <= len(met)


def strike(playing: Installation, routed: Envoys, url: str, number: int, rng: random.Random) -> None:
    """Do what is planned for an instant; what couldn't start because of a blow is started again."""
    for reconciler in playing.reconcilers:
        reconciler.revive()
    for control in routed.controls:
        control.revive()
    if number in CONTROLS_KILLED:
        routed.strike_control(rng)
    elif number in RECONCILERS_KILLED:
        playing.strike(rng.choice(playing.reconcilers))
    elif number in DRIVERS_KILLED:
        playing.strike_driver(APP)
    else:
        cut_a_connection(url, rng)


def kill_an_envoy(routed: Envoys, disturbed: Disturbed, rng: random.Random) -> float:
    """What is under way there is lost; returns when it died."""
    died, struck = time.time(), rng.choice(routed.envoys)
    struck.kill()
    struck.start()
    disturbed.note(died)
    return died


def kill_everything(playing: Installation, routed: Envoys, disturbed: Disturbed) -> None:
    """Nothing of ours runs any more: within the lease nobody meets the candidate."""
    began = time.time()
    for victim in playing.victims.values():
        victim.kill()
        victim.join()
    for reconciler in playing.reconcilers:
        reconciler.kill()
    for control in routed.controls:
        control.kill()
    died = time.time()
    time.sleep(LEASE_SECONDS + BUSY_SECONDS + 1.0)
    late = [one for one in routed.met if one.arm == "candidate" and one.began > died + LEASE_SECONDS + BUSY_SECONDS]
    answered = [one for one in routed.met if one.arm == "stable" and one.began > died + LEASE_SECONDS]
    assert late == []
    assert answered
    for reconciler in playing.reconcilers:
        reconciler.start()
    for control in routed.controls:
        control.start()
    routed.await_candidate(died + LEASE_SECONDS + BUSY_SECONDS)
    disturbed.note(began)


def failed(met: Sequence[Met], down: Sequence[float]) -> list[Met]:
    """Questions without an answer, but for those at an Envoy that was just killed."""
    return [
        one
        for one in met
        if one.status != 200
        and not any(one.began - RESTARTED_SECONDS < died < one.began + one.took + 0.1 for died in down)
    ]


def logged(playing: Installation) -> int:
    """How many of the users' requests the log has."""
    return len(ask(playing, "SELECT id FROM requests WHERE NOT mirrored"))
