"""What became of requests, as the log has it: time limits, ends of streams, whose fault a refusal was, usage."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from softlaunch.policy.gateway import GatewayPolicy
from tests.gateway.worlds import APP, NEVER_TRIPS, World, arm_of, running_world
from tests.support.servers import FakeModels, wait_until


@pytest.fixture
def canary(world: World) -> Iterator[World]:
    """Everybody is on the candidate's side of a split of one half, or on stable's; `side` finds a user of each."""
    with world.watched():
        world.split(50)
        yield world


def side(world: World, arm: str) -> str:
    """A user whom this arm answers."""
    users = (f"user-{number}" for number in range(50))
    return next(user for user in users if arm_of(world.ask(user)) == arm)


@pytest.mark.parametrize("arm", ["stable", "candidate"])
@pytest.mark.parametrize("fallback", [True, False])
def test_the_other_arm_tells_whose_fault_a_refusal_was(
    ledger_url: str, models: FakeModels, arm: str, *, fallback: bool
) -> None:
    """For both arms alike: what the other could answer counts against the one that refused it."""
    policy = GatewayPolicy(breaker=NEVER_TRIPS, fallback=fallback)
    other = "stable" if arm == "candidate" else "candidate"
    with running_world(ledger_url, models, gateway=policy) as world, world.watched():
        world.split(50)
        user = side(world, arm)
        models.faults[arm] = "400"
        alone = world.row_of(world.ask(user))
        models.faults[other] = "400"
        both = world.row_of(world.ask(user))
    assert (alone.arm, alone.outcome, alone.excused) == (arm, "request_at_fault", False)
    assert (both.arm, both.outcome, both.excused) == (arm, "request_at_fault", True)


def test_a_user_is_never_shown_the_candidate_in_stables_place(canary: World) -> None:
    """The other arm's word is for the log alone."""
    user = side(canary, "stable")
    canary.models.faults["stable"] = "400"
    response = canary.ask(user)
    assert (response.status_code, response.json()["error"]["message"]) == (400, "fault 400")
    assert not canary.row_of(response).fell_back


def test_without_a_candidate_a_refused_request_is_excused(world: World) -> None:
    """Nobody else can be asked."""
    world.models.faults["stable"] = "400"
    assert world.row_of(world.ask("ann")).excused
    assert world.models.asked("candidate") == 0


@pytest.mark.parametrize(
    ("fault", "outcome", "finish_reason"),
    [("filtered", "filtered", "content_filter"), ("mute", "empty", "stop"), ("", "answered", "stop")],
)
def test_an_answer_is_kept_with_its_outcome(world: World, fault: str, outcome: str, finish_reason: str) -> None:
    """In the log and in the metrics, with the provider's own word for its end."""
    world.models.faults["stable"] = fault
    response = world.ask("ann")
    row = world.row_of(response)
    assert (response.status_code, row.outcome, row.finish_reason, row.attempts) == (200, outcome, finish_reason, 1)
    assert f'outcome="{outcome}"' in world.client.get("/metrics").text


@pytest.mark.parametrize(
    ("limits", "fault", "stream", "outcome"),
    [
        pytest.param({"first_token": 0.4}, "silent", True, "first_token_timeout", id="no first token"),
        pytest.param({"idle": 0.4}, "stall", True, "idle_timeout", id="it stops in the midst"),
        pytest.param({"total": 0.4}, "stall", True, "total_timeout", id="too long a stream"),
        pytest.param({"total": 0.4, "first_token": 0.2}, "hang", False, "total_timeout", id="too long an answer"),
        pytest.param({"timeout": 0.4}, "silent", True, "first_token_timeout", id="an older policy's only limit"),
    ],
)
def test_each_limit_in_time_is_an_outcome(
    ledger_url: str, models: FakeModels, limits: dict[str, Any], fault: str, outcome: str, *, stream: bool
) -> None:
    """The first token of a stream, the pause between two, and the whole are limited each by itself."""
    with running_world(ledger_url, models, gateway=GatewayPolicy(**limits)) as world:
        models.faults["stable"] = fault
        response = world.ask("ann", stream=stream)
        assert world.row_of(response).outcome == outcome
        assert " 0.4 s" in response.text


