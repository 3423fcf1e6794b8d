"""The same user falls on the same side here and at a gateway, and nobody moves back."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import AnyHttpUrl

from softlaunch.client.evaluation import falls_on_candidate, occasion_of, unit_of
from softlaunch.client.route import ClientRoute, read_route
from softlaunch.core.api import Api
from softlaunch.core.split import position_percent, unit_hash
from softlaunch.core.variant import ModelVersion, PromptVersion, Variant
from softlaunch.gateway.choice import choose
from softlaunch.gateway.protocols.registry import PROTOCOLS
from softlaunch.gateway.requests import AppRequest
from softlaunch.gateway.units import occasion_of as gateways_occasion
from softlaunch.gateway.units import unit_of as gateways_unit
from softlaunch.policy.route import Arm, Route, Serving
from softlaunch.policy.router import RouterKind, RouterPolicy
from softlaunch.policy.units import UnitPolicy
from tests.support.config_server import APP, route

USERS = [f"user-{number}" for number in range(10_000)]
(CHAT,) = (protocol for protocol in PROTOCOLS if protocol.api is Api.CHAT)


def variant(model: str) -> Variant:
    """A variant of this model."""
    return Variant(
        prompt=PromptVersion(name="p", version="1.0.0", messages=()),
        model=ModelVersion(name=model, provider="x", model=model, endpoint="http://127.0.0.1:1/v1"),
    )


GATEWAYS = Route(
    app=APP,
    revision=1,
    stable=variant("stable"),
    serving=Serving(salt="pepper"),
    candidate=variant("candidate"),
    release_id="support-bot-1",
)


def ours(weight_percent: float, **unit: Any) -> ClientRoute:
    """The route as the client reads it."""
    return read_route(APP, route(weight_percent, unit={"source": "user", **unit}))


ENVOY = RouterPolicy(kind=RouterKind.ENVOY, stable=AnyHttpUrl("http://stable"))


@pytest.mark.parametrize("router", [pytest.param(None, id="by gateways"), pytest.param(ENVOY, id="by an Envoy")])
@pytest.mark.parametrize("weight_percent", [1.0, 5.0, 50.0])
def test_a_user_is_on_the_gateways_side(weight_percent: float, router: RouterPolicy | None) -> None:
    """10,000 users, each on the same side in both modes, by whichever hash the app is split."""
    gateways = replace(GATEWAYS, weight_percent=weight_percent, serving=Serving(salt="pepper", router=router))
    client = ours(weight_percent)._replace(split=gateways.serving.split)
    sides = [choose(gateways, user, "id", candidate_allowed=True).arm is Arm.CANDIDATE for user in USERS]
    assert [falls_on_candidate(client, user) for user in USERS] == sides
    assert abs(sum(sides) / 100 - weight_percent) < 1.5


def test_nobody_moves_back() -> None:
    """As the weight grows, those who met the candidate go on meeting it."""
    met: set[str] = set()
    for weight_percent in (1.0, 5.0, 50.0, 100.0):
        now = {user for user in USERS if falls_on_candidate(ours(weight_percent), user)}
        assert met <= now
        met = now
    assert len(met) == len(USERS)


@pytest.mark.parametrize(
    ("unit", "conversation"),
    [
        pytest.param({"redraw": 3600.0}, None, id="afresh each hour"),
        pytest.param({"redraw": "conversation"}, "talk-1", id="afresh in each conversation"),
        pytest.param({"source": "conversation"}, "talk-1", id="conversations are units"),
    ],
)
def test_occasions_are_the_gateways(unit: dict[str, Any], conversation: str | None) -> None:
    """Units that are drawn afresh, and conversations, fall on the gateway's side too."""
    policy, now = UnitPolicy.model_validate(unit), 1_790_000_000.0
    gateways = replace(GATEWAYS, weight_percent=50.0, serving=Serving(salt="pepper", unit=policy))
    client = ours(50.0, **unit)
    for user in USERS[:500]:
        talk = f"{conversation}-{user}" if conversation else None
        body = {
            "user": user,
            "messages": [{"role": "user", "content": "Hi"}],
            **({"conversation": talk} if talk else {}),
        }
        request = AppRequest(CHAT, "id", APP, body, {}, 0)
        named = gateways_unit(request, policy)
        choice = choose(
            gateways, named, "id", candidate_allowed=True, occasion=gateways_occasion(request, named, policy, now)
        )
        found = unit_of(client, user, talk)
        assert found is not None
        side = falls_on_candidate(client, found, occasion_of(client, talk, now))
        assert side == (choice.arm is Arm.CANDIDATE)


def test_the_hash_is_the_one_that_ledgers_hold() -> None:
    """However it is reckoned, a unit's pseudonym and its place are those of all the requests that are logged."""
    pseudonym = unit_hash("ann", "pepper")
    assert pseudonym == 4_635_910_673_048_329_460
    assert position_percent(pseudonym, "bot-1") == pytest.approx(1.668821142882924)
