"""What tests of the client share: a server on command, and clients that keep nothing unless they are told where."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from softlaunch.client import Client, Options
from tests.support.config_server import ConfigServer, running_config_server

MakeClient = Callable[..., Client]


@pytest.fixture
def server() -> Iterator[ConfigServer]:
    """A server that serves one app, stable alone."""
    with running_config_server() as running:
        yield running


@pytest.fixture
def make_client(server: ConfigServer) -> Iterator[MakeClient]:
    """Makes clients of the server, which are closed at the end."""
    made: list[Client] = []

    def make(url: str = "", key: str = "my-key", **options: Any) -> Client:
        made.append(Client(url or server.url, key, options=Options(**{"folder": None, "exit_seconds": 0.2, **options})))
        return made[-1]

    yield make
    for client in made:
        client.close()