def test_an_answer_is_over_at_its_end(world: World) -> None:
    """A provider that keeps its connection open behind the end changes nothing, and nobody waits for it."""
    world.models.faults["stable"] = "never ends"
    began = time.monotonic()
    response = world.ask("ann", stream=True)
    assert response.text.endswith("data: [DONE]\n\n")
    assert time.monotonic() - began < 5
    assert world.row_of(response).outcome == "answered"


def test_a_client_that_closes_when_it_has_everything_is_not_gone(world: World) -> None:
    """Its answer was whole when it left, and usage that comes afterwards is still read."""
    world.models.faults["stable"] = "never ends"
    body = orjson.dumps({"model": APP, "stream": True, "messages": [{"role": "user", "content": "Hi"}]})
    host, port = world.url.removeprefix("http://").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port)), 10) as client:
        client.sendall(head.encode() + body)
        seen = b""
        while b'"finish_reason":"stop"' not in seen:
            seen += client.recv(65536)
    (row,) = world.rows(1)
    assert (row.outcome, row.output_tokens) == ("answered", 10)


def test_an_endpoint_that_refuses_usage_is_asked_without(world: World) -> None:
    """The first time too, and from then on at once: the client never asked for it."""
    world.models.faults["stable"] = "no usage"
    first, second = (world.ask("ann", stream=True) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert [world.row_of(response).attempts for response in (first, second)] == [2, 1]
    assert world.metric("softlaunch_retries_total") == 1.0


def test_a_refused_request_is_not_asked_again_where_usage_is_taken(world: World) -> None:
    """Once a stream with usage was answered, a refusal is the request's own."""
    assert world.ask("ann", stream=True).status_code == 200
    world.models.faults["stable"] = "400"
    assert world.row_of(world.ask("ann", stream=True)).attempts == 1


HASTY = GatewayPolicy(heartbeat=1.0, breaker=NEVER_TRIPS)


@pytest.mark.parametrize(
    ("candidate", "stable", "told"),
    [
        pytest.param("late", "", "I am candidate.", id="it answers after all"),
        pytest.param("late 500", "", "I am stable.", id="stable answers in its place"),
        pytest.param("late 500", "503", '"fault 503"', id="both fail"),
    ],
)
def test_a_stream_is_kept_alive_and_can_still_fall_back(
    ledger_url: str, models: FakeModels, candidate: str, stable: str, told: str
) -> None:
    """Comments after the heartbeat, then whoever can answer; an error comes as an event."""
    with running_world(ledger_url, models, gateway=HASTY) as world, world.watched():
        world.split(100)
        models.faults.update(candidate=candidate, stable=stable)
        response = world.ask("ann", stream=True)
    assert response.status_code == 200
    assert response.text.startswith(": keep-alive\n\n")
    words = "".join(
        orjson.loads(line[6:])["choices"][0]["delta"].get("content", "")
        for line in response.text.splitlines()
        if line.startswith("data: {") and '"choices":[{' in line
    )
    assert told == words or told in response.text


def test_pings_of_the_provider_pass_once_the_stream_is_open(ledger_url: str, models: FakeModels) -> None:
    """Before that they would be the first byte, behind which nobody else can answer."""
    with running_world(ledger_url, models, gateway=HASTY) as world:
        models.faults["stable"] = "pings"
        response = world.ask("ann", stream=True)
    assert response.text.startswith(": keep-alive\n\n")
    assert response.text.endswith("data: [DONE]\n\n")


def test_an_outage_of_the_provider_shows_its_words_and_not_our_account(world: World) -> None:
    """What is meant for the client arrives; what speaks of our key doesn't."""
    world.models.faults["stable"] = "503"
    shown = world.ask("ann")
    world.models.faults["stable"] = "402"
    hidden = world.ask("ann")
    assert (shown.status_code, shown.json()["error"]["message"]) == (503, "fault 503")
    assert hidden.status_code == 502
    assert "fault 402" not in hidden.text
    wait_until(lambda: len(world.rows(outcome="provider_failed")) == 2, "both are logged")
