"""Which model ids mean one version for good."""

import pytest

from softlaunch.drift.check import is_dated, pinnable


@pytest.mark.parametrize(
    "model",
    ["gpt-4o-2024-08-06", "gpt-4-0613", "claude-3-5-sonnet-20241022", "gemini-1.5-pro-002", "m@sha256:0a1b2c3d4e"],
)
def test_dated(model: str) -> None:
    """A date, a numbered version or a digest."""
    assert is_dated(model)


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4o", "claude-3-5-sonnet-latest", "llama-3.1-70b-instruct", "steady"])
def test_floating(model: str) -> None:
    """Whatever the provider serves under that name today."""
    assert not is_dated(model)


def test_what_can_be_pinned() -> None:
    """The one dated model that answered; two of them, or none, are no answer."""
    assert pinnable("gpt-4", frozenset({"gpt-4-0314"})) == "gpt-4-0314"
    assert pinnable("gpt-4", frozenset({"gpt-4-0314", "gpt-4-0613"})) is None
    assert pinnable("gpt-4", frozenset({"gpt-4"})) is None
