"""Every app at one look: what serves, what is being released, what waits for a person, and what is wrong."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from softlaunch.catalog.aliases import PRODUCTION
from softlaunch.catalog.records import check_app
from softlaunch.core.approvals import ApprovalState
from softlaunch.core.errors import NotFoundError
from softlaunch.core.incident_kinds import Severity
from softlaunch.store.tables import (
    AliasMoveRow,
    ApprovalRow,
    AppRow,
    DriftRunRow,
    IncidentRow,
    ReleaseRow,
    RouteRow,
    VariantRow,
)

PAGE = 50
_MOST = 2000  # apps, of which an installation has hundreds


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that waits for a person."""

    id: int
    app: str
    release_id: str | None
    text: str
    asked_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LiveRelease:
    """A release or A/B test under way, as far as one line tells it."""

    id: str
    kind: str
    state: str
    candidate: str
    opened_at: datetime
    opened_by: str


@dataclass(frozen=True, slots=True)
class AppLine:
    """One app. `since` and `by` tell when and by whom what serves was put in force; None where that isn't recorded."""

    name: str
    variant: str
    digest: str
    since: datetime | None
    by: str
    weight_percent: float
    live: LiveRelease | None = None
    asked: tuple[Asked, ...] = ()
    incidents: int = 0
    pages: int = 0
    drift: "Drift | None" = None
    golden: "Golden | None" = None


@dataclass(frozen=True, slots=True)
class Drift:
    """An app's newest finished drift check."""

    id: str
    checked_at: datetime | None
    drifted: bool
    summary: str


@dataclass(frozen=True, slots=True)
class Golden:
    """Where an app's golden set lies."""

    policy: Mapping[str, Any]
    policy_path: str


@dataclass(frozen=True, slots=True)
class Overview:
    """A page of apps, those first that a person must see to; and how many there are of each kind in all."""

    apps: Sequence[AppLine]
    total: int
    page: int
    pages: int
    asked: Sequence[Asked]
    live: int
    incidents: int
    names: Sequence[str] = field(default_factory=tuple)


