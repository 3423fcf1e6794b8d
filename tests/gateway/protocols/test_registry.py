"""The protocols that the gateway speaks, and what else knows of their APIs."""

from softlaunch.core.api import Api
from softlaunch.core.endpoint import path_of
from softlaunch.gateway.protocols.registry import PROTOCOLS


def test_each_api_is_asked_at_its_path_and_spoken_by_one_protocol() -> None:
    """Evals and gateway ask endpoints at the same places; what only counts tokens is none of its own."""
    spoken = [(protocol.api, protocol.path) for protocol in PROTOCOLS if protocol.is_judged]
    assert sorted(spoken) == sorted((api, path_of(api)) for api in Api)
