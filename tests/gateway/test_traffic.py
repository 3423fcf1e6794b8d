"""Traffic through a gateway: who meets the candidate, and what happens when nobody watches."""

import threading
import time
from collections import Counter

import httpx
import pytest

from softlaunch.gateway.limits import Limits
from tests.gateway.worlds import APP, World, arm_of, ask_many, running_world
from tests.support.servers import FakeModels, running_gateway, wait_until

pytestmark = pytest.mark.long

A_BUSY_MACHINE = 8.0
"""Seconds that a machine with other things to do may stand still."""


def test_the_split_holds_its_weight_and_its_users(world: World) -> None:
    """1,000 units at 5 % are within binomial bounds, keep their arm, and none moves back as the weight grows."""
    users = [f"user-{number}" for number in range(1000)]
    with world.watched():
        world.split(5)
        first = ask_many(world, users)
        again = ask_many(world, users[:300])
        world.split(20)
        grown = ask_many(world, users)
    assert 23 <= first.count("candidate") <= 78  # four standard deviations of a binomial(1000, 0.05)
    assert again == first[:300]
    assert 150 <= grown.count("candidate") <= 250
    moved_back = [user for user, was, now in zip(users, first, grown, strict=True) if was == "candidate" != now]
    assert not moved_back
    rows = Counter((row.route_revision, row.arm) for row in world.rows(2300))
    assert rows[2, "candidate"] == first.count("candidate") + again.count("candidate")


def test_without_a_watcher_traffic_returns_to_stable(world: World) -> None:
    """When the beats stop, the gateway serves stable alone within the lease, and no request fails of it."""
    both = {"stable", "candidate"}

    def arms() -> set[str]:
        answers = [world.ask(str(number)) for number in range(30)]
        assert {answer.status_code for answer in answers} == {200}
        return {arm_of(answer) for answer in answers}

    with world.watched():
        world.split(50, lease_seconds=2.0)
        wait_until(lambda: arms() == both, "both arms serve")
    wait_until(lambda: arms() == {"stable"}, "stable alone serves", 2.0 + A_BUSY_MACHINE)
    assert arms() == {"stable"}
    with world.watched():
        wait_until(lambda: arms() == both, "both arms serve again")


def test_the_log_says_which_weight_was_in_force(world: World) -> None:
    """Without a lease the weight is zero whatever the route says: such requests have no concurrent candidate."""
    world.split(50)
    world.ask("ann")
    with world.watched():
        world.ask("ann")
    rows = world.rows(2)
    assert [row.weight_percent for row in rows] == [0.0, 50.0]


def test_a_gateway_that_starts_waits_for_a_sign_of_life(world: World) -> None:
    """A beat in the ledger may be years old: only one that changes lets the candidate serve."""
    world.split(100)
    with running_gateway(world.database.url.render_as_string(hide_password=False)) as url:
        body = {"model": APP, "messages": [{"role": "user", "content": "Hi"}]}
        arms = {arm_of(httpx.post(f"{url}/v1/chat/completions", json=body, verify=False)) for _ in range(10)}
    assert arms == {"stable"}


def test_a_rollback_is_in_force_within_a_second(ledger_url: str, models: FakeModels) -> None:
    """Taking the candidate out of the route is all it takes."""
    with running_world(ledger_url, models, limits=Limits()) as world, world.watched():
        assert min(_seconds_to_roll_back(world) for _ in range(3)) < 1.0  # the best of three: the machine may be busy


def _seconds_to_roll_back(world: World) -> float:
    world.split(100, candidate_digest=world.candidate.digest)
    assert arm_of(world.ask("ann")) == "candidate"
    began = time.monotonic()
    world.split(0, candidate_digest=None)
    assert arm_of(world.ask("ann")) == "stable"
    return time.monotonic() - began


def test_answers_flow_while_the_ledger_is_locked_or_gone(world: World) -> None:
    """A ledger that can't be written, then not even read, is no reason to keep a user waiting."""
    world.ask("ann")
    world.rows(1)
    with world.database.begin() as session:  # SQLite's one writer is us
        session.connection()
        before = [world.ask(str(number)).status_code for number in range(20)]
    with world.database.begin() as session:
        session.connection().exec_driver_sql("alter table routes rename to elsewhere")
    gone = [world.ask(str(number)).status_code for number in range(20)]
    with world.database.begin() as session:
        session.connection().exec_driver_sql("alter table elsewhere rename to routes")
    assert before == gone == [200] * 20
    world.rows(41)


def test_stopping_finishes_what_was_begun(ledger_url: str, models: FakeModels) -> None:
    """A gateway that is told to stop answers the requests it has, and leaves a complete log."""
    models.faults["stable"] = "slow"
    responses: list[httpx.Response] = []
    with running_world(ledger_url, models) as world:
        thread = threading.Thread(target=lambda: responses.append(world.ask("ann")))
        thread.start()
        wait_until(lambda: models.under_way["stable"] == 1, "the request is under way")
        world.stop()
        thread.join()
        (row,) = world.rows()
        assert world.ask_database("select complete_until from gateways")[0][0] > row.started_at
    assert responses[0].status_code == 200
