"""Releases in the ledger: opening and reading them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from softlaunch.core.errors import ConflictError, NotFoundError
from softlaunch.core.variant import Variant
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.stages import StageState
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Kind, Release, Stage, State, stages_of
from softlaunch.store.tables import AppRow, ReleaseRow, RouteRow, StageRow, TransitionRow, VariantRow

_PREFIXES = {Kind.RELEASE: "", Kind.AB_TEST: "ab-", Kind.TOPLINE: "topline-"}


class ReleaseLockedError(ConflictError):
    """The app has a live release already."""


class FencedError(ConflictError):
    """A driver was replaced, or its release moved on: it may write nothing."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, and from where: `anna` from `command line`."""

    name: str
    origin: str

    def __str__(self) -> str:
        """`anna (command line)`."""
        return f"{self.name} ({self.origin})"


Origin = Annotated[
    str,
    Field(
        title="From where",
        description="Where the request came from; kept in the ledger. Leave it as it is in a form.",
        examples=["prefect"],
    ),
]
"""An actor's origin as a field of a form that a person fills in."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a release is opened with."""

    app: str
    stable_digest: str
    candidate_digest: str
    policy: Policy
    policy_path: str
    kind: Kind = Kind.RELEASE
    emergency: str = ""


def open_release(session: Session, opening: Opening, actor: Actor, now: datetime) -> str:
    """Freeze what is to be released or tested and take the app's lock; returns the id.

    Raises ReleaseLockedError, naming the holder, when the app has a live release, and ConflictError when another
    variant serves by now than the one that the candidate is to be compared with.
    """
    route = session.get_one(RouteRow, opening.app, with_for_update=True, populate_existing=True)
    held = find_live(session, opening.app)  # whoever opened at the same moment has committed by now
    if held is not None:
        raise ReleaseLockedError(held_by(held, now))
    serves = opening.candidate_digest if opening.kind is Kind.TOPLINE else opening.stable_digest
    if route.stable_digest != serves:
        raise ConflictError(
            f"{opening.app} serves variant {route.stable_digest[:12]} by now, not {serves[:12]}; "
            "start the release again to compare with it"
        )
    row = _release_row(session, opening, route, actor, now)
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:  # somebody else's transaction took the lock since we looked
        raise ReleaseLockedError(f"{opening.app} was taken by another release at this moment; try again") from error
    stages = stages_of(opening.kind, opening.policy, emergency=bool(opening.emergency))
    session.add_all(_stage_row(row.id, stage) for stage in stages)
    why = f"opened as an emergency: {opening.emergency}" if opening.emergency else "opened"
    record_transition(session, row, State.PENDING, why, actor, now)
    return row.id


def _release_row(session: Session, opening: Opening, route: RouteRow, actor: Actor, now: datetime) -> ReleaseRow:
    newest = session.exec(select(func.max(ReleaseRow.number)).where(ReleaseRow.app == opening.app)).one() or 0
    return ReleaseRow(
        id=f"{opening.app}-{_PREFIXES[opening.kind]}{newest + 1}",
        kind=opening.kind,
        app=opening.app,
        number=newest + 1,
        live_app=opening.app,
        state=State.PENDING,
        stable_digest=opening.stable_digest,
        candidate_digest=opening.candidate_digest,
        policy=opening.policy.model_dump(mode="json"),
        policy_path=opening.policy_path,
        driver_token=route.fence,  # tokens grow over all releases of an app
        opened_at=now,
        opened_by=actor.name,
        opened_from=actor.origin,
        emergency=opening.emergency,
    )


def held_by(row: ReleaseRow, now: datetime) -> str:
    """Who holds an app, since when, who drives it, and what can be done about it."""
    driver = f"driven by {row.driver_holder}" if is_driven(row, now) else "without a driver at this moment"
    of_release = ("release", f"release watch {row.app}", f"release abort {row.app}")
    what, watch, end = {
        Kind.RELEASE: of_release,
        Kind.AB_TEST: ("A/B test", f"ab status {row.app}", f"ab stop {row.app}"),
        Kind.TOPLINE: ("topline", *of_release[1:]),
    }[Kind(row.kind)]
    return (
        f"{row.app} has a live {what}: {row.id} ({row.state}), opened by {row.opened_by} from {row.opened_from} at "
        f"{row.opened_at:%Y-%m-%d %H:%M} UTC, {driver}; watch it with 'softlaunch {watch}', or end it with "
        f"'softlaunch {end}'"
    )


