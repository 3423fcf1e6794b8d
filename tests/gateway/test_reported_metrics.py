"""An app's own metrics through the gateway: by request or unit, one by one or in batches, once, and in time."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from softlaunch.policy.named_metrics import MetricPolicy
from softlaunch.policy.units import UnitPolicy
from tests.gateway.worlds import APP, World, running_world
from tests.support.servers import FakeModels, wait_until

RESOLVED = MetricPolicy.model_validate({"name": "ticket_resolved", "kind": "share", "better": "up", "unit": "user"})
HANDLING = MetricPolicy.model_validate(
    {"name": "handling", "kind": "duration", "better": "down", "unit": "request", "window": "3 d"}
)
FLEETING = MetricPolicy.model_validate({"name": "copied", "kind": "share", "better": "up", "window": 0.001})
METRICS = (RESOLVED, HANDLING, FLEETING)


@pytest.fixture
def world(ledger_url: str, models: FakeModels) -> Iterator[World]:
    """A gateway whose app declares three metrics."""
    with running_world(ledger_url, models, metrics=METRICS) as running:
        yield running


def tell(world: World, key: str = "", **body: Any) -> httpx.Response:
    """Send feedback."""
    return world.client.post("/v1/feedback", json=body, headers={"Authorization": f"Bearer {key}"} if key else {})


def code_of(response: httpx.Response) -> tuple[int, str]:
    """Status and code."""
    return response.status_code, response.json().get("error", {"code": "accepted"})["code"]


def values(world: World, count: int) -> list[tuple[str, float, str]]:
    """What the ledger holds, once there is so much of it."""
    sql = "select metric, value, source from scores order by metric, value"
    wait_until(lambda: len(world.ask_database(sql)) >= count, f"{count} values are in the ledger")
    return [(row[0], row[1], row[2]) for row in world.ask_database(sql)]


def id_of(response: httpx.Response) -> str:
    """The id of an answered request."""
    return response.headers["x-softlaunch-request-id"]


def test_values_come_by_request(world: World) -> None:
    """In their own units, once, and only those that are declared."""
    asked = id_of(world.ask("ann"))
    assert code_of(tell(world, request_id=asked, metrics={"ticket_resolved": True, "handling": 340.5})) == (
        202,
        "accepted",
    )
    assert values(world, 2) == [("handling", 340.5, "reported"), ("ticket_resolved", 1.0, "reported")]
    assert code_of(tell(world, request_id=asked, metrics={"handling": 1})) == (409, "already_rated")
    refused = tell(world, request_id=asked, metrics={"beauty": 1})
    assert code_of(refused) == (400, "invalid_value")
    assert "ticket_resolved, handling, copied" in refused.json()["error"]["message"]
    assert code_of(tell(world, request_id=asked, metrics={"ticket_resolved": 0.5})) == (400, "invalid_value")
    assert code_of(tell(world, request_id=asked, metrics={"copied": True})) == (410, "request_too_old")


def test_values_come_by_unit(world: World) -> None:
    """They are the unit's last request's, and count once; units that asked nothing have none."""
    world.ask("ann")
    last = world.row_of(world.ask("ann"))
    world.rows(2)
    assert code_of(tell(world, app=APP, unit="ann", metrics={"ticket_resolved": False})) == (202, "accepted")
    assert values(world, 1) == [("ticket_resolved", 0.0, "reported")]
    assert world.ask_database("select request_id from scores")[0][0] == last.request_id
    world.row_of(world.ask("ann"))
    assert code_of(tell(world, app=APP, unit="ann", metrics={"ticket_resolved": True})) == (409, "already_rated")
    assert code_of(tell(world, app=APP, unit="bob", metrics={"ticket_resolved": True})) == (404, "unit_not_found")
    assert code_of(tell(world, app="nobody", unit="ann", metrics={"ticket_resolved": True})) == (400, "invalid_value")
    assert code_of(tell(world, app=APP, unit="ann", metrics={"handling": 3})) == (400, "invalid_value")


def test_units_are_found_in_a_live_release(world: World) -> None:
    """On whichever arm."""
    world.split(50.0)
    with world.watched():
        arms = {world.row_of(world.ask(user)).arm: user for user in map(str, range(20))}
    assert set(arms) == {"stable", "candidate"}
    for user in arms.values():
        assert code_of(tell(world, app=APP, unit=user, metrics={"ticket_resolved": True})) == (202, "accepted")


def test_a_batch_may_be_sent_again(world: World) -> None:
    """Each piece is taken by itself; what was known is no error, and what is wrong is named."""
    asked = [id_of(world.ask(f"user-{number}")) for number in range(5)]
    world.rows(5)
    pieces: list[Any] = [{"request_id": one, "metrics": {"ticket_resolved": 1}} for one in asked]
    pieces += [{"app": APP, "unit": "nobody", "metrics": {"ticket_resolved": 1}}, "nonsense"]
    first = tell(world, feedback=pieces)
    assert first.status_code == 200
    told = first.json()
    assert (told["accepted"], told["known"]) == (5, 0)
    assert [(one["at"], one["code"]) for one in told["refused"]] == [(5, "unit_not_found"), (6, "invalid_value")]
    again = tell(world, feedback=pieces).json()
    assert (again["accepted"], again["known"], len(again["refused"])) == (0, 5, 2)
    assert len(values(world, 5)) == 5
    assert code_of(tell(world, feedback=[])) == (400, "invalid_value")


def test_what_came_of_a_failed_request_counts(world: World, models: FakeModels) -> None:
    """A rating needs an answer; that a ticket wasn't resolved is known without one."""
    models.faults["stable"] = "500"
    failed = world.ask("ann")
    assert failed.status_code >= 500
    world.row_of(failed)
    assert code_of(tell(world, request_id=id_of(failed), thumbs="down")) == (409, "request_failed")
    assert code_of(tell(world, request_id=id_of(failed), metrics={"ticket_resolved": 0})) == (202, "accepted")


def test_units_are_no_business_of_other_clients(ledger_url: str, models: FakeModels) -> None:
    """Where clients have keys, values of a unit need one for feedback."""
    with running_world(ledger_url, models, metrics=METRICS, client_keys=("a-key",)) as world:
        body: dict[str, Any] = {"app": APP, "unit": "ann", "metrics": {"ticket_resolved": True}}
        assert code_of(tell(world, key="a-key", **body)) == (403, "feedback_key_needed")


def test_units_that_are_drawn_afresh_have_no_name(ledger_url: str, models: FakeModels) -> None:
    """Which of a user's draws a value is of can't be told; the request's id tells."""
    with running_world(ledger_url, models, metrics=METRICS, unit=UnitPolicy(redraw="1 h")) as world:
        body: dict[str, Any] = {"app": APP, "unit": "ann", "metrics": {"ticket_resolved": True}}
        assert code_of(tell(world, **body)) == (400, "invalid_value")
        asked = id_of(world.ask("ann"))
        assert code_of(tell(world, request_id=asked, metrics={"ticket_resolved": True})) == (202, "accepted")
