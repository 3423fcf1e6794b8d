"""Fixtures of the eval tests."""

from collections.abc import Iterator

import pytest

from softlaunch.evals.regression import RegressionEval
from softlaunch.store.database import Database
from tests.support.endpoints import Endpoint, running_endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A real endpoint that answers `yes`, until a test gives it another behaviour."""
    with running_endpoint() as running:
        yield running


@pytest.fixture
def evaluation(database: Database) -> Iterator[RegressionEval]:
    """A regression eval whose calls have ended before the ledger is closed."""
    running = RegressionEval(database)
    yield running
    running.close()
