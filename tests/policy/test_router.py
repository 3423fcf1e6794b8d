"""Policies of apps that an Envoy routes: what they must say, and what such a router can't do."""

from pathlib import Path

import pytest

from softlaunch.core.split import SplitMethod
from softlaunch.ledger.routes import serving_from_json, serving_to_json
from softlaunch.policy.model import Policy
from softlaunch.policy.route import Serving
from tests.policy.policy_files import HEAD, complaints, load

ROUTER = "router: {kind: envoy, stable: 'http://bot:8080'}\n"
UNIT = "unit: {source: header}\n"
LOG = "sources: {access_log: {}}\n"
GATES = "gates:\n  - {metric: errors, margin: 1 point}\n"


def test_a_routed_app(tmp_path: Path) -> None:
    """The candidate answers where stable does unless it is said, and nobody waits for unusable answers."""
    policy = load(tmp_path, HEAD + ROUTER + UNIT + LOG + GATES)
    assert policy.router is not None
    assert str(policy.router.address(candidate=True)) == "http://bot:8080/"
    assert [gate.metric.value for gate in policy.gates] == ["errors"]
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy


def test_routes_carry_the_router(tmp_path: Path) -> None:
    """A route knows by which function its units are assigned; one of an older ledger goes on with ours."""
    serving = Serving.of("salt", load(tmp_path, HEAD + ROUTER + UNIT + LOG + GATES))
    assert serving_from_json(serving_to_json(serving)) == serving
    assert serving.split is SplitMethod.ENVOY
    assert serving_from_json({"salt": "salt"}).split is SplitMethod.SOFTLAUNCH
    assert "router" not in serving_to_json(Serving("salt"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(ROUTER + LOG + GATES, "unit.source: Envoy splits by a header", id="a body's user"),
        pytest.param(
            ROUTER + "unit: {source: header, redraw: 1 d}\nsources: {sql: {url_env: SHOP}}\n" + GATES,
            "unit.redraw: Envoy keeps a unit's arm",
            id="redraw",
        ),
        pytest.param(
            ROUTER + "unit: {source: header, pin: thread}\n" + LOG + GATES,
            "unit.pin: Envoy doesn't know on which variant a conversation started",
            id="pin",
        ),
        pytest.param(
            ROUTER + "unit: {source: header, signed_by: KEY}\n" + LOG + GATES,
            "unit.signed_by: Envoy checks no signature",
            id="signed units",
        ),
        pytest.param(ROUTER + UNIT + GATES, "sources: no gateway logs what Envoy serves", id="nobody logs"),
        pytest.param(LOG + GATES, "sources.access_log: only Envoy sends one", id="a log without Envoy"),
        pytest.param(
            ROUTER + UNIT + "sources: {access_log: {}, otlp: {}}\n" + GATES,
            "sources.access_log: each request would be logged twice",
            id="two logs",
        ),
        pytest.param(
            ROUTER + UNIT + LOG + GATES + "  - {metric: cost, margin: 10 %}\n",
            "gates[1].metric: cost isn't in an access log",
            id="cost",
        ),
        pytest.param(
            ROUTER + UNIT + LOG + GATES + "  - {metric: refused, margin: 1 point}\n",
            "gates[1].metric: refused needs texts",
            id="words",
        ),
        pytest.param(
            ROUTER + UNIT + LOG + GATES + "  - {metric: satisfaction, margin: 4 points, role: guard}\n",
            "gates[1].metric: satisfaction is said of an answer, by its id",
            id="ratings",
        ),
        pytest.param(
            ROUTER + UNIT + LOG + GATES + "gateway: {breaker: {failed_percent: 20}}\n",
            "gateway.breaker: no breaker stops a candidate in Envoy",
            id="a breaker",
        ),
        pytest.param(ROUTER + UNIT + LOG + GATES + "texts: {keep: true}\n", "texts.keep: Envoy keeps no", id="texts"),
        pytest.param(
            ROUTER + UNIT + LOG + GATES + "stages: [{weight_percent: 0.005}, {weight_percent: 100}]\n",
            "stages[0].weight_percent: Envoy splits by hundredths of a percent",
            id="a share that it would round",
        ),
        pytest.param(
            ROUTER + UNIT + LOG + GATES + "control_percent: 0.125\n", "control_percent: Envoy splits", id="copies too"
        ),
        pytest.param(
            ROUTER + "unit: {source: header, header: x user}\n" + LOG + GATES,
            "unit.header: 'x user' isn't a header name",
            id="no header",
        ),
        pytest.param(
            "router: {kind: nginx, stable: 'http://bot'}\n" + UNIT + LOG + GATES, "router.kind", id="unknown kind"
        ),
        pytest.param("router: {kind: envoy}\n" + UNIT + LOG + GATES, "router.stable", id="no address"),
    ],
)
def test_what_envoy_can_not_do_is_said(tmp_path: Path, text: str, complaint: str) -> None:
    """Each has the key and what to do."""
    assert any(complaint in line for line in complaints(tmp_path, HEAD + text)), complaints(tmp_path, HEAD + text)


def test_the_word_of_older_policies_is_left_out(tmp_path: Path) -> None:
    """They had `router: embedded`, which meant the gateway."""
    assert load(tmp_path, HEAD + "router: embedded\n" + GATES).router is None
