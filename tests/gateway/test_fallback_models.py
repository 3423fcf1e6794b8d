"""Fallback models of a variant: who is asked when, what users see, and what the log and the gates are told."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from softlaunch.core.api import Api
from softlaunch.core.arms import ByArm
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.core.variant import Variant
from softlaunch.gateway.calls import Call
from softlaunch.gateway.deadlines import TimeLimits
from softlaunch.gateway.fallback_chain import limited
from softlaunch.gateway.protocols.chat.protocol import ChatCompletions
from softlaunch.gateway.request_context import can_stand_in
from softlaunch.ledger.logged import Logged
from softlaunch.ledger.outcomes import read_outcomes
from softlaunch.policy.gateway import BreakerPolicy, GatewayPolicy
from softlaunch.policy.release import Stage, StageKind
from softlaunch.releases.wording import outcome_rows
from tests.gateway.worlds import APP, NEVER_TRIPS, World, arm_of, ask_many, running_world, variant
from tests.support.servers import FakeModels

HASTY = GatewayPolicy(timeout=2.0, breaker=NEVER_TRIPS)


def falling_back(endpoint: str, *models: str) -> Variant:
    """A variant on the first of these models that falls back to the others; the second costs ten times as much."""
    made = [variant(name, endpoint) for name in models]
    spare = made[1].model.model_copy(update={"input_usd_per_million": 100.0, "output_usd_per_million": 200.0})
    return Variant(prompt=made[0].prompt, model=made[0].model, fallbacks=(spare, *(one.model for one in made[2:])))


@pytest.fixture
def canary(ledger_url: str, models: FakeModels) -> Iterator[World]:
    """A gateway whose candidate serves everybody and has two fallback models, of which stable has one."""
    candidate = falling_back(models.endpoint, "candidate", "spare", "last")
    stable = falling_back(models.endpoint, "stable", "last")
    with running_world(ledger_url, models, gateway=HASTY, stable=stable, candidate=candidate) as world, world.watched():
        world.split(100)
        yield world


@pytest.mark.parametrize("stream", [pytest.param(False, id="whole"), pytest.param(True, id="streamed")])
@pytest.mark.parametrize("fault", ["500", "429", "401", "drop", "html", "hang"])
def test_a_fallback_answers_in_the_models_place(canary: World, fault: str, *, stream: bool) -> None:
    """The arm has answered: the user got an answer of its variant, and waited for both models."""
    canary.models.faults["candidate"] = fault
    response = canary.ask("ann", stream=stream)
    row = canary.row_of(response)
    assert (response.status_code, arm_of(response)) == (200, "candidate")
    assert "spare" in response.text
    assert response.headers["x-softlaunch-variant"] == canary.candidate.short
    assert (row.arm, row.outcome, row.fell_back, row.answered_by) == ("candidate", "answered", False, "spare")
    assert row.variant_digest == canary.candidate.digest
    assert row.attempts == canary.models.asked("candidate") + canary.models.asked("spare") >= 2
    assert row.latency_ms > (1900 if fault == "hang" else 0)
    assert canary.models.asked("stable") == 0


def test_the_cost_is_that_of_the_model_that_answered(canary: World) -> None:
    """The spare one costs ten times as much."""
    own = canary.row_of(canary.ask("ann"))
    canary.models.faults["candidate"] = "500"
    spare = canary.row_of(canary.ask("ann"))
    assert own.cost_usd is not None
    assert spare.cost_usd == pytest.approx(10 * own.cost_usd)
    assert (own.answered_by, own.attempts) == (None, 1)


def test_fallbacks_are_asked_in_order_and_before_stable(canary: World) -> None:
    """Each once; stable's model isn't asked while the variant has one that answers."""
    canary.models.faults |= {"candidate": "500", "spare": "429"}
    row = canary.row_of(canary.ask("ann"))
    assert (row.outcome, row.answered_by, row.attempts) == ("answered", "last", 3)
    assert [body["model"] for body in canary.models.bodies] == ["candidate", "spare", "last"]


def test_stable_has_fallbacks_too(canary: World) -> None:
    """Where the whole candidate fails its own failure is logged, and stable's fallback may answer in its place."""
    canary.models.faults |= {"candidate": "429", "spare": "500", "last": "500", "stable": "500"}
    failed = canary.ask("ann")
    row = canary.row_of(failed)
    assert failed.status_code == 500
    assert (row.arm, row.outcome, row.status, row.answered_by, row.attempts) == (
        "candidate",
        "rate_limited",
        429,
        None,
        3,
    )
    canary.models.faults["last"] = ""
    canary.split(0)
    alone = canary.row_of(canary.ask("bob"))
    assert (alone.arm, alone.outcome, alone.answered_by) == ("stable", "answered", "last")


def test_a_refusal_of_the_request_asks_no_fallback(canary: World) -> None:
    """It isn't the model's failure: stable tells whose it is, as without fallbacks."""
    canary.models.faults["candidate"] = "400"
    row = canary.row_of(canary.ask("ann"))
    assert (row.outcome, row.fell_back, row.answered_by) == ("request_at_fault", True, None)
    assert canary.models.asked("spare") == 0


