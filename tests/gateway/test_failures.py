"""Providers that fail: what users see, what the log says, and when the breaker trips."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from softlaunch.policy.gateway import BreakerPolicy, GatewayPolicy
from tests.gateway.worlds import APP, NEVER_TRIPS, QUICK, World, arm_of, ask_many, running_world, variant
from tests.support.servers import FakeModels, forgetful_provider, wait_until

HASTY = GatewayPolicy(timeout=2.0, breaker=NEVER_TRIPS)
FAULTS_BEFORE_THE_FIRST_BYTE = [
    pytest.param("500", "provider_failed", 500, id="an error of the server"),
    pytest.param("429", "rate_limited", 429, id="too many requests"),
    pytest.param("401", "provider_failed", 502, id="our key is refused"),
    pytest.param("404", "provider_failed", 502, id="our model is unknown"),
    pytest.param("drop", "connect", 502, id="a dropped connection"),
    pytest.param("hang", "total_timeout", 504, id="no answer in time"),
    pytest.param("html", "malformed", 502, id="a web page"),
    pytest.param("empty", "malformed", 502, id="an empty object"),
]


@pytest.fixture(scope="module")
def shared_plain(migrated_file_url: str, shared_models: FakeModels) -> Iterator[World]:
    """A gateway without a release that gives its provider two seconds."""
    with running_world(migrated_file_url, shared_models, gateway=HASTY) as world:
        yield world


@pytest.fixture(scope="module")
def shared_canary(
    migrated_file: Path, tmp_path_factory: pytest.TempPathFactory, shared_models: FakeModels
) -> Iterator[World]:
    """A gateway whose candidate serves everybody, and whose watcher lives."""
    path = shutil.copy(migrated_file, tmp_path_factory.mktemp("canary") / "ledger.db")
    with running_world(f"sqlite:///{path}", shared_models, gateway=HASTY) as world, world.watched():
        world.split(100)
        yield world


@pytest.fixture
def plain(shared_plain: World, models: FakeModels) -> World:
    """The gateway without a release; the provider has no faults yet."""
    return shared_plain


@pytest.fixture
def canary(shared_canary: World, models: FakeModels) -> World:
    """The gateway with a canary; the provider has no faults yet."""
    return shared_canary


@pytest.mark.parametrize(("fault", "error", "status"), FAULTS_BEFORE_THE_FIRST_BYTE)
@pytest.mark.parametrize("stream", [pytest.param(False, id="whole"), pytest.param(True, id="streamed")])
def test_users_do_not_see_a_candidate_that_fails(
    canary: World, fault: str, error: str, status: int, *, stream: bool
) -> None:
    """Stable answers in its place, and the one row that is logged is the candidate's failure."""
    canary.models.faults["candidate"] = fault
    response = canary.ask("ann", stream=stream)
    row = canary.row_of(response)
    assert response.status_code == 200
    assert "stable" in response.text
    assert response.headers["x-softlaunch-arm"] == "stable"
    assert response.headers["x-softlaunch-variant"] == canary.stable.short
    if stream and error == "total_timeout":
        error = "first_token_timeout"
    assert (row.arm, row.outcome, row.status, row.fell_back) == ("candidate", error, status, True)
    assert row.variant_digest == canary.candidate.digest


def test_a_refusal_by_the_candidate_alone_is_its_failure(canary: World) -> None:
    """A 400 that stable wouldn't have given is the candidate's doing, one that both give is the client's."""
    canary.models.faults["candidate"] = "400"
    alone = canary.ask("ann")
    canary.models.faults["stable"] = "400"
    both = canary.ask("ann")
    assert (alone.status_code, both.status_code) == (200, 400)
    first, second = canary.row_of(alone), canary.row_of(both)
    assert (first.outcome, first.fell_back) == ("request_at_fault", True)
    assert (second.outcome, second.fell_back) == ("request_at_fault", False)


