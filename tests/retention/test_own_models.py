"""The ledger as a model registry."""

import pytest

from softlaunch.catalog.aliases import PRODUCTION, MovedBy, move_alias
from softlaunch.core.settings import Settings
from softlaunch.integrations.models.interface import DIGEST_TAG, ProtectedVersionError, RegistryError
from softlaunch.retention.model_registry import open_registry
from softlaunch.retention.own_models import OwnRegistry
from softlaunch.store.database import Database
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, record_app


def test_it_knows_what_served(database: Database) -> None:
    """Versions are the variants that aliases have pointed at; names may be given, `production` only by releases."""
    record_app(database)
    with database.begin() as session:
        move_alias(session, APP, PRODUCTION, STABLE.digest, MovedBy("anna"), NOON)
    registry = OwnRegistry(database, "anna")
    version = registry.register(APP, CANDIDATE).version
    registry.move_alias(APP, "brief", version)
    registry.tag(APP, version, "protected", "")
    assert registry.aliases(APP) == {PRODUCTION: STABLE.digest, "brief": CANDIDATE.digest}
    assert {one.tags[DIGEST_TAG]: one.aliases for one in registry.versions(APP)} == {
        STABLE.digest: frozenset({PRODUCTION}),
        CANDIDATE.digest: frozenset({"brief"}),
    }
    with pytest.raises(RegistryError, match="only releases"):
        registry.move_alias(APP, PRODUCTION, version)
    with pytest.raises(ProtectedVersionError, match="production points at it"):
        registry.delete(APP, STABLE.digest)


def test_an_address_names_the_registry(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """None means the ledger; an address that is none is said."""
    assert open_registry(Settings(), database, "anna").address == "the ledger"
    named = open_registry(Settings(model_registry="mlflow+http://host:5000/"), database, "anna")
    assert named.address == "http://host:5000"
    monkeypatch.setenv("WANDB_API_KEY", "")
    with pytest.raises(RegistryError, match="WANDB_API_KEY"):
        open_registry(Settings(model_registry="wandb://acme/models"), database, "anna")
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.com/")
    hosted = open_registry(Settings(model_registry="wandb://acme/models"), database, "anna")
    assert hosted.address == "https://wandb.example.com/acme/models"
    with pytest.raises(RegistryError, match="expected mlflow"):
        open_registry(Settings(model_registry="ftp://host"), database, "anna")
