"""Threads of responses: they stay where they began, whatever becomes of the split."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import update

from softlaunch.core.variant import Variant
from softlaunch.gateway.threads import mark_of, marked
from softlaunch.policy.units import OldThreads, UnitPolicy
from softlaunch.store.tables import RouteRow
from tests.gateway.protocols.recorded_provider import RecordedProvider, recorded_provider
from tests.gateway.protocols.test_responses import RESPONSE, STREAM, event
from tests.gateway.worlds import APP, World, running_world, variant
from tests.support.servers import FakeModels, wait_until

PATH = "/v1/responses"


def response(own: str, **change: Any) -> dict[str, Any]:
    """A response with an id of the provider's."""
    return {**RESPONSE, "id": own, **change}


@pytest.fixture
def provider() -> Iterator[RecordedProvider]:
    """A provider of both arms, whose answers tell them apart by their ids."""
    with recorded_provider() as running:
        running.answer_with(response("resp_of_stable"), model="stable")
        running.answer_with(response("resp_of_candidate"), model="candidate")
        running.answer_with(response("resp_of_candidate"))
        yield running


@contextmanager
def world_of(url: str, models: FakeModels, provider: RecordedProvider, **options: Any) -> Iterator[World]:
    """An app on this provider."""
    stable, candidate = (variant(name, provider.endpoint, "You help.") for name in ("stable", "candidate"))
    with running_world(url, models, stable=stable, candidate=candidate, **options) as world:
        yield world


@pytest.fixture
def world(ledger_url: str, models: FakeModels, provider: RecordedProvider) -> Iterator[World]:
    """The same, with nothing said about threads."""
    with world_of(ledger_url, models, provider) as running:
        yield running


def ask(world: World, user: str = "ann", headers: Mapping[str, str] | None = None, **fields: Any) -> httpx.Response:
    """One request of a user."""
    body = {"model": APP, "user": user, "input": "Hi", **fields}
    return world.client.post(PATH, json=body, headers=dict(headers or {}))


def test_a_response_comes_through_with_an_id_of_the_gateways(world: World, provider: RecordedProvider) -> None:
    """Everything else is as the provider sent it; the log has tokens and outcome."""
    answer = ask(world)
    known = answer.json()["id"]
    mark = mark_of(known)
    assert mark is not None
    assert (mark.own, mark.short, mark.app) == ("resp_of_stable", world.stable.short, APP)
    assert answer.content == orjson.dumps(response(known))
    assert provider.asked[0].path == PATH
    row = world.row_of(answer)
    assert (row.outcome, row.input_tokens, row.output_tokens, row.cached_tokens) == ("answered", 100, 10, 40)


def test_what_is_not_stored_keeps_its_id(world: World) -> None:
    """Nobody can continue it."""
    assert ask(world, store=False).json()["id"] == "resp_of_stable"


def test_a_stream_has_the_same_id_in_each_of_its_events(world: World, provider: RecordedProvider) -> None:
    """Byte for byte apart from it."""
    provider.stream(STREAM, model="stable")
    answer = ask(world, stream=True)
    own = b"resp_0123456789abcdef"
    assert own + b'"' not in answer.content
    known = orjson.loads(answer.content.split(b"\n")[1][6:])["response"]["id"]
    assert answer.content.replace(known.encode(), own) == STREAM
    assert world.row_of(answer).outcome == "answered"


