"""OpenFeature's own SDKs with their OFREP providers, unchanged."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from softlaunch.policy.units import UnitPolicy
from tests.gateway.clients.programs import HERE
from tests.gateway.configuration.servers import running_config_server
from tests.gateway.worlds import APP, World, running_world
from tests.support.servers import FakeModels, wait_until

pytestmark = pytest.mark.long

KEY = "client-key"
USERS = [f"user-{number}" for number in range(30)]


@contextmanager
def serving(ledger_url: str, models: FakeModels, **options: Any) -> Iterator[tuple[World, str]]:
    """A gateway and a config server on one ledger."""
    with running_world(ledger_url, models, client_keys=(KEY,), **options) as world:
        world.client.headers["authorization"] = f"Bearer {KEY}"
        with running_config_server(ledger_url, client_keys=(KEY,)) as url:
            yield world, url


def follow(world: World, url: str) -> None:
    """Wait until the config server shows the candidate to those whose turn it is."""

    def is_split() -> bool:
        asked = {"context": {"targetingKey": "x"}}
        answer = world.client.post(f"{url}/ofrep/v1/evaluate/flags/{APP}", json=asked).json()
        return bool(answer["reason"] == "SPLIT")

    wait_until(is_split, "the config server follows")


@pytest.fixture
def python_client(ledger_url: str, models: FakeModels) -> Iterator[tuple[World, str, Any]]:
    """The SDK for Python, with its provider."""
    with serving(ledger_url, models) as (world, url):
        api.set_provider(OFREPProvider(url, headers_factory=lambda: {"Authorization": f"Bearer {KEY}"}, timeout=20))
        yield world, url, api.get_client()
        api.clear_providers()


def test_python_evaluates(python_client: tuple[World, str, Any]) -> None:
    """The same users have the candidate as at the gateway; what a flag's metadata says, the SDK hands on."""
    world, url, client = python_client
    with world.watched():
        world.split(50.0, stage=1)
        follow(world, url)
        found = [client.get_object_details(APP, {}, EvaluationContext(user)) for user in USERS]
        served = [world.ask(user).headers["x-softlaunch-arm"] for user in USERS]
    assert [one.flag_metadata["arm"] for one in found] == served
    assert {"stable", "candidate"} == {*served}
    assert {one.value["model"]["model"] for one in found} == {"stable", "candidate"}
    assert {one.reason for one in found} == {"SPLIT"}


def test_python_is_told_what_is_wrong(python_client: tuple[World, str, Any]) -> None:
    """It falls back on the application's default, and says why."""
    _, url, client = python_client
    nobody = client.get_object_details(APP, {"mine": 1}, EvaluationContext())
    assert (nobody.value, nobody.error_code) == ({"mine": 1}, ErrorCode.TARGETING_KEY_MISSING)
    other = client.get_object_details("other", {}, EvaluationContext("ann"))
    assert other.error_code == ErrorCode.FLAG_NOT_FOUND
    assert APP in other.error_message
    text = client.get_string_details(APP, "mine", EvaluationContext("ann"))
    assert text.error_code == ErrorCode.TYPE_MISMATCH
    api.set_provider(OFREPProvider(url, timeout=20))
    assert client.get_object_details(APP, {}, EvaluationContext("ann")).error_code == ErrorCode.GENERAL


@contextmanager
def node(url: str) -> Iterator[Any]:
    """The packages for Node: a function that asks them, or a skip that says what to install."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed; on Debian and Ubuntu: apt-get install nodejs npm")
    if not (HERE / "node_modules" / "@openfeature").exists():
        pytest.skip("the clients for Node are not installed; run: make clients")
    command = ["node", str(HERE / "openfeature_client.mjs"), url, KEY, APP]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        into, out = program.stdin, program.stdout
        assert into is not None
        assert out is not None

        def ask(**question: Any) -> dict[str, Any]:
            into.write(orjson.dumps(question) + b"\n")
            into.flush()
            answer: dict[str, Any] = orjson.loads(out.readline())
            return answer

        yield ask
        into.close()


def test_node_evaluates(ledger_url: str, models: FakeModels) -> None:
    """The server's SDK flag by flag; the browser's all at once, and again when an event tells of a change."""
    with serving(ledger_url, models) as (world, url), node(url) as ask:
        first = ask(ask="browser", user="ann")
        assert (first["variant"], first["reason"]) == (world.stable.short, "STATIC")
        with world.watched():
            world.split(100.0)
            follow(world, url)
            wait_until(lambda: ask(ask="browser again")["variant"] == world.candidate.short, "the browser is told")
            world.split(50.0)
            wait_until(lambda: ask(ask="server", user="ann")["flagMetadata"]["revision"] == 3, "it follows")
            told = [ask(ask="server", user=user)["flagMetadata"]["arm"] for user in USERS]
            assert told == [world.ask(user).headers["x-softlaunch-arm"] for user in USERS]
        wait_until(
            lambda: ask(ask="browser again")["reason"] == "STATIC", "nobody watches, and the browser is told", 20
        )
        assert ask(ask="server", user="")["errorCode"] == "TARGETING_KEY_MISSING"
        assert ask(ask="server", user="ann", flag="other")["errorCode"] == "FLAG_NOT_FOUND"


def test_signed_units_are_the_key_holder_s(ledger_url: str, models: FakeModels) -> None:
    """Who has a key is a backend, and names whom it asks for."""
    unit = UnitPolicy(signed_by="SECRET")
    with serving(ledger_url, models, unit=unit, environment={"SECRET": "s"}) as (world, url):
        asked = {"context": {"targetingKey": "ann"}}
        assert world.client.post(f"{url}/ofrep/v1/evaluate/flags/{APP}", json=asked).status_code == 200
