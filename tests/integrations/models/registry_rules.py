"""What every registry beside the ledger is held to."""

from softlaunch.catalog.aliases import BASELINE, PREVIOUS, PRODUCTION, RELEASED, MovedBy, move_alias
from softlaunch.integrations.models.interface import DIGEST_TAG, ModelRegistry
from softlaunch.retention.model_registry import mirror
from softlaunch.store.database import Database
from tests.support.builders import APP, CANDIDATE, NOON, STABLE, record_app


def aliases_follow(database: Database, registry: ModelRegistry) -> None:
    """A release and a rollback of an app that the registry doesn't know yet: a pass each, and none moves twice."""
    record_app(database)
    for production, previous in ((STABLE.digest, CANDIDATE.digest), (CANDIDATE.digest, STABLE.digest)):
        with database.begin() as session:
            for alias, digest in ((PRODUCTION, production), (PREVIOUS, previous), (BASELINE, production)):
                move_alias(session, APP, alias, digest, MovedBy("anna"), NOON)
        moved = mirror(database, registry)
        assert {one.alias: one.problem for one in moved} == {PRODUCTION: "", PREVIOUS: "", BASELINE: ""}
        assert mirror(database, registry) == []
        pointed = {one.tags[DIGEST_TAG]: one.aliases & set(RELEASED) for one in registry.versions(APP)}
        assert pointed == {production: {PRODUCTION, BASELINE}, previous: {PREVIOUS}}
