"""The feed that clients evaluate by: what is in it, and when it is news."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
import pytest

from softlaunch.gateway.configuration.contents import content_of
from softlaunch.ledger.routes import read_ledger_id
from softlaunch.policy.units import UnitPolicy
from tests.gateway.worlds import APP, World, variant
from tests.support.servers import wait_until

pytestmark = pytest.mark.long
CONFIG = "/softlaunch/v1/config"


def poll(world: World, etag: str = "", **query: Any) -> httpx.Response:
    """The feed, or 304 where it is still what has this ETag."""
    return world.client.get(CONFIG, params=query, headers={"if-none-match": etag} if etag else {})


def left(response: httpx.Response) -> dict[str, float]:
    """What is left of leases, as an answer's header says."""
    found: dict[str, float] = orjson.loads(response.headers["x-softlaunch-lease-left"])
    return found


def test_everything_that_a_client_evaluates_by(world: World) -> None:
    """Route, salt, unit and both variants; the lease isn't known as long as nobody was seen to watch."""
    world.split(5.0, stage=2, shadow_percent=20.0, only={"values": ["ann"]})
    body = poll(world).json()
    assert (body["format"], body["ledger"]) == (1, read_ledger_id(world.database))
    told = body["apps"][APP]
    assert (told["revision"], told["salt"], told["split"]) == (2, "pepper", "softlaunch")
    assert (told["release_id"], told["stage"], told["lease_left_seconds"]) == ("support-bot-1", 2, None)
    assert (told["weight_percent"], told["shadow_percent"], told["control_percent"]) == (5.0, 20.0, 0.0)
    assert told["unit"] == UnitPolicy().model_dump(mode="json")
    assert told["only"] == {"header": "", "values": ["ann"]}
    assert told["texts_kept"] is False
    assert told["candidate"] == {
        "label": world.candidate.label,
        "digest": world.candidate.digest,
        "content": world.candidate.model_dump(mode="json"),
    }
    assert told["stable"]["digest"] == world.stable.digest


def beat_for_a_while(world: World) -> None:
    """Somebody watches for half a second."""
    for _ in range(5):
        world.beat()
        time.sleep(0.1)


def test_without_a_release_there_is_no_candidate(world: World) -> None:
    """Nor a lease; an app that isn't served is left out."""
    answer = poll(world, app=[APP, "other"])
    assert [*answer.json()["apps"]] == [APP]
    assert answer.json()["apps"][APP]["candidate"] is None
    assert left(answer) == {}


def test_leases_are_renewed_without_a_body(world: World) -> None:
    """304 for as long as nothing changes; the header says what is left of the lease at this server."""
    with world.watched():
        world.split(5.0)
        first = poll(world)
        wait_until(lambda: left(poll(world, first.headers["etag"]))[APP] > 9, "the lease is whole")
        again = poll(world, first.headers["etag"])
        assert again.status_code == 304
        assert not again.content
    time.sleep(0.5)
    assert left(poll(world, first.headers["etag"]))[APP] < 10


def test_a_long_poll_hears_of_a_change_at_once(world: World) -> None:
    """It waits for as long as nothing changes, at most as long as it was asked to."""
    etag = poll(world).headers["etag"]
    began = time.monotonic()
    assert poll(world, etag, wait=0.3).status_code == 304
    assert 0.25 < time.monotonic() - began < 5
    timer = threading.Timer(0.3, lambda: world.split(0.0))
    timer.start()
    began = time.monotonic()
    assert poll(world, etag, wait=30).status_code == 200
    assert time.monotonic() - began < 10
    timer.join()


def test_a_long_poll_is_answered_in_time_for_the_lease(world: World) -> None:
    """After a third of it, however long the client would wait; and at once when somebody begins to watch."""
    world.split(5.0, lease_seconds=1.5)
    etag = poll(world).headers["etag"]
    began = time.monotonic()
    assert poll(world, etag, wait=30).status_code == 304
    assert 0.4 < time.monotonic() - began < 5
    world.split(5.0, lease_seconds=60.0)
    etag = poll(world).headers["etag"]
    beats = threading.Timer(0.2, beat_for_a_while, [world])
    beats.start()
    began = time.monotonic()
    renewed = poll(world, etag, wait=30)
    assert (renewed.status_code, left(renewed)[APP] > 50) == (304, True)
    assert time.monotonic() - began < 10
    beats.join()


@pytest.mark.parametrize("wait", [pytest.param("soon", id="no number"), pytest.param("-1", id="negative")])
def test_how_long_to_wait_must_be_understood(world: World, wait: str) -> None:
    """Anything else is said to be wrong."""
    assert poll(world, wait=wait).status_code == 400


@contextmanager
def listening(world: World) -> Iterator[list[tuple[str, float, Any]]]:
    """The events that come while the block lasts: name, seconds since the beginning, content."""
    heard: list[tuple[str, float, Any]] = []
    over = threading.Event()

    def listen() -> None:
        with httpx.stream("GET", f"{world.url}{CONFIG}/events", timeout=30) as stream:
            name, number = "", 0.0
            for line in stream.iter_lines():
                kind, _, value = line.partition(": ")
                if kind == "id":
                    number = float(value)
                elif kind == "event":
                    name = value
                elif kind == "data":
                    heard.append((name, number, orjson.loads(value)))
                if over.is_set():
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    wait_until(lambda: heard, "the first event has come")
    try:
        yield heard
    finally:
        over.set()


def test_events_tell_everything_and_then_leases(world: World) -> None:
    """The same body at each change, and what is left of the lease each second; when it was written goes with it."""
    with listening(world) as heard, world.watched():
        assert heard[0][2]["apps"][APP]["candidate"] is None
        world.split(5.0)
        wait_until(lambda: [one for one in heard if one[0] == "lease" and one[2].get(APP)], "the lease is told")
        began = len(heard)
        wait_until(lambda: len(heard) >= began + 2, "it is told again")
        (changed,) = [one for one in heard if one[0] == "config"][1:]
        assert changed[2]["apps"][APP]["candidate"]["digest"] == world.candidate.digest
        times = [number for _, number, _ in heard]
        assert times == sorted(times)
        assert times[-1] > times[0]


def test_a_server_that_stops_keeps_nobody_waiting(world: World) -> None:
    """Long polls and streams end, so that it can."""
    etag = poll(world).headers["etag"]
    with listening(world):
        waiting = threading.Thread(target=lambda: poll(world, etag, wait=30), daemon=True)
        waiting.start()
        wait_until(lambda: world.metric("softlaunch_config_waiting") == 2, "both wait")
        began = time.monotonic()
        world.stop()
        assert time.monotonic() - began < 10


def test_no_secret_leaves(models: Any) -> None:
    """Neither one in an endpoint's address nor one in its query; how a key's variable is called may be told."""
    secret = variant("m", "https://user:pass@models.example:8443/v1?api-version=2024&api-key=sk-123")
    content = content_of(secret.model_copy(update={"fallbacks": (secret.model.model_copy(update={"name": "other"}),)}))
    assert content["model"]["endpoint"] == "https://models.example:8443/v1?api-version=2024"
    assert content["fallbacks"][0]["endpoint"] == "https://models.example:8443/v1?api-version=2024"
