"""MLflow as a model registry: a real server, and faults that it won't produce on demand."""

from uuid import uuid4

import httpx
import pytest

from softlaunch.catalog.aliases import PRODUCTION, MovedBy, move_alias
from softlaunch.integrations.models.interface import DIGEST_TAG, VERSION_TAG, ProtectedVersionError, RegistryError
from softlaunch.integrations.models.mlflow import MlflowRegistry
from softlaunch.retention.model_registry import mirror
from softlaunch.store.database import Database
from tests.integrations.models.registry_rules import aliases_follow
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, make_variant, record_app

pytestmark = pytest.mark.timeout(360)  # the server's start counts for the first test


@pytest.fixture
def model() -> str:
    """A model of this test's own."""
    return f"bot-{uuid4().hex[:8]}"


@pytest.mark.long
def test_versions_tags_and_aliases(mlflow_url: str, model: str) -> None:
    """A variant is registered once, carries its digest and semantic version, and aliases move."""
    registry = MlflowRegistry(mlflow_url)
    assert list(registry.versions(model)) == []
    assert registry.aliases(model) == {}
    first = registry.register(model, STABLE)
    assert registry.register(model, STABLE).version == first.version
    second = registry.register(model, CANDIDATE)
    for version in (first.version, second.version, second.version):
        registry.move_alias(model, "production", version)
    registry.tag(model, first.version, "protected", "true")
    newest, oldest = registry.versions(model)
    assert (newest.version, newest.aliases) == (second.version, frozenset({"production"}))
    assert (newest.tags[DIGEST_TAG], newest.tags[VERSION_TAG]) == (CANDIDATE.digest, "1.1.0")
    assert oldest.tags["protected"] == "true"
    found = registry.find(model, STABLE.digest)
    assert found is not None
    assert found.version == first.version


@pytest.mark.long
def test_an_aliased_version_is_never_deleted(mlflow_url: str, model: str) -> None:
    """MLflow itself would let it go, silently; we don't, nor one that is tagged as protected."""
    registry = MlflowRegistry(mlflow_url)
    first, second, third = (registry.register(model, one) for one in (STABLE, CANDIDATE, make_variant("2.0.0")))
    registry.move_alias(model, "production", first.version)
    registry.tag(model, second.version, "protected", "true")
    with pytest.raises(ProtectedVersionError, match="production points at it"):
        registry.delete(model, first.version)
    with pytest.raises(ProtectedVersionError, match="tagged protected"):
        registry.delete(model, second.version)
    registry.delete(model, third.version)
    registry.delete(model, third.version)
    assert [one.version for one in registry.versions(model)] == [second.version, first.version]


@pytest.mark.long
def test_more_versions_than_a_page(mlflow_url: str, model: str) -> None:
    """Pages follow each other until the last one."""
    registry = MlflowRegistry(mlflow_url, page_size=2)
    made = [registry.register(model, make_variant(f"1.{number}.0")).version for number in range(5)]
    assert [one.version for one in registry.versions(model)] == made[::-1]


@pytest.mark.long
def test_aliases_follow_releases_and_rollbacks(mlflow_url: str, database: Database) -> None:
    """What the ledger's aliases point at, MLflow's do after a pass; a second pass moves nothing."""
    aliases_follow(database, MlflowRegistry(mlflow_url))


def test_an_outage_is_made_up_for(database: Database) -> None:
    """While the registry is away aliases wait, and say so; nothing is raised at whoever releases."""
    record_app(database)
    with database.begin() as session:
        move_alias(session, APP, PRODUCTION, STABLE.digest, MovedBy("anna"), NOON)

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    [waiting] = mirror(database, MlflowRegistry("http://mlflow", transport=httpx.MockTransport(away)))
    assert (waiting.app, waiting.alias) == (APP, PRODUCTION)
    assert "did not answer" in waiting.sentence


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(httpx.Response(403, json={"error_code": "PERMISSION_DENIED"}), "PERMISSION_DENIED", id="denied"),
        pytest.param(httpx.Response(502, text="<html>"), "did not answer", id="a proxy's page"),
        pytest.param(httpx.Response(500, json={}), "refused registered-models/get: 500", id="no reason"),
    ],
)
def test_refusals_say_what_to_look_at(answer: httpx.Response, said: str) -> None:
    """An answer that is none, or no, is an error with the server's words."""
    registry = MlflowRegistry("http://mlflow", transport=httpx.MockTransport(lambda request: answer))
    with pytest.raises(RegistryError, match=said):
        registry.aliases("bot")
