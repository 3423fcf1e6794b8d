"""One function for every mode: who Envoy sends to the candidate, and in which layer it is told."""

from dataclasses import replace

import pytest

from softlaunch.core.split import SHARES, envoy_key, takes_candidate_in_envoy
from softlaunch.gateway.choice import choose
from softlaunch.gateway.lease import Lease
from softlaunch.gateway.table import AppRoute
from softlaunch.inbound.envoy.layers import layer_of
from softlaunch.inbound.envoy.names import runtime_prefix
from softlaunch.inbound.envoy.routes import routes_of
from softlaunch.policy.limited import OnlyPolicy
from softlaunch.policy.route import Arm, Route, Serving
from tests.support.builders import APP, CANDIDATE, STABLE
from tests.support.envoy import routed_policy

SERVING = Serving.of("pepper", routed_policy("http://127.0.0.1:1", "http://127.0.0.1:2"))
ROUTE = Route(
    app=APP,
    revision=4,
    stable=STABLE,
    serving=SERVING,
    candidate=CANDIDATE,
    weight_percent=5.0,
    release_id=f"{APP}-1",
    stage=1,
    lease_seconds=10.0,
)
USERS = [f"user-{number}" for number in range(10_000)]


def sides(weight: float) -> set[str]:
    """Who meets the candidate at a weight."""
    return {user for user in USERS if takes_candidate_in_envoy(user, "pepper", "bot-1", weight)}


def test_growing_the_weight_moves_nobody_back() -> None:
    """Of 10,000 users as many as the weight says meet the candidate, and all of them do at every larger one."""
    few, some, half = (sides(weight) for weight in (1.0, 5.0, 50.0))
    assert few < some < half
    assert abs(len(few) - 100) < 40
    assert abs(len(half) - 5000) < 200
    assert sides(0.0) == set()
    assert sides(100.0) == {*USERS}


def test_each_release_shuffles_anew() -> None:
    """Half of those who met one candidate at 50 % meet the next one."""
    again = {user for user in USERS if takes_candidate_in_envoy(user, "pepper", "bot-2", 50.0)}
    assert abs(len(again & sides(50.0)) - 2500) < 200


def test_a_gateway_chooses_as_envoy_does() -> None:
    """A route with this router is split by Envoy's function wherever the app is served."""
    for user in USERS[:2000]:
        expected = takes_candidate_in_envoy(user, "pepper", f"{APP}-1", 5.0)
        assert (choose(ROUTE, user, "id", candidate_allowed=True).arm is Arm.CANDIDATE) is expected


def test_names_that_are_not_ascii_are_the_bytes_that_were_sent() -> None:
    """A header comes as Latin-1 to a gateway, and as text to a client: it is the same user."""
    sent = "zoë".encode()
    assert envoy_key(sent.decode("latin-1"), "s", "r") == envoy_key("zoë", "s", "r") == b"s:r:" + sent


def served(route: Route, *, watched: bool) -> AppRoute:
    """A route as a control plane has it, ten seconds after the start of its clock."""
    lease = Lease()
    lease.look(1, route.lease_seconds, 6.0)
    if watched:
        lease.look(2, route.lease_seconds, 8.0)
    return AppRoute(route, lease, lambda: 10.0)


def test_a_layer_lasts_as_long_as_the_lease() -> None:
    """What is left of it is counted from the moment before the newest beat was read."""
    layer = layer_of(APP, served(ROUTE, watched=True), 10.0)
    assert layer.until == 18.0
    weights = [layer.values[f"{runtime_prefix(ROUTE)}.softlaunch-{APP}-{arm}"] for arm in ("stable", "candidate")]
    assert weights == [SHARES - 500, 500]


@pytest.mark.parametrize(
    ("route", "watched"),
    [
        pytest.param(ROUTE, False, id="nobody watches"),
        pytest.param(replace(ROUTE, candidate=None), True, id="no candidate"),
        pytest.param(replace(ROUTE, weight_percent=0.0), True, id="neither weight nor copies"),
    ],
)
def test_stable_alone_needs_no_layer(route: Route, *, watched: bool) -> None:
    """What an Envoy does without one is to serve stable."""
    assert layer_of(APP, served(route, watched=watched), 10.0).values == {}


def test_copies_are_asked_for_where_they_are_compared() -> None:
    """Copies to the candidate while nobody meets it; to stable only once everybody does."""
    shadow = layer_of(APP, served(replace(ROUTE, weight_percent=0.0, shadow_percent=2.5), watched=True), 10.0).values
    assert [value for key, value in shadow.items() if key.endswith(".shadow")] == [
        {"numerator": 250, "denominator": "TEN_THOUSAND"}
    ]
    half = layer_of(APP, served(replace(ROUTE, weight_percent=50.0, control_percent=5.0), watched=True), 10.0).values
    whole = layer_of(APP, served(replace(ROUTE, weight_percent=100.0, control_percent=5.0), watched=True), 10.0).values
    assert [sum(key.endswith(".control") for key in values) for values in (half, whole)] == [0, 1]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(ROUTE, release_id=f"{APP}-2"), id="another release"),
        pytest.param(replace(ROUTE, only=OnlyPolicy(header="x-team", values=("ours",))), id="open to others"),
        pytest.param(replace(ROUTE, candidate=STABLE), id="another candidate"),
        pytest.param(replace(ROUTE, serving=replace(SERVING, salt="salt")), id="another salt"),
    ],
)
def test_weights_mean_nothing_by_other_routes(other: Route) -> None:
    """Until an Envoy has read the file of a release it knows none of its weights; a weight alone changes no name."""
    assert runtime_prefix(other) != runtime_prefix(ROUTE)
    assert runtime_prefix(replace(ROUTE, weight_percent=50.0, revision=9, stage=3)) == runtime_prefix(ROUTE)


def test_the_file_sends_nobody_to_a_candidate() -> None:
    """Its own weights are stable's alone, and who is outside of a limited stage has a route without candidate."""
    limited = replace(ROUTE, only=OnlyPolicy(header="X-Team", values=("a.b", "c")))
    inside, outside = routes_of(limited)["virtual_hosts"][0]["routes"]
    weights = [cluster["weight"] for cluster in inside["route"]["weighted_clusters"]["clusters"]]
    assert weights == [SHARES, 0]
    matched = inside["match"]["headers"][0]
    assert (matched["name"], matched["string_match"]["safe_regex"]["regex"]) == ("x-team", r"(?:a\.b|c)")
    assert outside["route"]["cluster"] == f"softlaunch-{APP}-stable"
