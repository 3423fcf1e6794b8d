"""Whom a request is for, and what is said where most requests name nobody."""

import logging
from typing import Any

import orjson
import pytest

from softlaunch.core.split import unit_hash
from softlaunch.gateway.protocols.chat.protocol import ChatCompletions
from softlaunch.gateway.requests import AppRequest
from softlaunch.gateway.units import names_thread, occasion_of, unit_of
from softlaunch.ledger.exposure import read_exposure
from softlaunch.ledger.logged import Logged
from softlaunch.policy.units import UnitPolicy, UnitSource
from tests.gateway.worlds import APP, World, running_world
from tests.support.servers import FakeModels

SAID = [{"role": "system", "content": "s"}, {"role": "user", "content": "Hello"}]
BODY = {"user": "ann", "messages": SAID}
LATER = {"messages": [*SAID, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "More"}]}
NAMED = {
    "user": "ann",
    "safety_identifier": "safe-1",
    "prompt_cache_key": "key-1",
    "metadata": {"user_id": "meta-1"},
    "messages": SAID,
}
BOB = {b"x-user-id": b"bob"}


def without(*names: str) -> dict[str, Any]:
    """A body that names somebody in every other place."""
    return {name: value for name, value in NAMED.items() if name not in names}


@pytest.mark.parametrize(
    ("source", "body", "headers", "unit"),
    [
        pytest.param("user", NAMED, BOB, "ann", id="the body's user"),
        pytest.param("user", {**BODY, "user": None}, BOB, "bob", id="the header where no user is"),
        pytest.param("user", without("user"), {}, "safe-1", id="then safety_identifier"),
        pytest.param("user", without("user", "safety_identifier"), {}, "meta-1", id="then metadata.user_id"),
        pytest.param("user", without("user", "safety_identifier", "metadata"), {}, "key-1", id="then prompt_cache_key"),
        pytest.param("user", {"messages": SAID}, {}, "req", id="then nobody"),
        pytest.param("user", {**BODY, "user": 7}, {}, "req", id="a user that is no text"),
        pytest.param("user", {**BODY, "user": " "}, BOB, "bob", id="a blank user"),
        pytest.param("user", {**BODY, "user": ["a"]}, {}, "req", id="a list"),
        pytest.param("user", {**BODY, "user": "u" * 5_000_000}, {}, "u" * 5_000_000, id="a huge one"),
        pytest.param("user", {"messages": SAID, "metadata": "ann"}, {}, "req", id="metadata that is no object"),
        pytest.param("user", {"messages": SAID, "metadata": {"user_id": 7}}, {}, "req", id="an id that is a number"),
        pytest.param("header", NAMED, BOB, "bob", id="the header"),
        pytest.param("header", NAMED, {}, "ann", id="no header: what the body says"),
        pytest.param("header", {"messages": SAID}, {b"x-user-id": b"\xff"}, "\xff", id="a header of any bytes"),
        pytest.param("header", {"messages": SAID}, {b"x-user-id": "José".encode()}, "José", id="a header in UTF-8"),
        pytest.param("header", {"messages": SAID}, {b"x-user-id": b"Jos\xe9"}, "José", id="the same in Latin-1"),
        pytest.param("safety_identifier", NAMED, BOB, "safe-1", id="the policy's source first"),
        pytest.param("metadata.user_id", NAMED, BOB, "meta-1", id="the same for metadata"),
        pytest.param("prompt_cache_key", NAMED, BOB, "key-1", id="the same for the cache's key"),
        pytest.param("metadata.session_id", {"metadata": {"session_id": "s-1"}}, BOB, "s-1", id="a session"),
        pytest.param("metadata.session_id", NAMED, {}, "ann", id="no session: what else the body says"),
        pytest.param("conversation", {"messages": [{"role": "system"}]}, {}, "req", id="a conversation without a user"),
        pytest.param("conversation", {**BODY, "messages": [{}]}, {}, "ann", id="the same, with a user's name"),
    ],
)
def test_unit_of(source: str, body: dict[str, Any], headers: dict[bytes, bytes], unit: str) -> None:
    """A unit is whom the policy's source names, then the other ones; a request that names nobody is its own."""
    assert unit_of(request(body, headers), UnitPolicy(source=UnitSource(source))) == unit


def test_a_conversation_stays_one_unit_as_it_grows() -> None:
    """The first user message identifies a conversation, not what was said later."""
    policy = UnitPolicy(source=UnitSource.CONVERSATION)
    assert unit_of(request(BODY, request_id="a"), policy) == unit_of(request(LATER, request_id="b"), policy)
    other = {"messages": [{"role": "user", "content": "Something else"}]}
    assert unit_of(request(BODY, request_id="a"), policy) != unit_of(request(other, request_id="a"), policy)


@pytest.mark.parametrize("named", ["conv_1", {"id": "conv_1"}])
def test_a_conversation_that_has_a_name(named: object) -> None:
    """It is one whatever is said in it, written in either way, by any API."""
    policy = UnitPolicy(source=UnitSource.CONVERSATION)
    words = ({"messages": SAID}, {"messages": [{"role": "user", "content": "Other"}]})
    asked = [AppRequest(ChatCompletions(), "req", "a", {**body, "conversation": named}, {}, 1) for body in words]
    (unit,) = {unit_of(request, policy) for request in asked}
    plain = AppRequest(ChatCompletions(), "req", "a", {"messages": SAID, "conversation": "conv_1"}, {}, 1)
    assert unit == unit_of(plain, policy) != "req"