def read_overview(session: Session, now: datetime, *, named: str = "", page: int = 1) -> Overview:
    """The apps whose names hold `named`, in pages of 50."""
    asked, live, wrong = read_asked(session, now), _live(session), _incidents(session)
    waits, pressing = Counter(one.app for one in asked), {app for app, kind in wrong if kind == Severity.PAGE}
    names = select(AppRow.name).order_by(AppRow.name).limit(_MOST)
    every = [name for name in session.exec(names) if named.casefold() in name.casefold()]
    every.sort(key=lambda name: (not waits[name], name not in pressing, name not in live, name))
    pages = max(1, -(-len(every) // PAGE))
    page = min(max(page, 1), pages)
    shown = every[(page - 1) * PAGE : page * PAGE]
    lines = read_lines(session, shown, asked, live, wrong)
    return Overview(lines, len(every), page, pages, asked, len(live), wrong.total(), every)


def read_app(session: Session, name: str, now: datetime) -> AppLine:
    """One app; raises NotFoundError."""
    check_app(session, name)
    lines = read_lines(session, [name], read_asked(session, now), _live(session), _incidents(session))
    if not lines:
        raise NotFoundError(f"{name} serves nothing yet; record its folder with 'softlaunch apply'")
    return lines[0]


def read_asked(session: Session, now: datetime) -> list[Asked]:
    """What waits for a person: of live releases the stage in force, and cleanups; at most 200, oldest first."""
    found = (
        select(ApprovalRow, ReleaseRow.app)
        .outerjoin(ReleaseRow, col(ReleaseRow.id) == col(ApprovalRow.release_id))
        .where(ApprovalRow.state == ApprovalState.PENDING, ApprovalRow.expires_at > now)
        .where(
            col(ApprovalRow.release_id).is_(None)
            | (col(ReleaseRow.live_app).is_not(None) & (col(ReleaseRow.stage) == ApprovalRow.position))
        )
        .order_by(col(ApprovalRow.id))
        .limit(200)
    )
    return [
        Asked(row.id or 0, app or row.app, row.release_id, row.text, row.asked_at, row.expires_at)
        for row, app in session.exec(found)
    ]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits for people: questions, and open incidents."""

    asked: int
    incidents: int


def count_waiting(session: Session, now: datetime) -> Waiting:
    """The counts that every page shows."""
    return Waiting(len(read_asked(session, now)), _incidents(session).total())


def _live(session: Session) -> dict[str, LiveRelease]:
    found = (
        select(ReleaseRow, VariantRow.label)
        .join(VariantRow, col(VariantRow.digest) == col(ReleaseRow.candidate_digest))
        .where(col(ReleaseRow.live_app).is_not(None))
        .limit(_MOST)
    )
    return {
        row.app: LiveRelease(row.id, row.kind, row.state, label, row.opened_at, row.opened_by)
        for row, label in session.exec(found)
    }


def _incidents(session: Session) -> Counter[tuple[str, str]]:
    found = (
        select(IncidentRow.app, IncidentRow.severity, func.count())
        .where(col(IncidentRow.open_key).is_not(None))
        .group_by(IncidentRow.app, IncidentRow.severity)
    )
    return Counter({(app, severity): count for app, severity, count in session.exec(found)})


def _served(session: Session, names: Sequence[str]) -> dict[str, tuple[float, str, str]]:
    """The candidate's share of everybody, and stable's digest and label, by app."""
    found = (
        select(RouteRow, VariantRow.digest, VariantRow.label)
        .join(VariantRow, col(VariantRow.digest) == col(RouteRow.stable_digest))
        .where(col(RouteRow.app).in_(names))
    )
    return {
        route.app: (0.0 if route.only else route.weight_percent, digest, label)
        for route, digest, label in session.exec(found)
    }


def read_lines(
    session: Session,
    names: Sequence[str],
    asked: Sequence[Asked],
    live: Mapping[str, LiveRelease],
    wrong: Counter[tuple[str, str]],
) -> list[AppLine]:
    """One line for each of the apps, in their order."""
    served = _served(session, names)
    moved, drift, golden = _moved(session, names), newest_checks(session, names), _golden(session, names)
    lines = []
    for name in names:
        if name in served:
            weight, digest, label = served[name]
            since, by = moved.get((name, digest)) or (None, "")
            own = tuple(one for one in asked if one.app == name)
            count, pages = sum(wrong[name, one] for one in Severity), wrong[name, Severity.PAGE]
            lines.append(
                AppLine(
                    name=name,
                    variant=label,
                    digest=digest,
                    since=since,
                    by=by,
                    weight_percent=weight,
                    live=live.get(name),
                    asked=own,
                    incidents=count,
                    pages=pages,
                    drift=drift.get(name),
                    golden=golden.get(name),
                )
            )
    return lines


def _moved(session: Session, names: Collection[str]) -> dict[tuple[str, str], tuple[datetime, str]]:
    """When and by whom `production` was pointed to what it points to, by app and digest."""
    newest = (
        select(func.max(AliasMoveRow.id))
        .where(col(AliasMoveRow.app).in_(names), AliasMoveRow.alias == PRODUCTION)
        .group_by(AliasMoveRow.app)
    )
    rows = session.exec(select(AliasMoveRow).where(col(AliasMoveRow.id).in_(newest)))
    return {(row.app, row.variant_digest): (row.moved_at, row.moved_by) for row in rows}


def newest_checks(session: Session, names: Collection[str]) -> dict[str, Drift]:
    """The newest finished drift check of each of these apps, by app."""
    newest = (
        select(DriftRunRow.app, func.max(DriftRunRow.number).label("number"))
        .where(col(DriftRunRow.app).in_(names), DriftRunRow.kind == "check", DriftRunRow.state == "done")
        .group_by(DriftRunRow.app)
        .subquery()
    )
    found = select(DriftRunRow).join(
        newest, (col(DriftRunRow.app) == newest.c.app) & (col(DriftRunRow.number) == newest.c.number)
    )
    return {
        row.app: Drift(row.id, row.ended_at, bool(row.report.get("drifted")), row.summary)
        for row in session.exec(found)
    }


def _golden(session: Session, names: Collection[str]) -> dict[str, Golden]:
    found = select(AppRow.name, AppRow.policy, AppRow.policy_path).where(col(AppRow.name).in_(names))
    return {name: Golden(policy, path) for name, policy, path in session.exec(found)}
