"""The registry cleanup: plan, archive, read back, delete, record.

Entries are deleted in the transaction that records where their copy is, and only once that copy has been read back.
Whatever is killed when, an item is in the ledger, or in the archive and recorded, or both; the next cleanup repeats
what was not finished.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session, select

from softlaunch.integrations.archives.interface import Archive
from softlaunch.policy.model import Policy
from softlaunch.policy.retention import RetentionPolicy, VersionRetention, combine
from softlaunch.retention.archive_objects import ArchiveObject, digest_of, pack, store_object
from softlaunch.retention.kinds import Entry, ItemStore, read_tags
from softlaunch.retention.rules import Choice, Item, Kind, Rules, choose, fingerprint, protection
from softlaunch.retention.uses import Uses, lock_uses, read_uses
from softlaunch.store.database import Database
from softlaunch.store.tables import AppRow, ArchivedRow, ArchiveObjectRow

OnStep = Callable[[str], None]
"""Is called with the name of each step before it: read, archive, read back, settle, delete, record, done."""

_BATCH_ITEMS = 500
_BATCH_BYTES = 8_000_000


@dataclass(slots=True)
class Totals:
    """What a plan comes to for one kind."""

    deleted: int = 0
    deleted_bytes: int = 0
    kept: int = 0
    kept_bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def count(self, choice: Choice) -> None:
        """Add a choice."""
        if choice.deleted:
            self.deleted += 1
            self.deleted_bytes += choice.item.bytes
            self.reasons[choice.reason] += 1
        else:
            self.kept += 1
            self.kept_bytes += choice.item.bytes


@dataclass(frozen=True, slots=True)
class Order:
    """What a cleanup is to do: only what was planned as of a time, by its fingerprints, and in whose name."""

    planned: frozenset[bytes]
    as_of: datetime
    actor: str


@dataclass(slots=True)
class Cleaned:
    """What a cleanup did to one kind."""

    deleted: int = 0
    bytes: int = 0
    archived_bytes: int = 0
    kept: int = 0
    """Planned items that were used, tagged or changed since the plan was made."""

    def add(self, other: "Cleaned") -> None:
        """Add what was done elsewhere."""
        self.deleted += other.deleted
        self.bytes += other.bytes
        self.archived_bytes += other.archived_bytes
        self.kept += other.kept


def read_retention(session: Session) -> RetentionPolicy:
    """The retention in force: of every app's the longest."""
    return combine([Policy.model_validate(policy).retention for policy in session.exec(select(AppRow.policy))])


def plan(database: Database, store: ItemStore, now: datetime) -> Iterator[Choice]:
    """What a cleanup would do with each item of a kind, in bounded memory."""
    with database.read() as session:
        rules = read_rules(session, store.kind)
    return choose(store.items(database), rules, now)


def clean(
    database: Database, store: ItemStore, archive: Archive, order: Order, now: datetime, on_step: OnStep
) -> Cleaned:
    """Archive and delete what was planned of one kind and still may go.

    Raises ArchiveError, then what is left is still there.
    """
    done = Cleaned()
    still_due = (choice for choice in plan(database, store, order.as_of) if choice.deleted)
    due = (choice for choice in still_due if fingerprint(store.kind, choice.item.key) in order.planned)
    for batch in batches(due):
        on_step("read")
        with database.read() as session:
            entries = store.entries(session, [choice.item.key for choice in batch])
        if not entries:
            continue
        packed = pack(store.kind, (entry.line for entry in entries))
        store_object(archive, packed, on_step)
        on_step("delete")
        with database.begin() as session:
            gone = _delete(session, store, batch, entries)
            if gone:
                _record_object(session, archive, packed, now)
            reasons = {choice.item.key: choice.reason for choice in batch}
            session.add_all(archived_row(entry, store.kind, reasons, packed, order.actor, now) for entry in gone)
            on_step("record")
        on_step("done")
        done.deleted += len(gone)
        done.bytes += sum(len(entry.line) for entry in gone)
        done.archived_bytes += len(packed.content)
        done.kept += len(entries) - len(gone)
    return done


def _delete(session: Session, store: ItemStore, batch: Sequence[Choice], entries: Sequence[Entry]) -> list[Entry]:
    """Delete what nothing has begun to use, tagged or changed since it was read; returns what is gone."""
    lock_uses(session)
    rules = read_rules(session, store.kind)
    keys = [entry.key for entry in entries]
    tags = read_tags(session, store.kind, keys)
    unused = {
        choice.item.key
        for choice in batch
        if protection(_tagged(choice.item, tags.get(choice.item.key)), rules) is None
    }
    same = {entry.key: entry.line for entry in store.entries(session, [key for key in keys if key in unused])}
    gone = [entry for entry in entries if same.get(entry.key) == entry.line]
    store.delete(session, [entry.key for entry in gone])
    return gone


def _tagged(item: Item, tags: frozenset[str] | None) -> Item:
    return Item(item.kind, item.key, item.group, item.since, item.bytes, tags or frozenset())


def _record_object(session: Session, archive: Archive, packed: ArchiveObject, now: datetime) -> None:
    """Record where the copies are; the same entries may have been archived before."""
    if session.get(ArchiveObjectRow, packed.key) is None:
        session.add(object_row(archive, packed, now))
        session.flush()


def object_row(archive: Archive, packed: ArchiveObject, now: datetime) -> ArchiveObjectRow:
    """The record of an object that was read back."""
    size = len(packed.content)
    return ArchiveObjectRow(key=packed.key, archive=archive.address, sha256=packed.sha256, bytes=size, written_at=now)


def archived_row(
    entry: Entry, kind: Kind, reasons: Mapping[str, str], packed: ArchiveObject, actor: str, now: datetime
) -> ArchivedRow:
    """The record of one deletion, with the archive object that holds the copy."""
    return ArchivedRow(
        kind=kind,
        key=entry.key,
        digest=digest_of(entry.line),
        content_digest=entry.content_digest,
        bytes=len(entry.line),
        reason=reasons[entry.key],
        bundle=packed.key,
        archived_at=now,
        archived_by=actor,
    )


def batches(choices: Iterable[Choice]) -> Iterator[list[Choice]]:
    """As many as go into one archive object, in order."""
    batch: list[Choice] = []
    size = 0
    for choice in choices:
        batch.append(choice)
        size += choice.item.bytes
        if len(batch) >= _BATCH_ITEMS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_rules(session: Session, kind: Kind) -> Rules:
    """The rules of a kind that are in force."""
    retention = read_retention(session)
    uses = read_uses(session, retention.recent_releases)
    return Rules(_of_kind(retention, kind), frozenset(retention.protected_tags), _used(uses, kind))


def _of_kind(retention: RetentionPolicy, kind: Kind) -> VersionRetention:
    by_age = {Kind.EVALS: retention.evals, Kind.REQUESTS: retention.requests}
    versions = {
        Kind.PROMPTS: retention.prompts,
        Kind.PARAMETERS: retention.parameters,
        Kind.MODELS: retention.models,
        Kind.VARIANTS: retention.variants,
    }
    return versions[kind] if kind in versions else VersionRetention(age=by_age[kind], keep_newest=0)


def _used(uses: Uses, kind: Kind) -> dict[str, str]:
    """What is in use, by key."""
    return {
        Kind.PROMPTS: uses.prompts,
        Kind.PARAMETERS: uses.parameters,
        Kind.MODELS: uses.models,
        Kind.VARIANTS: uses.variants,
        Kind.EVALS: uses.evals,
        Kind.REQUESTS: {},
    }[kind]
