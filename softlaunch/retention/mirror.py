"""Showing in another model registry what serves: its aliases follow those of the ledger.

Nothing waits for it. Each pass compares where the aliases point and moves those that differ, so that a pass that failed
is made up for by the next one, and one that is repeated changes nothing.
"""

from dataclasses import dataclass

from sqlmodel import col, select

from softlaunch.catalog.aliases import RELEASED
from softlaunch.catalog.records import list_aliases
from softlaunch.core.variant import Variant
from softlaunch.integrations.models.interface import ModelRegistry, RegistryError
from softlaunch.store.database import Database
from softlaunch.store.tables import VariantRow


@dataclass(frozen=True, slots=True)
class Mirrored:
    """An alias that was moved to the variant that the ledger names, or the problem that keeps it from following."""

    app: str
    alias: str
    variant_digest: str
    version: str = ""
    problem: str = ""

    @property
    def sentence(self) -> str:
        """For people."""
        if self.problem:
            return f"{self.alias} of {self.app} waits to follow {self.variant_digest[:12]}: {self.problem}"
        return f"{self.alias} of {self.app} is version {self.version} ({self.variant_digest[:12]}) now"


def mirror(database: Database, registry: ModelRegistry) -> list[Mirrored]:
    """Let the aliases that releases move follow; returns those that moved, and those that could not."""
    with database.read() as session:
        wanted = [one for one in list_aliases(session) if one.alias in RELEASED]
        digests = {one.variant_digest for one in wanted}
        rows = session.exec(select(VariantRow).where(col(VariantRow.digest).in_(digests)))
        variants = {row.digest: Variant.model_validate(row.content) for row in rows}
    found: list[Mirrored] = []
    for app in sorted({one.app for one in wanted}):
        pointed = {one.alias: variants[one.variant_digest] for one in wanted if one.app == app}
        found += _mirror_app(registry, app, pointed)
    return found


def _mirror_app(registry: ModelRegistry, app: str, wanted: dict[str, Variant]) -> list[Mirrored]:
    moved: list[Mirrored] = []
    try:
        held = registry.aliases(app)
        for alias, variant in sorted(wanted.items()):
            version = registry.register(app, variant).version
            if held.get(alias) != version:
                registry.move_alias(app, alias, version)
                moved.append(Mirrored(app, alias, variant.digest, version))
    except RegistryError as error:
        done = {one.alias for one in moved}
        waiting = [Mirrored(app, alias, one.digest, problem=str(error)) for alias, one in sorted(wanted.items())]
        return [*moved, *(one for one in waiting if one.alias not in done)]
    return moved
