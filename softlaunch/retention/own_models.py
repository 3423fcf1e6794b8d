"""The ledger as a model registry: variants that an app's aliases have pointed at."""

from collections.abc import Iterator, Mapping

from sqlmodel import Session, col, select

from softlaunch.catalog import records
from softlaunch.catalog.aliases import RELEASED, MovedBy, move_alias
from softlaunch.core.clock import utc_now
from softlaunch.core.variant import Variant
from softlaunch.integrations.models.interface import ModelRegistry, Registered, RegistryError, tags_of
from softlaunch.retention.kinds import tag as tag_item
from softlaunch.retention.rules import Kind
from softlaunch.store.database import Database
from softlaunch.store.tables import AliasMoveRow, AliasRow, TagRow, VariantRow


class OwnRegistry(ModelRegistry):
    """A version's number is the digest of its variant."""

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor

    @property
    def address(self) -> str:
        """The ledger."""
        return "the ledger"

    def versions(self, model: str) -> Iterator[Registered]:
        """Newest first."""
        with self._database.read() as session:
            pointed = select(AliasMoveRow.variant_digest).where(AliasMoveRow.app == model)
            query = select(VariantRow).where(col(VariantRow.digest).in_(pointed))
            rows = session.exec(query.order_by(col(VariantRow.recorded_at).desc(), col(VariantRow.digest))).all()
            found = [self._registered(session, model, row) for row in rows]
        yield from found

    def find(self, model: str, digest: str) -> Registered | None:
        """By its digest."""
        return next((one for one in self.versions(model) if one.version == digest), None)

    def register(self, model: str, variant: Variant) -> Registered:
        """Record the variant."""
        with self._database.begin() as session:
            records.check_app(session, model)
            records.record_variant(session, variant, utc_now())
        return Registered(model, variant.digest, tags_of(variant), frozenset())

    def aliases(self, model: str) -> Mapping[str, str]:
        """The app's aliases."""
        with self._database.read() as session:
            return {one.alias: one.variant_digest for one in records.list_aliases(session, model)}

    def move_alias(self, model: str, alias: str, version: str) -> None:
        """Name a variant. Raises RegistryError for the aliases that only releases move."""
        if alias in RELEASED:
            raise RegistryError(f"only releases and rollbacks move {alias!r}; give the variant another name")
        with self._database.begin() as session:
            move_alias(session, model, alias, version, MovedBy(self._actor), utc_now())

    def tag(self, model: str, version: str, name: str, value: str) -> None:  # noqa: ARG002  (variants are all apps')
        """Tag the variant; a tag of the ledger has no value but its name."""
        with self._database.begin() as session:
            tag_item(session, Kind.VARIANTS, version, f"{name}={value}" if value else name, self._actor, utc_now())

    def _delete(self, model: str, version: str) -> None:
        raise RegistryError(f"{version[:12]} of {model} served once, and the history refers to it; it stays")

    def _registered(self, session: Session, model: str, row: VariantRow) -> Registered:
        tags = session.exec(select(TagRow.tag).where(TagRow.kind == Kind.VARIANTS, TagRow.key == row.digest))
        held = session.exec(select(AliasRow.alias).where(AliasRow.app == model, AliasRow.variant_digest == row.digest))
        named = {name.partition("=")[0]: name.partition("=")[2] for name in tags}
        return Registered(model, row.digest, {**tags_of(Variant.model_validate(row.content)), **named}, frozenset(held))