def test_a_thread_of_the_candidate_goes_on_there(world: World, provider: RecordedProvider) -> None:
    """Its provider has it: while the candidate has its share, with none, and after a rollback; as no evidence then."""
    with world.watched():
        world.split(100.0)
        begun = ask(world)
        assert begun.headers["x-softlaunch-arm"] == "candidate"
        thread = begun.json()["id"]
        going_on = ask(world, previous_response_id=thread)
        assert going_on.headers["x-softlaunch-arm"] == "candidate"
        assert provider.asked[-1].body["previous_response_id"] == "resp_of_candidate"
        world.split(0.0)
        assert ask(world).headers["x-softlaunch-arm"] == "stable"
        without_share = ask(world, previous_response_id=thread)
        assert without_share.headers["x-softlaunch-arm"] == "candidate"
    world.split(0.0, candidate_digest=None, release_id=None)
    after = ask(world, previous_response_id=thread)
    assert (after.status_code, provider.asked[-1].body["model"]) == (200, "candidate")
    assert world.row_of(going_on).release_id == "support-bot-1"
    for late in (without_share, after):
        row = world.row_of(late)
        assert (row.release_id, row.variant_digest) == (None, world.candidate.digest)


def test_a_thread_of_stable_never_moves(world: World, provider: RecordedProvider) -> None:
    """Not even where its user gets the candidate by now, and it isn't copied to where nobody knows it."""
    thread = ask(world).json()["id"]
    with world.watched():
        world.split(100.0, control_percent=100.0)
        answer = ask(world, previous_response_id=thread)
        assert answer.headers["x-softlaunch-arm"] == "stable"
        assert ask(world).headers["x-softlaunch-arm"] == "candidate"
    assert (world.row_of(answer).release_id, provider.asked[1].body["model"]) == (None, "stable")
    assert world.rows(mirrored=True, request_id=answer.headers["x-softlaunch-request-id"]) == []


def test_a_thread_can_not_fall_back(world: World, provider: RecordedProvider) -> None:
    """Stable doesn't know it: the client sees what the candidate's provider said."""
    with world.watched():
        world.split(100.0)
        thread = ask(world).json()["id"]
        provider.answer_with({"error": {"message": "down", "type": "server_error"}}, model="candidate", status=500)
        answer = ask(world, previous_response_id=thread)
    assert answer.status_code == 500
    assert [asked.body["model"] for asked in provider.asked] == ["candidate", "candidate"]


def test_a_policy_that_ends_old_threads(ledger_url: str, models: FakeModels, provider: RecordedProvider) -> None:
    """The client is told to begin anew."""
    with world_of(ledger_url, models, provider, unit=UnitPolicy(threads=OldThreads.END)) as world:
        with world.watched():
            world.split(100.0)
            thread = ask(world).json()["id"]
            assert ask(world, previous_response_id=thread).status_code == 200
        world.split(0.0, candidate_digest=None, release_id=None)
        answer = ask(world, previous_response_id=thread)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "thread_ended")
        assert world.client.get(f"{PATH}/{thread}").status_code == 200


def test_a_gateway_that_never_saw_the_variant_looks_it_up(ledger_url: str, models: FakeModels) -> None:
    """Any gateway on the ledger knows where a thread belongs."""
    with recorded_provider() as provider:
        provider.answer_with(response("resp_of_candidate"))
        with world_of(ledger_url, models, provider) as world:
            salt = "pepper"
            thread = marked("resp_of_candidate", world.candidate.short, APP, salt, b"")
            answer = ask(world, previous_response_id=thread)
            assert (answer.status_code, provider.asked[0].body["model"]) == (200, "candidate")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda known: known.replace("of_stable", "of_nobody"), id="another response"),
        pytest.param(lambda known: known.replace("_sl", "_sl0", 1)[:-1], id="another variant"),
        pytest.param(lambda known: known.replace("-support-bot", "-other-bot"), id="another app"),
    ],
)
def test_an_id_that_was_made_up(world: World, change: Any) -> None:
    """Nobody can name a place that a gateway never gave."""
    known = change(ask(world).json()["id"])
    answer = ask(world, previous_response_id=known)
    if mark_of(known) is None:
        assert answer.status_code == 200  # the provider's own id, as far as a gateway can tell
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "previous_response_not_found")


