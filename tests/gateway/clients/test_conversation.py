"""The same small conversation through the clients that people use, each as its documentation sets it up."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import orjson
import pytest

from softlaunch.core.split import unit_hash
from softlaunch.store.tables import RequestRow
from tests.gateway.clients.programs import curl_client, jdk_client, jdks, node_client
from tests.gateway.clients.python_clients import async_client, sync_client
from tests.gateway.clients.talking_models import RETRY_AFTER, TalkingModels
from tests.gateway.clients.talks import KEY, Answer, Client, Question
from tests.gateway.worlds import World, running_world
from tests.support.servers import running_models, wait_until

pytestmark = pytest.mark.long
Connect = Callable[[str], AbstractContextManager[Client]]
RETRYING: dict[str, Connect] = {
    "openai for Python": sync_client,
    "openai for Python, async": async_client,
    "openai for Node": partial(node_client, "openai"),
    "ai for Node": partial(node_client, "vercel"),
}
PLAIN: dict[str, Connect] = {f"JDK {version}": partial(jdk_client, java) for version, java in jdks().items()}
PLAIN["curl"] = curl_client
NO_JDK = pytest.param(
    None, id="JDK", marks=pytest.mark.skip("no JDK here; on Debian and Ubuntu: apt-get install default-jdk-headless")
)


@dataclass(frozen=True)
class Talk:
    """A client in front of a world; each question comes from a user of its own unless one is named."""

    world: World
    client: Client
    users: Iterator[int]

    def ask(self, fault: str = "", **question: Any) -> tuple[Answer, RequestRow]:
        """What the client hears while the provider has this fault, and the log's row for it."""
        user = f"user-{next(self.users)}"
        self.world.models.faults["stable"] = fault
        answer = self.client.ask(Question(user, **question))
        (row,) = self.world.rows(1, unit=unit_hash(user, "pepper"))
        return answer, row


@pytest.fixture(scope="module")
def shared_world(migrated_file_url: str) -> Iterator[World]:
    """A gateway with a client key in front of a provider of its own."""
    with (
        running_models(TalkingModels()) as models,
        running_world(migrated_file_url, models, client_keys=[KEY]) as world,
    ):
        yield world


@pytest.fixture(scope="module")
def users() -> Iterator[int]:
    """Numbers for users."""
    return count(1)


def of_clients(clients: dict[str, Connect]) -> list[Any]:
    """The clients as parameters."""
    return [pytest.param(connect, id=name) for name, connect in clients.items()]


@pytest.fixture(scope="module", params=[*of_clients(RETRYING), *of_clients(PLAIN), *([] if jdks() else [NO_JDK])])
def client(request: pytest.FixtureRequest, shared_world: World) -> Iterator[Client]:
    """Each of the clients, or a skip that says what to install."""
    with request.param(shared_world.url) as connected:
        yield connected


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The gateway, whose provider has nothing asked yet and no faults."""
    shared_world.models.bodies.clear()
    yield shared_world
    shared_world.models.faults.clear()


@pytest.fixture
def talk(world: World, client: Client, users: Iterator[int]) -> Talk:
    """The client in front of the gateway."""
    return Talk(world, client, users)


def test_a_whole_answer(talk: Talk) -> None:
    """Its text, why it finished, and what it took."""
    answer, row = talk.ask()
    assert answer == Answer("I am stable.", "stop", (100, 10))
    assert row.outcome == "answered"


@pytest.mark.parametrize("usage", [False, True], ids=["usage not asked for", "usage asked for"])
def test_a_stream(talk: Talk, *, usage: bool) -> None:
    """Read to its end it says what the provider said, with the usage for those who asked."""
    answer, row = talk.ask(stream=True, usage=usage)
    assert answer == Answer("I am stable.", "stop", (100, 10) if usage else None)
    assert (row.outcome, row.input_tokens, row.output_tokens) == ("answered", 100, 10)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_tool_call(talk: Talk, *, stream: bool) -> None:
    """The tool's name and its arguments, in one piece or in several."""
    answer, row = talk.ask("tool", tools=True, stream=stream)
    assert (answer.tool_name, orjson.loads(answer.tool_arguments)) == ("weather", {"city": "Oslo"})
    assert (answer.finish_reason, answer.failure) == ("tool_calls", None)
    assert row.outcome == "answered"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_bad_request(talk: Talk, *, stream: bool) -> None:
    """The provider's words as the client's own exception; nobody asks a second time."""
    answer, row = talk.ask("400", stream=stream)
    assert answer.failure is not None
    assert (answer.failure.kind, answer.failure.status) == (talk.client.failures.bad_request, 400)
    assert "fault 400" in answer.failure.message
    assert (row.outcome, talk.world.models.asked("stable")) == ("request_at_fault", 1)


def test_too_many_requests(talk: Talk) -> None:
    """The provider's words, and when to come back."""
    answer, row = talk.ask("busy", retries=0)
    assert answer.failure is not None
    assert (answer.failure.kind, answer.failure.status) == (talk.client.failures.rate_limited, 429)
    assert "Slow down." in answer.failure.message
    assert (answer.failure.retry_after, row.outcome) == (RETRY_AFTER, "rate_limited")


def test_an_error_in_the_midst_of_a_stream(talk: Talk) -> None:
    """What came before it is kept, and the provider's words end it as the client's own exception."""
    answer, row = talk.ask("error event", stream=True)
    assert answer.text == "I "
    assert answer.failure is not None
    assert answer.failure.kind == talk.client.failures.in_a_stream
    assert "overloaded" in answer.failure.message
    assert (row.outcome, talk.world.models.asked("stable")) == ("cut", 1)


def test_a_client_that_closes_once_it_has_everything(talk: Talk) -> None:
    """Whoever closes when the answer has finished has been answered, though the provider's stream goes on."""
    answer, row = talk.ask("open end", stream=True, leave=True)
    assert (answer.text, answer.finish_reason, answer.failure) == ("I am stable.", "stop", None)
    assert row.outcome == "answered"


def test_the_same_user_stays_on_one_arm(talk: Talk) -> None:
    """Whoever was answered by an arm is answered by it again, whole or in a stream."""
    names = [f"user-{next(talk.users)}" for _ in range(8)]
    with talk.world.watched():
        talk.world.split(50)
        arms = {name: talk.client.ask(Question(name)).text for name in names}
        again = {name: talk.client.ask(Question(name, stream=True)).text for name in names}
        talk.world.split(0)
    assert again == arms
    assert set(arms.values()) == {"I am stable.", "I am candidate."}


@pytest.mark.parametrize("client", of_clients(RETRYING), indirect=True)
def test_a_client_that_retries_waits_as_long_as_it_is_told(talk: Talk) -> None:
    """Clients that ask again by themselves find in the answer when to."""
    models = talk.world.models

    def recover() -> None:
        wait_until(lambda: models.asked("stable") == 1, "the client has asked once")
        models.faults.clear()

    recovering = threading.Thread(target=recover)
    recovering.start()
    asked_at = time.monotonic()
    models.faults["stable"] = "busy"
    answer = talk.client.ask(Question(f"user-{next(talk.users)}"))
    recovering.join()
    assert (answer.text, models.asked("stable")) == ("I am stable.", 2)
    assert time.monotonic() - asked_at >= float(RETRY_AFTER)