def test_a_prompt_that_only_the_candidate_cannot_render_is_its_failure(ledger_url: str, models: FakeModels) -> None:
    """A candidate that needs a variable nobody sends is caught like any other failure."""
    needy = variant("candidate", models.endpoint, prompt="You help {{ name }}.")
    with running_world(ledger_url, models, gateway=HASTY, candidate=needy) as world, world.watched():
        world.split(100)
        response = world.ask("ann")
        row = world.row_of(response)
    assert response.status_code == 200
    assert (row.arm, row.outcome, row.fell_back) == ("candidate", "request_at_fault", True)


def test_a_redirect_is_not_followed(canary: World) -> None:
    """Prompt and key stay with the endpoint that the variant names, wherever that points to."""
    canary.models.faults["candidate"] = "307"
    response = canary.ask("ann")
    row = canary.row_of(response)
    assert canary.models.asked("candidate") == 1
    assert (response.status_code, arm_of(response)) == (200, "stable")
    assert (row.arm, row.outcome, row.status) == ("candidate", "provider_failed", 502)


def test_a_document_where_a_stream_was_asked_is_malformed(canary: World) -> None:
    """No client that reads events could read it: stable answers in the candidate's place, or the client is told."""
    canary.models.faults["candidate"] = "document"
    response = canary.ask("ann", stream=True)
    row = canary.row_of(response)
    canary.models.faults["stable"] = "document"
    both = canary.ask("ann", stream=True)
    assert (response.status_code, arm_of(response)) == (200, "stable")
    assert (row.arm, row.outcome, row.fell_back) == ("candidate", "malformed", True)
    assert both.status_code == 502
    assert "was asked for a stream and sent a single document" in both.json()["error"]["message"]


def test_a_stream_that_has_begun_is_not_begun_again(canary: World) -> None:
    """After the first byte there is no way back: the client hears of the failure, and the candidate's row has it."""
    canary.models.faults["candidate"] = "cut"
    response = canary.ask("ann", stream=True)
    row = canary.row_of(response)
    assert response.headers["x-softlaunch-arm"] == "candidate"
    assert "ended before its answer did" in response.text
    assert (row.arm, row.outcome, row.fell_back) == ("candidate", "cut", False)


def test_a_policy_without_fallback_shows_the_failure(ledger_url: str, models: FakeModels) -> None:
    """Whoever wants to see a candidate's failures gets them."""
    policy = GatewayPolicy(timeout=30.0, breaker=NEVER_TRIPS, fallback=False)
    with running_world(ledger_url, models, gateway=policy) as world, world.watched():
        world.split(100)
        models.faults["candidate"] = "500"
        response = world.ask("ann")
        row = world.row_of(response)
    assert (response.status_code, response.headers["x-softlaunch-arm"]) == (500, "candidate")
    assert (row.outcome, row.fell_back) == ("provider_failed", False)
    assert models.asked("stable") == 0


@pytest.mark.parametrize(("fault", "error", "status"), FAULTS_BEFORE_THE_FIRST_BYTE)
def test_stable_failures_reach_the_client(plain: World, fault: str, error: str, status: int) -> None:
    """Where there is nothing to fall back on, the client learns what happened, and when to come back."""
    plain.models.faults["stable"] = fault
    response = plain.ask("ann")
    row = plain.row_of(response)
    assert (response.status_code, row.status, row.outcome, row.fell_back) == (status, status, error, False)
    assert response.json()["error"]["message"]
    assert response.headers.get("retry-after") == ("7" if fault.isdigit() else None)


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param("cut", "cut", id="it ends early"),
        pytest.param("drop", "connect", id="the connection breaks before it begins"),
        pytest.param("stall", "total_timeout", id="it stalls"),
        pytest.param("no json", "malformed", id="an event is broken"),
        pytest.param("error event", "cut", id="it reports an error"),
    ],
)
def test_a_stream_that_breaks_says_so(plain: World, fault: str, error: str) -> None:
    """What was good is passed on, then an error event: the client isn't left to guess."""
    plain.models.faults["stable"] = fault
    response = plain.ask("ann", stream=True)
    row = plain.row_of(response)
    assert (row.outcome, row.streamed) == (error, True)
    if fault == "drop":
        assert response.status_code == 502
    else:
        assert '"content":"I "' in response.text
        assert '"error"' in response.text
        assert "{broken" not in response.text