@pytest.mark.parametrize(
    ("policy", "body", "named"),
    [
        pytest.param({"source": "metadata.session_id"}, {"metadata": {"session_id": "s"}}, True, id="a session"),
        pytest.param({"source": "metadata.session_id"}, BODY, False, id="a user in its place"),
        pytest.param({"redraw": "conversation"}, BODY, True, id="a user's conversation"),
        pytest.param({"redraw": "conversation"}, {"user": "ann", "messages": [{}]}, False, id="a user without one"),
    ],
)
def test_which_requests_have_a_thread(policy: dict[str, Any], body: dict[str, Any], *, named: bool) -> None:
    """Only those that say so in the way of the policy."""
    request = AppRequest(ChatCompletions(), "req", "a", {"messages": SAID, **body}, {}, 1)
    assert names_thread(request, UnitPolicy.model_validate({**policy, "pin": "thread"})) is named


def test_a_conversation_of_parts() -> None:
    """Parts are told apart by what they say, not by how their keys are ordered."""
    policy = UnitPolicy(source=UnitSource.CONVERSATION)

    def unit(content: Any) -> str:
        return unit_of(request({"messages": [{"role": "user", "content": content}]}), policy)

    hello, bye = {"type": "text", "text": "Hello"}, {"type": "text", "text": "Bye"}
    assert unit([hello]) == unit([{"text": "Hello", "type": "text"}])
    assert len({unit([hello]), unit([bye]), unit([hello, bye]), unit("Hello"), unit(None)}) == 5


def request(body: dict[str, Any], headers: dict[bytes, bytes] | None = None, request_id: str = "req") -> AppRequest:
    """A request that was read."""
    return AppRequest(ChatCompletions(), request_id, APP, body, headers or {}, 0)


def test_an_epoch_is_the_same_for_everybody() -> None:
    """It goes by the clock, so that gateways agree; a request that names nobody has none."""
    policy = UnitPolicy(redraw="30 min")
    epochs = [occasion_of(request(BODY), "ann", policy, now) for now in (0.0, 1799.9, 1800.0, 1_772_366_400.0)]
    assert epochs == ["0", "0", "1", "984648"]
    assert occasion_of(request(BODY), "req", policy, 0.0) is None
    assert occasion_of(request(BODY), "ann", UnitPolicy(), 0.0) is None


def test_a_conversation_is_an_occasion_of_its_user() -> None:
    """As long as it goes on; where nothing was said by a user there is none."""
    policy = UnitPolicy(redraw="conversation")
    begun, later = (occasion_of(request(body), "ann", policy, 0.0) for body in (BODY, LATER))
    other = {"messages": [{"role": "user", "content": "Something else"}]}
    assert begun == later
    assert begun not in {None, occasion_of(request(other), "ann", policy, 0.0)}
    assert occasion_of(request({"messages": [{"role": "system"}]}), "ann", policy, 0.0) is None


@pytest.mark.parametrize("depth", [10, 250, 260, 1000, 1020])
def test_a_conversation_of_any_depth(depth: int) -> None:
    """What is nested too deeply to be passed on is no conversation, and no error either."""
    content = orjson.loads("[" * depth + "]" * depth) if depth < 1000 else nested(depth)
    body = {"messages": [{"role": "user", "content": content}]}
    unit = unit_of(request(body), UnitPolicy(source=UnitSource.CONVERSATION))
    assert (unit == "req") is (depth > 254)


def nested(depth: int) -> list[Any]:
    """So many lists in each other."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_requests_that_name_nobody_are_counted_and_said_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The metric counts them; the log says it after a hundred requests, if it is more than half of them."""
    with caplog.at_level(logging.WARNING, "softlaunch.gateway.units"):
        for number in range(105):
            assert world.ask("ann" if number < 40 else None).is_success
    assert world.metric("softlaunch_requests_unnamed_total") == 65
    (record,) = [record for record in caplog.records if record.name == "softlaunch.gateway.units"]
    assert record.getMessage().startswith(f"60 of the first 100 requests of {APP} name no user")


def test_arms_are_drawn_afresh_in_every_conversation(ledger_url: str, models: FakeModels) -> None:
    """The log's unit is the user in this conversation, and who was exposed to the candidate is counted by users."""
    with running_world(ledger_url, models, unit=UnitPolicy(redraw="conversation")) as world, world.watched():
        world.split(50)
        for number in [*range(20), *range(20)]:
            assert world.ask("ann", messages=[{"role": "user", "content": f"Question {number}"}]).is_success
        rows = world.rows(40)
        with world.database.read() as session:
            met = read_exposure(session, Logged("support-bot-1"))
    arms = {unit: {row.arm for row in rows if row.unit == unit} for unit in {row.unit for row in rows}}
    assert len(arms) == 20
    assert all(len(seen) == 1 for seen in arms.values())
    assert {arm for seen in arms.values() for arm in seen} == {"stable", "candidate"}
    assert {row.named_unit for row in rows} == {unit_hash("ann", "pepper")}
    assert (met.units, met.all_units, met.all_requests) == (1, 1, 40)
