"""What is looked after between releases, by the reconcile flow and by `softlaunch reconcile --watch`."""

from collections.abc import Mapping

import pytest

from softlaunch.catalog.aliases import PRODUCTION, MovedBy, move_alias
from softlaunch.cli.model_checks import ModelMonitor
from softlaunch.core.settings import Settings
from softlaunch.integrations.models.interface import RegistryError
from softlaunch.retention.model_checks import monitor_models
from softlaunch.retention.own_models import OwnRegistry
from softlaunch.store.database import Database
from tests.support.builders import APP, NOON, STABLE, record_app, request_row
from tests.support.servers import wait_until


class _Elsewhere(OwnRegistry):
    """Another registry, which can be away."""

    away = False
    held: dict[str, str]

    def aliases(self, model: str) -> Mapping[str, str]:
        """Where the aliases of the only model point."""
        if self.away:
            raise RegistryError("it did not answer")
        return self.held

    def move_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self.held[alias] = version


@pytest.fixture
def elsewhere(database: Database, monkeypatch: pytest.MonkeyPatch) -> _Elsewhere:
    """The registry that the settings name; the app's production variant isn't known there."""
    record_app(database)
    with database.begin() as session:
        move_alias(session, APP, PRODUCTION, STABLE.digest, MovedBy("anna"), NOON)
    registry = _Elsewhere(database, "anna")
    registry.held = {}
    monkeypatch.setenv("SOFTLAUNCH_MODEL_REGISTRY", "mlflow+http://elsewhere")
    return registry


def test_a_pass_watches_models_and_mirrors_aliases(database: Database, elsewhere: _Elsewhere) -> None:
    """Both are told, and a second pass has nothing to say."""
    for model in ("steady-1", "steady-2"):
        with database.begin() as session:
            session.add(request_row(resolved_model=model))
        told = list(monitor_models(database, Settings(), NOON, lambda *_: elsewhere))
        assert len(told) == 1, told
    assert told[0].problem
    assert "steady-2" in told[0].sentence
    assert elsewhere.held == {PRODUCTION: STABLE.digest}
    assert list(monitor_models(database, Settings(), NOON, lambda *_: elsewhere)) == []


def test_without_another_registry_nothing_is_mirrored(database: Database) -> None:
    """The ledger's aliases are true anyway; an address that is none is told, not raised."""
    assert list(monitor_models(database, Settings(), NOON)) == []
    [told] = monitor_models(database, Settings(model_registry="ftp://host"), NOON)
    assert told.problem
    assert "expected mlflow" in told.sentence


def test_the_watching_command_continues_and_repeats_no_warning(database: Database, elsewhere: _Elsewhere) -> None:
    """An outage is said once, made up for when the registry is back, and said again the next time."""
    notices: list[str] = []
    warnings: list[str] = []
    upkeep = ModelMonitor(database, notices.append, warnings.append, lambda *_: elsewhere)
    for elsewhere.away in (True, True, False, True):
        upkeep.check()
    assert [text.partition(":")[2] for text in warnings] == [" it did not answer"] * 2
    assert notices == [f"production of {APP} is version {STABLE.digest} ({STABLE.digest[:12]}) now"]


def test_it_looks_as_soon_as_it_begins_and_ends_when_told(database: Database, elsewhere: _Elsewhere) -> None:
    """In a thread of its own."""
    with ModelMonitor(database, lambda _: None, lambda _: None, lambda *_: elsewhere):
        wait_until(lambda: PRODUCTION in elsewhere.held, "the alias follows")