def test_a_thread_is_its_keys(ledger_url: str, models: FakeModels, provider: RecordedProvider) -> None:
    """Another client can neither continue nor read it."""
    with world_of(ledger_url, models, provider, client_keys=["one", "two"]) as world:
        thread = ask(world, headers={"Authorization": "Bearer one"}).json()["id"]
        theirs = {"Authorization": "Bearer two"}
        assert ask(world, previous_response_id=thread, headers=theirs).status_code == 404
        assert world.client.get(f"{PATH}/{thread}", headers=theirs).status_code == 404


def test_stored_responses_are_read_where_they_are(world: World, provider: RecordedProvider) -> None:
    """By the client's id; what they continue has the client's id too."""
    thread = ask(world).json()["id"]
    provider.answer_with(response("resp_of_stable", previous_response_id="resp_before"))
    read = world.client.get(f"{PATH}/{thread}", params={"include[]": "x"})
    assert (read.status_code, read.json()["id"]) == (200, thread)
    before = mark_of(read.json()["previous_response_id"])
    assert before is not None
    assert before.own == "resp_before"
    world.client.delete(f"{PATH}/{thread}")
    world.client.post(f"{PATH}/{thread}/cancel")
    world.client.get(f"{PATH}/{thread}/input_items", params={"limit": "5"})
    own = f"{PATH}/resp_of_stable"
    assert [(one.method, one.path) for one in provider.asked[1:]] == [
        ("GET", f"{own}?include%5B%5D=x"),
        ("DELETE", own),
        ("POST", f"{own}/cancel"),
        ("GET", f"{own}/input_items?limit=5"),
    ]
    assert len(world.rows(1)) == 1


@pytest.mark.parametrize(
    ("method", "below", "status"), [("PUT", "", 405), ("GET", "/cancel", 405), ("GET", "/else", 404), ("GET", "", 404)]
)
def test_what_there_is_not(world: World, method: str, below: str, status: int) -> None:
    """A path or an id that isn't known."""
    known = "resp_unknown" if (method, below) == ("GET", "") else ask(world).json()["id"]
    assert world.client.request(method, f"{PATH}/{known}{below}").status_code == status


def test_a_response_in_the_background_is_judged_when_it_is_there(world: World, provider: RecordedProvider) -> None:
    """Its row has the latency and the usage of the answer, and not of the promise of one."""
    queued = response("resp_later", status="queued", output=[], usage=None)
    provider.answer_with(queued, model="stable")
    provider.answer_with(queued)
    answer = ask(world, background=True)
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    wait_until(lambda: len(provider.asked) >= 2, "the gateway asks how far it is")
    assert world.rows() == []
    provider.answer_with(response("resp_later"))
    row = world.row_of(answer)
    assert (row.outcome, row.input_tokens, row.output_tokens) == ("answered", 100, 10)
    assert row.latency_ms > 500


def test_a_response_in_the_background_that_fails(world: World, provider: RecordedProvider) -> None:
    """It is the arm's failure, though the client got a promise."""
    provider.answer_with(response("resp_later", status="queued", output=[]), model="stable")
    error = {"code": "server_error", "message": "x"}
    provider.answer_with(response("resp_later", status="failed", output=[], error=error))
    assert world.row_of(ask(world, background=True)).outcome == "provider_failed"


def test_a_provider_that_is_away_for_a_moment(world: World, provider: RecordedProvider) -> None:
    """It still works on the answer: one poll that fails is no failure of the arm."""
    provider.answer_with(response("resp_later", status="queued", output=[]), model="stable")
    provider.answer_with({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, status=429)
    answer = ask(world, background=True)
    wait_until(lambda: len(provider.asked) >= 2, "the gateway asks how far it is")
    provider.answer_with(response("resp_later"))
    assert world.row_of(answer).outcome == "answered"


def test_an_endpoint_whose_host_can_not_be(ledger_url: str, models: FakeModels) -> None:
    """The client gets an error of its protocol, and the log a row."""
    stable = variant("stable", "http://exa mple/v1")
    with running_world(ledger_url, models, stable=stable) as world:
        answer = ask(world)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "connect")
        assert world.row_of(answer).outcome == "connect"


