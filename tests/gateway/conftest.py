"""Fixtures of the gateway's tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from softlaunch.policy.gateway import GatewayPolicy
from tests.gateway.worlds import NEVER_TRIPS, World, running_world
from tests.support.servers import FakeModels, running_models


@pytest.fixture(scope="session")
def shared_models() -> Iterator[FakeModels]:
    """The provider of the whole session."""
    with running_models() as models:
        yield models


@pytest.fixture
def models(shared_models: FakeModels) -> FakeModels:
    """The provider, with nothing asked yet and no faults."""
    shared_models.forget()
    return shared_models


@pytest.fixture
def ledger_url(migrated_file: Path, tmp_path: Path) -> str:
    """A migrated, empty ledger on SQLite."""
    path = shutil.copy(migrated_file, tmp_path / "ledger.db")
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def migrated_file_url(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same for a whole module."""
    path = shutil.copy(migrated_file, tmp_path_factory.mktemp("module") / "ledger.db")
    return f"sqlite:///{path}"


@pytest.fixture
def world(ledger_url: str, models: FakeModels) -> Iterator[World]:
    """A gateway that gives its providers longer than a busy machine stands still."""
    policy = GatewayPolicy(timeout=30.0, breaker=NEVER_TRIPS)
    with running_world(ledger_url, models, gateway=policy) as running:
        yield running
