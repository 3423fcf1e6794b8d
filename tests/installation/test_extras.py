"""Which services `softlaunch up` runs besides: those that policies of apps, or options, ask for."""

import importlib.util
from importlib.machinery import ModuleSpec

import pytest

from softlaunch.core.settings import Settings
from softlaunch.installation.extras import Asked, Extra, Lacking, choose_extras
from softlaunch.policy.model import Policy
from softlaunch.policy.route import Route, Serving
from tests.support.builders import APP, STABLE, make_policy
from tests.support.envoy import routed_policy

PLAIN = make_policy()
SPANS = make_policy(shadow=None, sources={"otlp": {}})
ROUTED = routed_policy("http://a", "http://b")
REWRITTEN = routed_policy("http://a", "http://b", router={"rewrite": True})


def chosen(policy: Policy, asked: Asked) -> list[Extra | Lacking]:
    """What is to run besides for one app."""
    return list(choose_extras(Settings(), asked, [Route(APP, 1, STABLE, Serving.of("salt", policy))]))


@pytest.mark.parametrize(
    ("policy", "asked", "names"),
    [
        pytest.param(PLAIN, Asked(), [], id="nobody asks"),
        pytest.param(SPANS, Asked(), ["otlp"], id="a policy takes spans"),
        pytest.param(SPANS, Asked(otlp=False), [], id="an option forbids it"),
        pytest.param(ROUTED, Asked(), ["envoy"], id="a policy has an Envoy"),
        pytest.param(REWRITTEN, Asked(), ["envoy", "processor"], id="whose bodies are ours"),
        pytest.param(REWRITTEN, Asked(envoy=False), [], id="which an option forbids"),
        pytest.param(PLAIN, Asked(True, True, True), ["otlp", "envoy", "config-server"], id="options ask for all"),
    ],
)
def test_what_runs_besides(policy: Policy, asked: Asked, names: list[str]) -> None:
    """Policies decide where no option does; a processor runs where bodies are rewritten."""
    found = [one for one in chosen(policy, asked) if isinstance(one, Extra)]
    assert [one.service.name for one in found] == names
    ports = [port for one in found for port, _ in one.ports]
    assert len(ports) == len(set(ports))
    assert all(one.service.ready_url and one.service.ready_url.endswith("/healthz") for one in found)


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app asks for Envoy, and this environment lacks what talks to it: the rest runs, and the app is named."""
    find = importlib.util.find_spec

    def without_grpc(name: str) -> ModuleSpec | None:
        return None if name == "grpc" else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_grpc)
    (lacking,) = chosen(ROUTED, Asked())
    assert isinstance(lacking, Lacking)
    assert lacking.sentence == (
        f"nobody tells Envoy the weights of {APP}, so their releases hold: pip install 'softlaunch[envoy]'"
    )
