"""Copies of requests: who is compared with whom, and that nobody waits for it."""

from dataclasses import replace

import pytest

from softlaunch.policy.gateway import BreakerPolicy, GatewayPolicy
from tests.gateway.worlds import NEVER_TRIPS, QUICK, World, ask_many, running_world
from tests.support.servers import FakeModels, wait_until

pytestmark = pytest.mark.long


def test_a_failing_shadow_trips_nothing(ledger_url: str, models: FakeModels) -> None:
    """The breaker protects users, and copies have none."""
    policy = GatewayPolicy(timeout=30.0, breaker=BreakerPolicy(minimum_requests=3))
    with running_world(ledger_url, models, gateway=policy) as world, world.watched():
        world.split(0, shadow_percent=100)
        models.faults["candidate"] = "500"
        for number in range(20):
            world.ask(str(number))
        world.rows(20, arm="shadow")
        assert world.metric("softlaunch_breaker_tripped") == 0.0


def test_copies_pair_with_their_requests(world: World) -> None:
    """A copy has the id and the unit of the request it was made of, and is marked as one that nobody saw."""
    with world.watched():
        world.split(50, shadow_percent=100, control_percent=100)
        for number in range(30):
            world.ask(str(number))
        answered = {row.request_id: row for row in world.rows(30, mirrored=False)}
        wanted = {(row.request_id, "control") for row in answered.values()}
        wanted |= {(row.request_id, "shadow") for row in answered.values() if row.arm == "stable"}
        copies = world.rows(len(wanted), mirrored=True)
    assert {(copy.request_id, copy.arm) for copy in copies} == wanted
    for copy in copies:
        row = answered[copy.request_id]
        assert copy.unit == row.unit
        assert copy.started_at >= row.started_at
        assert copy.variant_digest == {"shadow": world.candidate, "control": world.stable}[copy.arm].digest


def test_a_sample_of_the_requests_is_copied(world: World) -> None:
    """At 30 % about 30 % of the requests are copied: 200 requests, four standard deviations (26)."""
    with world.watched():
        world.split(0, shadow_percent=30)
        ask_many(world, [str(number) for number in range(200)])
        wait_until(lambda: len(world.rows(arm="shadow")) == world.models.asked("candidate"), "all copies are logged")
    assert 34 <= len(world.rows(arm="shadow")) <= 86


def test_a_shadow_that_hangs_delays_nobody(ledger_url: str, models: FakeModels) -> None:
    """Copies hang in a bounded number while answers flow; what doesn't fit is counted; timeouts are logged."""
    policy = GatewayPolicy(timeout=6.0, breaker=NEVER_TRIPS)
    with running_world(ledger_url, models, gateway=policy, limits=replace(QUICK, mirrors=5)) as world, world.watched():
        world.split(0, shadow_percent=100)
        models.faults["candidate"] = "hang"
        responses = [world.ask(str(number)) for number in range(30)]
        assert {response.status_code for response in responses} == {200}
        assert {row.outcome for row in world.rows(30, arm="stable")} == {"answered"}
        assert models.most_under_way["candidate"] == 5
        assert world.metric("softlaunch_shadow_dropped_total") == 25.0
        assert not world.rows(arm="shadow")
        until = world.ask_database("select complete_until from gateways")[0][0]
        copies = world.rows(5, arm="shadow")
        assert {row.outcome for row in copies} == {"total_timeout"}
        assert until <= min(row.started_at for row in copies)
        latest = max(row.started_at for row in world.rows())
        wait_until(lambda: world.ask_database("select complete_until from gateways")[0][0] > latest, "all is complete")


def test_some_copies_go_to_stable_too(world: World) -> None:
    """Of the copied requests a part is put to stable a second time, as one that nobody saw."""
    with world.watched():
        world.split(0, shadow_percent=100, control_percent=50)
        for number in range(40):
            world.ask(str(number))
        shadows = {row.request_id: row for row in world.rows(40, arm="shadow")}
        wait_until(lambda: world.models.asked("stable") == 40 + len(world.rows(arm="control")), "all are logged")
    again = world.rows(arm="control")
    assert 5 <= len(again) <= 35
    assert {row.variant_digest for row in again} == {world.stable.digest}
    assert all(row.mirrored and row.request_id in shadows for row in again)
    assert len(world.rows(mirrored=False)) == 40


def test_copies_to_stable_count_against_the_same_bound(ledger_url: str, models: FakeModels) -> None:
    """With room for one copy the candidate's is made, the other one is dropped and counted, and nobody waits."""
    limits = replace(QUICK, mirrors=1)
    with running_world(ledger_url, models, limits=limits) as world, world.watched():
        world.split(0, shadow_percent=100, control_percent=100)
        assert world.ask("ann").status_code == 200
        world.rows(1, arm="shadow")
        assert world.metric("softlaunch_shadow_dropped_total") == 1.0
        assert not world.rows(arm="control")


def test_nothing_is_copied_without_a_watcher(world: World) -> None:
    """A candidate that nobody watches gets no copies either."""
    world.split(0, shadow_percent=100)
    for number in range(10):
        world.ask(str(number))
    world.rows(10)
    assert world.models.asked("candidate") == 0
