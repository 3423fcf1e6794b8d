"""One function for every mode: who Envoy sends to the candidate, and in which layer it is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from softlaunch.core.split import SHARES, envoy_key, takes_candidate_in_envoy
from softlaunch.gateway.choice import choose
from softlaunch.gateway.lease import Lease
from softlaunch.gateway.table import AppRoute
from softlaunch.inbound.envoy.layers import layer_of
from softlaunch.inbound.envoy.names import open_key
from softlaunch.inbound.envoy.route_files import RouteFiles, routes_path
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
    assert layer.values == {open_key(ROUTE): 100}


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
    shadow = replace(ROUTE, weight_percent=0.0, shadow_percent=2.5)
    assert copied_to(shadow) == {"shadow": {"numerator": 250, "denominator": "TEN_THOUSAND"}}
    assert layer_of(APP, served(shadow, watched=True), 10.0).values == {open_key(shadow): 100}
    assert copied_to(replace(ROUTE, weight_percent=50.0, control_percent=5.0)) == {}
    assert [*copied_to(replace(ROUTE, weight_percent=100.0, control_percent=5.0))] == ["control"]


def copied_to(route: Route) -> dict[str, Any]:
    """Which share of requests the file has copied, by the copy's arm."""
    drawn = routes_of(route)["virtual_hosts"][0]["routes"][0]["route"]
    copies = drawn["request_mirror_policies"]
    return {one["cluster"].rpartition("-")[2]: one["runtime_fraction"]["default_value"] for one in copies}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(ROUTE, release_id=f"{APP}-2"), id="another release"),
        pytest.param(replace(ROUTE, only=OnlyPolicy(header="x-team", values=("ours",))), id="open to others"),
        pytest.param(replace(ROUTE, candidate=STABLE), id="another candidate"),
        pytest.param(replace(ROUTE, serving=replace(SERVING, salt="salt")), id="another salt"),
    ],
)
def test_a_layer_opens_no_other_release(other: Route) -> None:
    """Until an Envoy has read the file of a release it is closed to it; a weight alone changes no key."""
    assert open_key(other) != open_key(ROUTE)
    assert open_key(replace(ROUTE, weight_percent=50.0, revision=9, stage=3)) == open_key(ROUTE)


def test_the_file_sends_nobody_to_a_candidate() -> None:
    """Its route is closed by itself; behind it, and for who is outside of a limited stage, there is stable alone."""
    limited = replace(ROUTE, only=OnlyPolicy(header="X-Team", values=("a.b", "c")))
    for route in (ROUTE, limited):
        drawn, otherwise = routes_of(route)["virtual_hosts"][0]["routes"]
        assert drawn["match"]["runtime_fraction"]["default_value"] == {"numerator": 0, "denominator": "HUNDRED"}
        assert drawn["match"]["runtime_fraction"]["runtime_key"] == open_key(route)
        weights = [cluster["weight"] for cluster in drawn["route"]["weighted_clusters"]["clusters"]]
        assert weights == [SHARES - 500, 500]
        assert (otherwise["match"], otherwise["route"]["cluster"]) == ({"prefix": "/"}, f"softlaunch-{APP}-stable")
    matched = routes_of(limited)["virtual_hosts"][0]["routes"][0]["match"]["headers"][0]
    assert (matched["name"], matched["string_match"]["safe_regex"]["regex"]) == ("x-team", r"(?:a\.b|c)")


def test_an_older_route_takes_the_place_of_none(tmp_path: Path) -> None:
    """A control plane that lags behind leaves the file of another one alone for a while: the ledger may go back."""
    now = 0.0
    ahead, behind = (RouteFiles(tmp_path, lambda: now) for _ in range(2))
    ahead.write({APP: served(replace(ROUTE, revision=5), watched=True)}, "ledger")
    old = {APP: served(ROUTE, watched=True)}
    behind.write(old, "ledger")
    assert version(tmp_path) == "ledger.5"
    now = 11.0
    behind.write(old, "ledger")
    assert version(tmp_path) == "ledger.4"


def test_another_ledger_takes_the_place_of_any(tmp_path: Path) -> None:
    """Its revisions are counted anew."""
    files = RouteFiles(tmp_path)
    files.write({APP: served(ROUTE, watched=True)}, "ledger")
    files.write({APP: served(replace(ROUTE, revision=1), watched=True)}, "another")
    assert version(tmp_path) == "another.1"


def version(folder: Path) -> str:
    """What the file of the routes says it is of."""
    return str(orjson.loads(routes_path(folder, APP).read_bytes())["version_info"])
