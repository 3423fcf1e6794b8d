"""Fixtures of the eval tests."""

from collections.abc import Iterator

import pytest

from tests.support.endpoints import Endpoint, running_endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A real endpoint that answers `yes`, until a test gives it another behaviour."""
    with running_endpoint() as running:
        yield running
