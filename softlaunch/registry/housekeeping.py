"""A whole cleanup: every kind in turn, and what people are told of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlmodel import col

from softlaunch.edges.archives.interface import Archive
from softlaunch.errors import SoftlaunchError
from softlaunch.registry.cleanup import Cleaned, Totals, clean, plan, read_retention
from softlaunch.registry.request_shelf import RequestShelf
from softlaunch.registry.retention import Choice, Kind
from softlaunch.registry.shelves import Shelf, version_shelves
from softlaunch.store.database import Database
from softlaunch.store.news import Incident, IncidentKind, open_incident, tell
from softlaunch.store.tables import TextRow

_SHOWN = 200
_TEXTS_AT_ONCE = 1000
_GB = 1e9


class ApprovalNeededError(SoftlaunchError):
    """A cleanup that is too large to go on without a person; nothing was deleted."""


@dataclass(frozen=True, slots=True)
class PlanPart:
    """The plan of one kind: its totals, and the first of the items to delete."""

    kind: Kind
    totals: Totals
    first: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a cleanup would do, and the list prices of what is to be deleted before and after, in USD a month."""

    parts: tuple[PlanPart, ...]
    usd_now: float
    usd_archived: float

    @property
    def deleted(self) -> int:
        """Items to delete."""
        return sum(part.totals.deleted for part in self.parts)

    @property
    def deleted_bytes(self) -> int:
        """Bytes to delete."""
        return sum(part.totals.deleted_bytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class Done:
    """What a cleanup did to each kind, and how many texts it deleted for good because their time was over."""

    kinds: dict[Kind, Cleaned]
    texts: int

    @property
    def sentence(self) -> str:
        """What it did, in words."""
        parts = [f"{one.deleted} {kind} ({one.bytes / 1e6:.1f} MB)" for kind, one in self.kinds.items() if one.deleted]
        parts += [f"{self.texts} expired texts"] if self.texts else []
        return f"archived and deleted {', '.join(parts)}." if parts else "nothing was due."


@dataclass(frozen=True, slots=True)
class Housekeeper:
    """Plans and does cleanups of one ledger into one archive. `watch` hears of each step, for progress."""

    database: Database
    archive: Archive
    ledger_usd_per_gb_month: float
    actor: str
    clock: Callable[[], datetime]
    watch: Callable[[str], None]
    shelves: tuple[Shelf, ...] = (*version_shelves(), RequestShelf())

    def plan(self) -> Plan:
        """What is due, and why."""
        parts = tuple(_part(shelf.kind, plan(self.database, shelf, self.clock())) for shelf in self.shelves)
        size = sum(part.totals.deleted_bytes for part in parts) / _GB
        return Plan(parts, size * self.ledger_usd_per_gb_month, size * self.archive.usd_per_gb_month)

    def clean(self, planned: Plan, *, approved: bool = False) -> "Done":
        """Do what was planned. An error opens an incident, and leaves what isn't archived where it is.

        Raises ApprovalNeededError, having told people, when that is more than may go without a person's approval.
        """
        self._ask_if_large(planned, approved=approved)
        done: dict[Kind, Cleaned] = {}
        try:
            for shelf in self.shelves:
                done[shelf.kind] = clean(self.database, shelf, self.archive, self.actor, self.clock(), self.watch)
        except SoftlaunchError as error:
            self._complain(error)
            raise
        ended = Done(done, delete_expired_texts(self.database, self.clock()))
        with self.database.begin() as session:
            tell(session, "", None, f"Registry cleanup: {ended.sentence}", self.clock())
        return ended

    def _ask_if_large(self, planned: Plan, *, approved: bool) -> None:
        with self.database.begin() as session:
            limit = read_retention(session).ask_above_mb * 1e6
            if planned.deleted_bytes <= limit:
                return
            size = f"{planned.deleted} items of {planned.deleted_bytes / 1e6:.1f} MB"
            if approved:
                tell(session, "", None, f"Registry cleanup: {self.actor} approves deleting {size}.", self.clock())
                return
            asked = (
                f"the registry cleanup would delete {size}, more than retention.ask_above_mb allows by itself; look at "
                "'softlaunch registry cleanup --dry-run', then approve with 'softlaunch registry cleanup --approve'"
            )
            tell(session, "", None, f"Approval needed: {asked}.", self.clock())
        raise ApprovalNeededError(asked)

    def _complain(self, error: SoftlaunchError) -> None:
        incident = Incident(
            kind=IncidentKind.REGISTRY_CLEANUP_FAILED,
            app="",
            release_id=None,
            dedup_key="registry-cleanup",
            summary=f"Registry cleanup stopped: {error}",
            evidence={"archive": self.archive.address},
        )
        with self.database.begin() as session:
            open_incident(session, incident, self.clock())


def delete_expired_texts(database: Database, now: datetime) -> int:
    """Delete texts whose time is over, page by page, and for good: people's words aren't archived. Returns how many."""
    total = 0
    while True:
        with database.begin() as session:
            expired = select(col(TextRow.request_id), col(TextRow.arm)).where(
                col(TextRow.expires_at) <= now.timestamp()
            )
            keys = session.execute(expired.limit(_TEXTS_AT_ONCE)).all()
            for request_id, arm in keys:
                session.connection().execute(
                    delete(TextRow).where(col(TextRow.request_id) == request_id, col(TextRow.arm) == arm)
                )
        total += len(keys)
        if len(keys) < _TEXTS_AT_ONCE:
            return total


def _part(kind: Kind, choices: Iterable[Choice]) -> PlanPart:
    totals = Totals()
    first: list[Choice] = []
    for choice in choices:
        totals.count(choice)
        if choice.deleted and len(first) < _SHOWN:
            first.append(choice)
    return PlanPart(kind, totals, tuple(first))
