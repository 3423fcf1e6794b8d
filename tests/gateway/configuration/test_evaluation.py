"""Which variant for whom, and for how long: without a server."""

from dataclasses import replace
from typing import Any

import pytest

from softlaunch.gateway.choice import choose
from softlaunch.gateway.configuration.evaluation import Asked, Evaluation, evaluate
from softlaunch.gateway.lease import Lease
from softlaunch.gateway.table import AppRoute
from softlaunch.policy.limited import OnlyPolicy
from softlaunch.policy.route import Route, Serving
from softlaunch.policy.units import UnitPolicy
from tests.support.builders import APP, CANDIDATE, STABLE

NOW = 1_790_000_123.0
ROUTE = Route(APP, 7, STABLE, Serving("pepper"), CANDIDATE, 50.0, release_id=f"{APP}-1", stage=2, lease_seconds=10.0)


def served(route: Route = ROUTE, *, beat_seconds_ago: float | None = 3.0) -> AppRoute:
    """A route whose watcher was seen so long ago, or never."""
    lease = Lease()
    lease.look(1, route.lease_seconds, 100.0)
    if beat_seconds_ago is not None:
        lease.look(2, route.lease_seconds, 101.0)
    return AppRoute(route, lease, lambda: 101.0 + (beat_seconds_ago or 0.0))


def evaluated(app_route: AppRoute, unit: str = "ann", longest: float = 60.0, **attributes: Any) -> Evaluation:
    """What an application is told."""
    return evaluate(app_route, Asked(unit, attributes), "request", NOW, longest)


@pytest.mark.parametrize(
    ("app_route", "longest", "seconds"),
    [
        pytest.param(served(), 60.0, 7.0, id="what is left of the lease"),
        pytest.param(served(), 2.0, 2.0, id="no longer than is asked"),
        pytest.param(served(beat_seconds_ago=None), 60.0, 10.0, id="nobody watches yet: a lease"),
        pytest.param(served(beat_seconds_ago=11.0), 60.0, 10.0, id="nobody watches any more: a lease"),
        pytest.param(served(replace(ROUTE, candidate=None, release_id=None)), 60.0, 60.0, id="no release"),
    ],
)
def test_how_long_a_value_may_be_kept(app_route: AppRoute, longest: float, seconds: float) -> None:
    """Never longer than the candidate may be shown without another beat."""
    assert evaluated(app_route, longest=longest).keep_seconds == pytest.approx(seconds)


def test_the_same_side_as_at_a_gateway_at_every_weight() -> None:
    """Of 10,000 users each falls as `choose` says, and nobody moves back as the weight grows."""
    users = [f"user-{number}" for number in range(10_000)]
    inside: set[str] = set()
    for weight in (1.0, 5.0, 50.0):
        route = replace(ROUTE, weight_percent=weight)
        found = {user for user in users if evaluated(served(route), user).choice.arm == "candidate"}
        assert found == {user for user in users if choose(route, user, "r", candidate_allowed=True).arm == "candidate"}
        assert inside <= found
        assert len(found) == pytest.approx(100 * weight, rel=0.25)
        inside = found


def test_nobody_watches_and_the_weight_is_none() -> None:
    """Everybody is on stable, and no split was in force."""
    found = evaluated(served(replace(ROUTE, weight_percent=100.0), beat_seconds_ago=None))
    assert (found.choice.arm, found.weight_percent, found.reason) == ("stable", 0.0, "STATIC")


@pytest.mark.parametrize(
    ("only", "attributes", "arm"),
    [
        pytest.param({"values": ["ann"]}, {}, "candidate", id="by name"),
        pytest.param({"values": ["bob"]}, {}, "stable", id="another name"),
        pytest.param({"header": "X-Team", "values": ["in"]}, {"x-team": " in "}, "candidate", id="by the attribute"),
        pytest.param({"header": "X-Team", "values": ["in"]}, {"x-team": 1}, "stable", id="no text"),
        pytest.param({"header": "X-Team", "values": ["in"]}, {}, "stable", id="without it"),
    ],
)
def test_a_stage_for_some(only: dict[str, Any], attributes: dict[str, Any], arm: str) -> None:
    """Whoever is inside has the candidate at its weight, and nobody else."""
    route = replace(ROUTE, weight_percent=100.0, only=OnlyPolicy.model_validate(only))
    assert evaluated(served(route), **attributes).choice.arm == arm


def test_arms_that_are_drawn_afresh() -> None:
    """In every epoch, whose end bounds how long a value is kept; or in every conversation that is named."""
    epochs = Serving("pepper", unit=UnitPolicy.model_validate({"redraw": "1 min"}))
    patient = replace(ROUTE, serving=epochs, lease_seconds=600.0)
    assert evaluated(served(patient)).keep_seconds == pytest.approx(60.0 - NOW % 60.0)
    talks = replace(ROUTE, serving=Serving("pepper", unit=UnitPolicy.model_validate({"redraw": "conversation"})))
    arms = {evaluated(served(talks), conversation=f"talk-{number}").choice.arm for number in range(20)}
    assert arms == {"stable", "candidate"}
    assert evaluated(served(talks)).choice.named_unit is None
