"""Whoever may ask a server may rate its own calls there, whichever keys the server has."""

from typing import Any

import pytest
from sqlmodel import select

from softlaunch.client import Client, Options
from softlaunch.policy.sources import OtlpPolicy
from softlaunch.store.tables import FeedbackRow
from tests.gateway.worlds import APP, World, running_world
from tests.support.servers import FakeModels, wait_until

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        pytest.param({}, "anything", id="a key that nobody asks for"),
        pytest.param({}, "", id="no key"),
        pytest.param({"client_keys": ("one", "two")}, "two", id="a client's"),
        pytest.param({"client_keys": ("browser",), "config_keys": ("backend",)}, "backend", id="a backend's"),
        pytest.param({"config_keys": ("backend",)}, "backend", id="a backend's, where anybody may chat"),
    ],
)
def test_calls_are_rated(ledger_url: str, models: FakeModels, keys: dict[str, Any], key: str) -> None:
    """The id that the client made is one that the gateway takes."""
    with (
        running_world(ledger_url, models, otlp=OtlpPolicy(), **keys) as world,
        Client(world.url, key=key, options=Options(folder=None)) as client,
    ):
        with client.app(APP).variant(user="ann").call() as call:
            call.answered(finish_reason="stop")
        client.feedback(call.id, thumbs="up")
        wait_until(lambda: _ratings(world) == [1.0], "the rating is in the ledger")


def _ratings(world: World) -> list[float | None]:
    with world.database.read() as session:
        return [row.satisfaction for row in session.exec(select(FeedbackRow)).all()]
