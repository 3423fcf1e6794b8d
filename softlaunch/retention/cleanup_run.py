"""A whole cleanup: every kind in turn, and the notice of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.integrations.archives.interface import Archive
from softlaunch.ledger.approvals import Approval
from softlaunch.ledger.notices import Incident, Message, notify, open_incident
from softlaunch.ledger.pins import forget_pins
from softlaunch.ledger.releases import Actor
from softlaunch.ledger.texts import delete_expired
from softlaunch.retention.approval import (
    ApprovalNeededError,
    CleanupApproval,
    ask_person,
    digest_of,
    how_to_answer,
    read_approval,
)
from softlaunch.retention.cleanup import Cleaned, Order, Totals, clean, plan, read_retention
from softlaunch.retention.kinds import ItemStore, version_stores
from softlaunch.retention.request_days import DayCleanup
from softlaunch.retention.request_rows import RequestStore
from softlaunch.retention.rules import Choice, Kind, fingerprint
from softlaunch.store.database import Database

_SHOWN = 200
_GB = 1e9


@dataclass(frozen=True, slots=True)
class PlanPart:
    """The plan of one kind: its totals, the first of the items to delete, and the fingerprints of all of them."""

    kind: Kind
    totals: Totals
    first: tuple[Choice, ...]
    fingerprints: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a cleanup would do, and the list prices of what is to be deleted before and after, in USD a month.

    `as_of` is when it was made. `approval` is the open or granted approval of exactly this plan.
    """

    parts: tuple[PlanPart, ...]
    usd_now: float
    usd_archived: float
    as_of: datetime
    approval: CleanupApproval | None = None

    @property
    def deleted(self) -> int:
        """Items to delete."""
        return sum(part.totals.deleted for part in self.parts)

    @property
    def deleted_bytes(self) -> int:
        """Bytes to delete."""
        return sum(part.totals.deleted_bytes for part in self.parts)

    @property
    def fingerprints(self) -> frozenset[bytes]:
        """Of everything to delete."""
        return frozenset().union(*(part.fingerprints for part in self.parts))

    @property
    def size(self) -> str:
        """How much it is, in words."""
        kinds = ", ".join(f"{part.totals.deleted:,} {part.kind}" for part in self.parts if part.totals.deleted)
        return f"{self.deleted_bytes / 1e6:.1f} MB ({kinds})"


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
class RegistryCleanup:
    """Plans and does cleanups of one ledger into one archive. `on_step` is called with the name of each step."""

    database: Database
    archive: Archive
    ledger_usd_per_gb_month: float
    actor: Actor
    clock: Callable[[], datetime]
    on_step: Callable[[str], None]
    stores: tuple[ItemStore, ...] = (*version_stores(), RequestStore())

    def plan(self) -> Plan:
        """What is due, and why.

        Where an approval is open, or was granted for a plan that isn't done, it is that very plan, as of when the
        approval was asked for. What has come due since is left to the next cleanup.
        """
        now = self.clock()
        with self.database.read() as session:
            approval = read_approval(session, now)
        if approval is not None:
            again = replace(self._plan_at(approval.asked_at), approval=approval)
            if again.deleted and self._subject(again) == approval.asked.subject_digest:
                return again
        return self._plan_at(now)

    def _plan_at(self, at: datetime) -> Plan:
        parts = tuple(_part(store.kind, plan(self.database, store, at)) for store in self.stores)
        size = sum(part.totals.deleted_bytes for part in parts) / _GB
        return Plan(parts, size * self.ledger_usd_per_gb_month, size * self.archive.usd_per_gb_month, at)

    def _subject(self, planned: Plan) -> str:
        done: frozenset[bytes] = planned.approval.done if planned.approval else frozenset()
        return digest_of(self.archive.address, planned.fingerprints | done)

    def ask(self, planned: Plan) -> Approval | None:
        """The approval that a plan still needs, asked for now if it wasn't before; None where it needs none."""
        if planned.approval is not None:
            return None if planned.approval.granted else planned.approval.asked
        with self.database.begin() as session:
            if planned.deleted_bytes <= read_retention(session).ask_above_mb * 1e6:
                return None
            return ask_person(session, self._subject(planned), planned.size, self.actor.name, planned.as_of)

    def clean(self, planned: Plan) -> "Done":
        """Do exactly what was planned. An error opens an incident, and leaves what isn't archived where it is.

        Raises ApprovalNeededError where it needs an approval, which is then asked for.
        """
        asked = self.ask(planned)
        if asked is not None:
            raise ApprovalNeededError(f"{asked.text} {how_to_answer(asked.app, asked.id)}, then run it again")
        actor = str(self.actor) if planned.approval is None else planned.approval.sign(str(self.actor))
        done: dict[Kind, Cleaned] = {}
        try:
            for store, part in zip(self.stores, planned.parts, strict=True):
                order = Order(part.fingerprints, planned.as_of, actor)
                done[store.kind] = self._clean_days(order) if store.kind is Kind.REQUESTS else Cleaned()
                cleaned = clean(self.database, store, self.archive, order, self.clock(), self.on_step)
                done[store.kind].add(cleaned)
        except SoftlaunchError as error:
            self._open_incident(error)
            raise
        forget_pins(self.database, self.clock().timestamp())
        ended = Done(done, delete_expired(self.database, self.clock().timestamp()))
        self.database.empty_log()
        with self.database.begin() as session:
            notify(session, Message("", None, f"Registry cleanup: {ended.sentence}"), self.clock())
        return ended

    def _clean_days(self, order: Order) -> Cleaned:
        """Drop days of the request log whole, where the ledger has it in days; what is left goes row by row."""
        return DayCleanup(self.database, self.archive, order, self.clock(), self.on_step).clean()

    def _open_incident(self, error: SoftlaunchError) -> None:
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


def _part(kind: Kind, choices: Iterable[Choice]) -> PlanPart:
    totals = Totals()
    first: list[Choice] = []
    fingerprints = set()
    for choice in choices:
        totals.count(choice)
        if choice.deleted:
            fingerprints.add(fingerprint(kind, choice.item.key))
            if len(first) < _SHOWN:
                first.append(choice)
    return PlanPart(kind, totals, tuple(first), frozenset(fingerprints))