def test_a_stored_stream_is_read_event_by_event(world: World, provider: RecordedProvider) -> None:
    """With the client's id."""
    thread = ask(world).json()["id"]
    provider.stream(event("response.created", response=response("resp_of_stable")))
    read = world.client.get(f"{PATH}/{thread}", params={"stream": "true"})
    assert read.content == event("response.created", response=response(thread))


def test_beats_are_no_matter(world: World) -> None:
    """A route that changes while a thread goes on doesn't disturb it."""
    thread = ask(world).json()["id"]
    with world.database.begin() as session:
        session.execute(update(RouteRow).values(revision=RouteRow.revision + 1))
    assert ask(world, previous_response_id=thread).status_code == 200


@contextmanager
def world_with_a_spare(url: str, models: FakeModels, provider: RecordedProvider) -> Iterator[World]:
    """Stable has a fallback model and its own model is down."""
    stable = variant("stable", provider.endpoint)
    spare = variant("spare", provider.endpoint, headers={"x-model": "spare"}).model
    stable = Variant(prompt=stable.prompt, model=stable.model, fallbacks=(spare,))
    provider.answer_with({"error": {"message": "down"}}, model="stable", status=500)
    provider.answer_with(response("resp_of_spare"), model="spare")
    with running_world(url, models, stable=stable) as world:
        yield world


def test_a_conversation_that_a_fallback_began_stays_on_it(
    ledger_url: str, models: FakeModels, provider: RecordedProvider
) -> None:
    """Its provider alone has it, so that the variant's own model isn't asked, even when it answers again."""
    with world_with_a_spare(ledger_url, models, provider) as world:
        first = ask(world)
        known = first.json()["id"]
        mark = mark_of(known)
        assert mark is not None
        assert (mark.own, mark.short) == ("resp_of_spare", f"{world.stable.short}x1")
        provider.answer_with(response("resp_of_stable"), model="stable")
        second = ask(world, previous_response_id=known)
        third = ask(world, previous_response_id=second.json()["id"])
        rows = [world.row_of(one) for one in (first, second, third)]
        read = world.client.get(f"{PATH}/{known}")
    assert [asked.body["model"] for asked in provider.asked if asked.content] == ["stable", "spare", "spare", "spare"]
    assert provider.asked[2].body["previous_response_id"] == "resp_of_spare"
    assert [(row.variant_digest, row.answered_by, row.outcome) for row in rows] == [
        (world.stable.digest, "spare", "answered")
    ] * 3
    assert read.status_code == 200


def test_a_place_that_no_fallback_has_is_unknown(
    ledger_url: str, models: FakeModels, provider: RecordedProvider
) -> None:
    """The seal covers the place, and a variant has only so many."""
    with world_with_a_spare(ledger_url, models, provider) as world:
        known = ask(world).json()["id"]
        assert ask(world, previous_response_id=known.replace("x1", "x2", 1)).status_code == 404
        beyond = marked("resp_of_spare", f"{world.stable.short}x2", APP, "pepper", b"")
        assert ask(world, previous_response_id=beyond).status_code == 404


def test_a_fallback_that_works_in_the_background_is_asked_how_far_it_is(
    ledger_url: str, models: FakeModels, provider: RecordedProvider
) -> None:
    """The row is its answer's; nobody else has it."""
    with world_with_a_spare(ledger_url, models, provider) as world:
        provider.answer_with(response("resp_later", status="queued", output=[], usage=None), model="spare")
        provider.answer_with(response("resp_later"))
        row = world.row_of(ask(world, background=True))
    assert (row.outcome, row.answered_by, row.input_tokens, row.attempts) == ("answered", "spare", 100, 2)
    assert (provider.asked[-1].method, provider.asked[-1].headers["x-model"]) == ("GET", "spare")
