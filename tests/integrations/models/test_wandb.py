"""W&B as a model registry: real client, own fake. The server is ours (wandb_server.py), as W&B's needs a container."""

import sys
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from softlaunch.catalog.aliases import PRODUCTION, MovedBy, move_alias
from softlaunch.integrations.models.interface import DIGEST_TAG, VERSION_TAG, ProtectedVersionError, RegistryError
from softlaunch.integrations.models.wandb import WandbRegistry
from softlaunch.retention.model_registry import mirror
from softlaunch.store.database import Database
from tests.integrations.models.registry_rules import aliases_follow
from tests.integrations.models.wandb_server import ENTITY, KEY, PROJECT, WandbServer, running_wandb
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, make_variant, record_app

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _no_reports_to_its_makers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


@pytest.fixture
def server() -> Iterator[WandbServer]:
    """A server of this test's own."""
    with running_wandb() as running:
        yield running


def _registry(server: WandbServer, page_size: int = 50) -> WandbRegistry:
    return WandbRegistry(f"{ENTITY}/{PROJECT}", SecretStr(KEY), server.url, page_size)


def test_versions_tags_and_aliases(server: WandbServer) -> None:
    """Real client, own fake: a variant is one version with its digest and semantic version, and aliases move."""
    registry = _registry(server, page_size=1)
    assert list(registry.versions(APP)) == []
    first = registry.register(APP, STABLE)
    assert registry.register(APP, STABLE).version == first.version
    second = registry.register(APP, CANDIDATE)
    for version in (first.version, second.version, second.version):
        registry.move_alias(APP, "production", version)
    registry.tag(APP, first.version, "protected", "true")
    newest, oldest = registry.versions(APP)
    assert (newest.version, newest.aliases) == (second.version, frozenset({"production", "latest"}))
    assert (newest.tags[DIGEST_TAG], newest.tags[VERSION_TAG]) == (CANDIDATE.digest, "1.1.0")
    assert (oldest.version, oldest.aliases, oldest.tags["protected"]) == (first.version, frozenset(), "true")
    assert server.operations.count("AddAliases") == 2, "an alias that is there already isn't given again"
    assert "variant.json" in server.uploads, "the variant itself is kept there"


def test_an_aliased_version_is_never_deleted(server: WandbServer) -> None:
    """Real client, own fake: nor one with the protected tag, ours or one given in W&B; the rest goes, once."""
    registry = _registry(server)
    made = [registry.register(APP, one) for one in (STABLE, CANDIDATE, make_variant("2.0.0"), make_variant("3.0.0"))]
    aliased, tagged, loose, newest = (one.version for one in made)
    registry.move_alias(APP, "production", aliased)
    server.of(APP)[2].tags.add("protected")
    for version, why in ((aliased, "production points"), (tagged, "tagged protected"), (newest, "latest points")):
        with pytest.raises(ProtectedVersionError, match=why):
            registry.delete(APP, version)
    registry.delete(APP, loose)
    registry.delete(APP, loose)
    assert [one.version for one in registry.versions(APP)] == [newest, tagged, aliased]


@pytest.mark.long
def test_an_alias_that_comes_between_keeps_the_version(server: WandbServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real client, own fake: W&B is asked to refuse what has an alias by the time that it deletes."""
    registry = _registry(server)
    version = registry.register(APP, STABLE).version
    monkeypatch.setattr(WandbRegistry, "aliases", lambda *_: {})
    with pytest.raises(RegistryError, match="cannot delete an artifact with aliases"):
        registry.delete(APP, version)
    assert [one.version for one in registry.versions(APP)] == [version]


@pytest.mark.long
def test_aliases_follow_releases_and_rollbacks(server: WandbServer, database: Database) -> None:
    """Real client, own fake: what the ledger's aliases point at, W&B's do after a pass; a second pass moves nothing."""
    aliases_follow(database, _registry(server))


@pytest.mark.long
def test_refusals_and_outages_wait_and_say_so(server: WandbServer, database: Database) -> None:
    """Real client, own fake: nothing is raised at whoever releases, and the key isn't told."""
    record_app(database)
    with database.begin() as session:
        move_alias(session, APP, PRODUCTION, STABLE.digest, MovedBy("anna"), NOON)
    server.refuse = "AddAliases"
    [refused] = mirror(database, _registry(server))
    assert "permission" in refused.sentence
    [away] = mirror(database, WandbRegistry("acme/models", SecretStr(KEY), "http://127.0.0.1:9"))
    assert "W&B at http://127.0.0.1:9/acme/models did not" in away.sentence
    assert KEY not in refused.sentence + away.sentence


def test_a_missing_client_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an optional part."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(RegistryError, match=r"pip install 'softlaunch\[wandb\]'"):
        WandbRegistry("acme/models", SecretStr(KEY)).find(APP, STABLE.digest)