def test_an_answer_that_has_begun_stays_where_it_is(canary: World) -> None:
    """What broke off can't be continued by another model."""
    canary.models.faults["candidate"] = "cut"
    row = canary.row_of(canary.ask("ann", stream=True))
    assert (row.outcome, row.answered_by) == ("cut", None)
    assert canary.models.asked("spare") == 0


def test_an_unusable_answer_is_an_answer(canary: World) -> None:
    """The gate on unusable answers sees it; a fallback would hide what the model does."""
    canary.models.faults["candidate"] = "mute"
    row = canary.row_of(canary.ask("ann"))
    assert (row.outcome, row.answered_by) == ("empty", None)


def test_a_fallback_gets_no_idempotency_key_and_the_same_request(canary: World) -> None:
    """Another provider must not take it for a repetition; prompt and sampling are those of the variant."""
    canary.models.faults["candidate"] = "500"
    body = {"model": APP, "user": "ann", "messages": [{"role": "user", "content": "Hi"}]}
    canary.client.post("/v1/chat/completions", json=body, headers={"idempotency-key": "k"})
    first, second = canary.models.bodies
    assert {**first, "model": ""} == {**second, "model": ""}
    assert ["idempotency-key" in map(str.lower, headers) for headers in canary.models.headers] == [True, False]


def test_copies_go_the_same_way(canary: World) -> None:
    """A shadow is compared as users would meet it."""
    canary.models.faults["candidate"] = "500"
    canary.split(0, shadow_percent=100)
    canary.ask("ann")
    (copy,) = canary.rows(1, mirrored=True)
    assert (copy.arm, copy.outcome, copy.answered_by) == ("shadow", "answered", "spare")


def test_the_metric_names_the_model(canary: World) -> None:
    """An operator sees that a provider is down though users don't."""
    canary.models.faults["candidate"] = "500"
    canary.ask("ann")
    canary.wait_for_metric("softlaunch_fallback_model_answers_total", 1.0)
    assert 'arm="candidate",model="spare"' in canary.client.get("/metrics").text


def test_the_breaker_goes_by_what_users_get(ledger_url: str, models: FakeModels) -> None:
    """A candidate whose fallback answers doesn't trip it; one whose models all fail does."""
    trips = GatewayPolicy(timeout=30.0, breaker=BreakerPolicy(minimum_requests=5))
    candidate = falling_back(models.endpoint, "candidate", "spare")
    users = [f"user-{number}" for number in range(40)]
    with running_world(ledger_url, models, gateway=trips, candidate=candidate) as world, world.watched():
        world.split(50)
        models.faults["candidate"] = "500"
        assert {"stable", "candidate"} == set(ask_many(world, users))
        assert world.metric("softlaunch_breaker_tripped") == 0
        models.faults["spare"] = "500"
        assert {"stable"} == set(ask_many(world, users))
        world.wait_for_metric("softlaunch_breaker_tripped", 1.0)


def test_the_share_of_a_fallback_is_told(canary: World) -> None:
    """In the table of a stage, though everything was answered."""
    canary.ask("ann")
    canary.models.faults["candidate"] = "500"
    canary.ask("bob")
    canary.rows(2)
    stage = Stage(position=0, kind=StageKind.CANARY, name="canary", weight_percent=50)
    with canary.database.read() as session:
        outcomes = read_outcomes(session, APP, Logged("support-bot-1"), stage)
    assert outcomes.by_fallback == ByArm(1, 0)
    assert outcomes.candidate == {RequestOutcome.ANSWERED: 2}
    assert ("by a fallback model", "1 (50.0 %)", "0") in outcome_rows(outcomes)


def test_whose_fault_a_refusal_was_is_decided_by_what_the_other_arm_answers(canary: World) -> None:
    """Its fallback answers what stable refused, so that the refusal is stable's own doing."""
    canary.split(50)
    canary.models.faults |= {"stable": "400", "candidate": "500"}
    users = (f"user-{number}" for number in range(100))
    refused = next(found for user in users if (found := canary.ask(user)).status_code == 400)
    row = canary.row_of(refused)
    assert (row.arm, row.outcome, row.excused) == ("stable", "request_at_fault", False)


def test_all_models_of_the_other_arm_share_its_time() -> None:
    """The log waits for them no longer than for one."""
    call = Call(ChatCompletions(), variant("own", "http://127.0.0.1:9/v1"), {}, TimeLimits(1.0, 120.0, 60.0, 900.0))
    within = limited(replace(call, fallbacks=[call, call]), 30.0)
    assert [one.limits.total for one in (within, *within.fallbacks)] == [10.0, 10.0, 10.0]


def test_who_may_stand_in() -> None:
    """A model that doesn't serve the API can't, and for vectors none but the same."""
    made = falling_back("http://127.0.0.1:1/v1", "candidate", "spare")
    (spare,) = made.in_place
    of_messages = spare.model_copy(update={"model": spare.model.model_copy(update={"apis": (Api.MESSAGES,)})})
    elsewhere = made.model_copy(update={"model": made.model.model_copy(update={"endpoint": "http://127.0.0.1:2/v1"})})
    assert can_stand_in(spare, made, Api.CHAT)
    assert not can_stand_in(of_messages, made, Api.CHAT)
    assert not can_stand_in(spare, made, Api.EMBEDDINGS)
    assert can_stand_in(elsewhere, made, Api.EMBEDDINGS)