def test_connections_that_died_while_idle_cost_no_answer(ledger_url: str, models: FakeModels) -> None:
    """A provider that restarts closes all the connections of the pool at once: a request gets a fresh one."""
    with forgetful_provider() as endpoint:
        stable = variant("stable", endpoint)
        with running_world(ledger_url, models, stable=stable) as world:
            ask_many(world, [f"user-{number}" for number in range(3)])
            assert world.ask("ann").status_code == 200


def test_a_client_that_leaves_costs_no_more(plain: World) -> None:
    """The provider's connection is closed, and the row says that it was nobody's fault."""
    plain.models.faults["stable"] = "hang"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{plain.url}/v1/chat/completions",
            json={"model": APP, "messages": [{"role": "user", "content": "Hi"}]},
            timeout=0.15,
            verify=False,
        )
    (row,) = plain.rows(1, status=499, streamed=False)
    assert (row.outcome, row.arm) == ("client_gone", "stable")
    wait_until(lambda: plain.models.under_way["stable"] == 0, "the provider is left alone")


def test_a_client_that_leaves_a_stream(plain: World) -> None:
    """A stream nobody reads is stopped too."""
    plain.models.faults["stable"] = "stall"
    body = {"model": APP, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    with plain.client.stream("POST", "/v1/chat/completions", json=body) as response:
        next(response.iter_bytes())
    assert plain.row_of(response).outcome == "client_gone"


@pytest.mark.parametrize(
    "fault",
    [pytest.param("500", id="an error of the server"), pytest.param("400", id="a refusal of what stable answers")],
)
def test_the_breaker_stops_a_massive_failure(ledger_url: str, models: FakeModels, fault: str) -> None:
    """After a handful of failures the candidate gets nothing more, nobody saw one, and the ledger knows why."""
    policy = GatewayPolicy(timeout=30.0, breaker=BreakerPolicy(window=60, minimum_requests=10, failed_percent=50))
    with running_world(ledger_url, models, gateway=policy) as world, world.watched():
        world.split(100, shadow_percent=100, control_percent=100)
        models.faults["candidate"] = fault
        responses = [world.ask(str(number)) for number in range(40)]
        asked = models.asked("candidate")
        world.ask("ann")
        wait_until(lambda: world.ask_database("select 1 from breaker_trips"), "the trip is written")
        (trip,) = world.ask_database("select app, release_id, route_revision, reason from breaker_trips")
        assert world.metric("softlaunch_breaker_tripped") == 1.0
    assert {response.status_code for response in responses} == {200}
    assert models.asked("candidate") == asked == 10
    assert tuple(trip) == (
        APP,
        "support-bot-1",
        2,
        "10 of the candidate's last 10 answers within 60 s failed, 0 of stable's 10",
    )


def test_a_copy_that_stopping_cuts_short_is_counted_as_lost(ledger_url: str, models: FakeModels) -> None:
    """It ends without a row, and gates see a gap in the log, not nothing."""
    with (
        running_world(ledger_url, models, limits=replace(QUICK, mirrors_shutdown_seconds=0.1)) as world,
        world.watched(),
    ):
        world.split(0, shadow_percent=100)
        models.faults["candidate"] = "hang"
        world.ask("ann")
        wait_until(lambda: models.asked("candidate") == 1, "the copy is under way")
        world.stop()
        assert [row.arm for row in world.rows()] == ["stable"]
        assert world.ask_database("select app, count from drops") == [(APP, 1)]


def test_after_a_rollback_requests_under_way_are_not_copied_to_the_candidate(
    ledger_url: str, models: FakeModels
) -> None:
    """What users wrote goes to nobody who is out of service, though it came while the candidate was still tried."""
    with running_world(ledger_url, models) as world, world.watched(), ThreadPoolExecutor() as pool:
        world.split(0, shadow_percent=100)
        world.ask("ann")
        world.rows(1, arm="shadow")
        models.faults["stable"] = "late"
        under_way = pool.submit(world.ask, "ben")
        wait_until(lambda: models.asked("stable") == 2, "the request is under way")
        world.split(0, candidate_digest=None, release_id=None)
        assert not under_way.done()
        response = under_way.result()
        world.row_of(response)
        world.stop()
        assert models.asked("candidate") == 1