def is_driven(row: ReleaseRow, now: datetime) -> bool:
    """Whether somebody holds the right to drive a live release."""
    return row.driver_expires_at is not None and row.driver_expires_at > now


def _stage_row(release_id: str, stage: Stage) -> StageRow:
    return StageRow(
        release_id=release_id,
        position=stage.position,
        kind=stage.kind,
        weight_percent=stage.weight_percent,
        state=StageState.WAITING,
        evidence={},
    )


def find_live(session: Session, app: str, *, lock: bool = False) -> ReleaseRow | None:
    """The app's live release or test, if there is one. Locked, its driver waits until this transaction has ended."""
    found = select(ReleaseRow).where(ReleaseRow.live_app == app)
    return session.exec(found.with_for_update() if lock else found).one_or_none()


def find_opened_from(session: Session, app: str, origin: str) -> str | None:
    """Id of the release of an app that a certain request opened."""
    return session.exec(
        select(ReleaseRow.id).where(ReleaseRow.app == app, ReleaseRow.opened_from == origin)
    ).one_or_none()


def find_latest(session: Session, app: str, kind: Kind = Kind.RELEASE) -> ReleaseRow:
    """The app's newest release or test; raises NotFoundError when it has none."""
    row = find_newest(session, app, set(State), kind)
    if row is None:
        known = (
            ", ".join(session.exec(select(AppRow.name).order_by(AppRow.name)).all()) or "none; run 'softlaunch init'"
        )
        what = "A/B test" if kind is Kind.AB_TEST else "release"
        raise NotFoundError(f"no {what} of {app!r} is recorded; apps: {known}")
    return row


def find_newest(session: Session, app: str, states: Collection[State], kind: Kind = Kind.RELEASE) -> ReleaseRow | None:
    """The newest of an app's releases, or tests, that are in one of these states."""
    found = select(ReleaseRow).where(ReleaseRow.app == app, col(ReleaseRow.state).in_(states), ReleaseRow.kind == kind)
    return session.exec(found.order_by(col(ReleaseRow.number).desc()).limit(1)).one_or_none()


def list_releases(session: Session, app: str | None, limit: int) -> list[Release]:
    """Releases of an app, or of all apps, newest first."""
    rows = (
        select(ReleaseRow)
        .where(ReleaseRow.kind == Kind.RELEASE)
        .order_by(col(ReleaseRow.opened_at).desc(), col(ReleaseRow.number).desc())
        .limit(limit)
    )
    found = session.exec(rows if app is None else rows.where(ReleaseRow.app == app))
    return [to_release(session, row) for row in found]


def read_release(session: Session, release_id: str) -> Release:
    """A release as a frozen value; raises NotFoundError."""
    row = session.get(ReleaseRow, release_id)
    if row is None:
        raise NotFoundError(f"no release {release_id!r} is recorded; see 'softlaunch release list'")
    return to_release(session, row)


def to_release(session: Session, row: ReleaseRow) -> Release:
    """The frozen value of a row."""
    return Release(
        id=row.id,
        app=row.app,
        number=row.number,
        state=State(row.state),
        position=row.stage,
        stable=_variant(session, row.stable_digest),
        candidate=_variant(session, row.candidate_digest),
        policy=Policy.model_validate(row.policy),
        policy_path=row.policy_path,
        revision=row.revision,
        driver_token=row.driver_token,
        driver_holder=row.driver_holder,
        driver_expires_at=row.driver_expires_at,
        opened_at=row.opened_at,
        opened_by=row.opened_by,
        ended_at=row.ended_at,
        outcome=Outcome(row.outcome) if row.outcome else None,
        reason=row.reason,
        run_url=row.run_url,
        kind=Kind(row.kind),
        emergency=row.emergency,
    )


def _variant(session: Session, digest: str) -> Variant:
    row = session.get(VariantRow, digest)
    if row is None:
        raise NotFoundError(f"variant {digest[:12]} isn't recorded; see 'softlaunch variants list'")
    return Variant.model_validate(row.content)


def record_transition(
    session: Session, row: ReleaseRow, came_from: State, reason: str, actor: Actor, now: datetime
) -> None:
    """Keep one step of a release's life."""
    session.add(
        TransitionRow(
            release_id=row.id,
            revision=row.revision,
            from_state=came_from,
            to_state=row.state,
            stage=row.stage,
            reason=reason,
            actor=str(actor),
            happened_at=now,
        )
    )
