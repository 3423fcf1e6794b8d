"""Rollbacks that a person orders: one step, or to a named version that has served before."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session, col, select

from softlaunch.approvals.rules import VoteResult
from softlaunch.catalog.aliases import PRODUCTION
from softlaunch.catalog.records import AmbiguousError, check_app, get_variant
from softlaunch.core.errors import ConflictError, NotFoundError, SoftlaunchError
from softlaunch.core.variant import Variant
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.lease import Transition, apply_transition
from softlaunch.ledger.notices import Message, notify
from softlaunch.ledger.releases import Actor, find_live, find_newest, to_release
from softlaunch.ledger.splits import Split, set_split
from softlaunch.policy.release import Release, State
from softlaunch.releases.ending import AliasTargets, Ended, end_live, point_aliases, roll_back
from softlaunch.store.tables import AliasMoveRow, ReleaseRow, RouteRow, VariantRow, VoteRow

PUT_IN_FORCE = "put in force"
"""What the audit says of a rollback to a named version."""
_SHORT = 12


class UntriedError(SoftlaunchError):
    """A version was named that has never served the app's users."""


@dataclass(frozen=True, slots=True)
class RollbackOrder:
    """How far to roll an app back, by whom and why: one step, or `to` a named version.

    `to` is a prompt version, a variant's name, alias or digest; `untried` allows one that has never served this app's
    users.
    """

    app: str
    reason: str
    by: Actor
    to: str | None = None
    untried: bool = False


def carry_out(session: Session, order: RollbackOrder, now: datetime) -> Ended:
    """Roll back as ordered; `message` of what is returned explains what is more than one step, or nothing.

    An order may be repeated without harm: a second step is never taken, and a version in force stays in force. Raises
    NotFoundError, AmbiguousError and UntriedError with what could be named instead.
    """
    if order.to is not None:
        return _put_in_force(session, order, order.to, now)
    ended = roll_back(session, order.app, order.by, order.reason, now)
    return ended if ended.changed else ended.with_message(_why_nothing(session, order.app, ended))


def _put_in_force(session: Session, order: RollbackOrder, reference: str, now: datetime) -> Ended:
    """Let a named version serve, end a live release first, and record who ordered it and why."""
    app = order.app
    check_app(session, app)
    live = find_live(session, app, lock=True)
    target = _named(session, app, reference)
    if not order.untried and target.digest not in _served(session, app):
        raise UntriedError(_untried_message(session, app, target))
    ended = None if live is None else end_live(session, live, order.by, order.reason, now)
    route = session.get_one(RouteRow, app, with_for_update=True, populate_existing=True)
    if find_live(session, app) is not None:
        raise ConflictError(f"a release of {app} was opened at this moment; repeat the command to end it")
    if route.stable_digest == target.digest:
        return _stays(session, app, target, ended, route)
    return _replace(session, order, target, ended, route, now)


def _stays(session: Session, app: str, target: Variant, ended: Ended | None, route: RouteRow) -> Ended:
    message = f"{app} is served by {_shown(target)}{_since(session, app, target.digest)}."
    if ended is not None:
        return ended.with_message(f"{ended.release_id} is {ended.state}; {message}")
    newest = find_newest(session, app, set(State))
    unchanged = _ended(newest, route.revision, target).with_message(f"{message} Nothing was changed.")
    return replace(unchanged, changed=False)


def _replace(
    session: Session, order: RollbackOrder, target: Variant, ended: Ended | None, route: RouteRow, now: datetime
) -> Ended:
    """Change what serves, and roll back the releases that made it so."""
    app = order.app
    before = Variant.model_validate(session.get_one(VariantRow, route.stable_digest).content)
    fence = route.fence + 1
    undone = _made_it_so(session, app, before.digest, target.digest)
    for release in undone:
        step = Transition(release, State.ROLLED_BACK, release.position, order.reason, Outcome.FAIL)
        apply_transition(session, step, order.by, now)
    revision = set_split(session, app, target.digest, Split(), fence, now)
    about = undone[0].id if undone else None
    point_aliases(session, app, AliasTargets(target.digest, before.digest), order.by, now, about)
    gone = f", and {', '.join(one.id for one in undone)} rolled back" if undone else ""
    message = f"{app} is served by {_shown(target)} in place of {_shown(before)}{gone}."
    if ended is not None:
        message = f"{ended.release_id} is {ended.state}; {message}"
    notify(session, Message(app, about, f"{order.by} rolled back: {message} {order.reason}."), now)
    _record(session, order, message, now)
    newest = ended.release_id if ended is not None else about
    row = session.get(ReleaseRow, newest) if newest else find_newest(session, app, set(State))
    return _ended(row, revision, target).with_message(message)


def _ended(row: ReleaseRow | None, revision: int, target: Variant) -> Ended:
    return Ended("" if row is None else row.id, None if row is None else State(row.state), revision, target.digest)


def _record(session: Session, order: RollbackOrder, message: str, now: datetime) -> None:
    """Record it in the audit of what people said, where the history finds it."""
    session.add(
        VoteRow(
            app=order.app,
            said=PUT_IN_FORCE,
            person=order.by.name,
            name=order.by.name,
            origin=order.by.origin,
            reason=order.reason,
            ruling=VoteResult.DECIDED,
            told=message,
            said_at=now,
        )
    )


def _made_it_so(session: Session, app: str, serving: str, target: str) -> list[Release]:
    """The promoted releases that led from the target to what serves, newest first; else only the newest of them."""
    chain: list[Release] = []
    at = serving
    for row in _promoted(session, app):
        if row.candidate_digest != at:
            continue
        chain.append(to_release(session, row))
        at = row.stable_digest
        if at == target:
            return chain
    return chain[:1]


def _promoted(session: Session, app: str) -> list[ReleaseRow]:
    rows = select(ReleaseRow).where(ReleaseRow.app == app, ReleaseRow.state == State.PROMOTED)
    return list(session.exec(rows.order_by(col(ReleaseRow.number).desc())))


def _served(session: Session, app: str) -> dict[str, datetime]:
    """Digests of what has served all users of an app, in the order of when each last began to."""
    began: dict[str, datetime] = {}
    stables = select(ReleaseRow.stable_digest, ReleaseRow.opened_at).where(ReleaseRow.app == app)
    for digest, at in session.exec(stables.order_by(col(ReleaseRow.number))):
        began.setdefault(digest, at)
    moves = select(AliasMoveRow).where(AliasMoveRow.app == app, AliasMoveRow.alias == PRODUCTION)
    for move in session.exec(moves.order_by(col(AliasMoveRow.id))):
        began[move.variant_digest] = move.moved_at
    serving = session.get_one(RouteRow, app)
    began.setdefault(serving.stable_digest, serving.changed_at)
    return dict(sorted(began.items(), key=lambda one: one[1]))


def _named(session: Session, app: str, reference: str) -> Variant:
    """The variant that a reference names: a prompt version names the one with it that serves, else that has served.

    So the same words mean the same once they are done. Raises NotFoundError and AmbiguousError.
    """
    if "@" not in reference:
        return get_variant(session, app, reference)
    rows = _with_prompt(session, reference)
    served, serving = _served(session, app), session.get_one(RouteRow, app).stable_digest
    in_force = [row for row in rows if row.digest == serving]
    found = in_force or [row for row in rows if row.digest in served] or rows
    if not found:
        known = ", ".join(_reference(session, app, digest) for digest in reversed(served) if digest != serving)
        raise NotFoundError(
            f"no variant with {reference} is recorded; {app} was served before by: {known or 'nothing else'}. A "
            f"version that never served is released: softlaunch release start {app} --prompt {reference}"
        )
    if len(found) > 1:
        shown = "; ".join(f"{row.digest[:_SHORT]} ({row.label})" for row in sorted(found, key=lambda row: row.label))
        raise AmbiguousError(f"several variants of {app} have {reference}; name one by its digest: {shown}")
    return Variant.model_validate(found[0].content)


def _with_prompt(session: Session, reference: str) -> list[VariantRow]:
    name, _, version = reference.partition("@")
    wanted = select(VariantRow).where(VariantRow.prompt_name == name, VariantRow.prompt_version == version)
    return list(session.exec(wanted))


def _reference(session: Session, app: str, digest: str) -> str:
    """The shortest name by which `--to` finds a variant: its prompt version, where no other has served with it."""
    row = session.get_one(VariantRow, digest)
    label = f"{row.prompt_name}@{row.prompt_version}"
    try:
        return label if _named(session, app, label).digest == digest else digest[:_SHORT]
    except AmbiguousError:
        return digest[:_SHORT]


def _untried_message(session: Session, app: str, target: Variant) -> str:
    served, serving = _served(session, app), session.get_one(RouteRow, app).stable_digest
    known = ", ".join(_reference(session, app, digest) for digest in reversed(served) if digest != serving)
    return (
        f"{_shown(target)} has never served {app}'s users, so this would be a release without any check: start one "
        f"('softlaunch release start'; with --emergency where stable doesn't answer), go back to what has served "
        f"({known or 'nothing else has'}), or insist with --untried"
    )


def _why_nothing(session: Session, app: str, ended: Ended) -> str:
    """The message when nothing is left to roll back: what serves, since when, and how to go further."""
    row = session.get_one(ReleaseRow, ended.release_id)
    when = f" at {row.ended_at:%Y-%m-%d %H:%M} UTC" if row.ended_at else ""
    did = {
        State.ROLLED_BACK: f"was already rolled back{when}",
        State.ABORTED: f"was already ended{when}",
        State.REJECTED: f"was rejected{when}, no user was exposed to it",
    }.get(State(row.state), f"is {row.state}")
    serving = Variant.model_validate(session.get_one(VariantRow, ended.serving_digest).content)
    stands = f"{app} is served by {_shown(serving)}{_since(session, app, serving.digest)}"
    earlier = _earlier(session, app, serving.digest)
    further = (
        f"To go further back: softlaunch rollback {app} --to {_reference(session, app, earlier)}"
        if earlier
        else f"Nothing else served before it; 'softlaunch variants list --app {app}' shows what is recorded"
    )
    return f"{row.id} {did} ({row.reason}). {stands}. Nothing was changed. {further}."


def _earlier(session: Session, app: str, serving: str) -> str | None:
    """What served before: the stable that was replaced by a promotion, else the newest that was not rolled back."""
    for row in _promoted(session, app):
        if row.candidate_digest == serving and row.stable_digest != serving:
            return row.stable_digest
    gone = select(ReleaseRow.candidate_digest).where(ReleaseRow.app == app, ReleaseRow.state == State.ROLLED_BACK)
    rolled_back = set(session.exec(gone))
    return next((one for one in reversed(_served(session, app)) if one != serving and one not in rolled_back), None)


def _since(session: Session, app: str, digest: str) -> str:
    """Since when a variant is in force, and who made it so, as far as is known."""
    moves = select(AliasMoveRow).where(AliasMoveRow.app == app, AliasMoveRow.alias == PRODUCTION)
    newest = session.exec(moves.order_by(col(AliasMoveRow.id).desc()).limit(1)).one_or_none()
    if newest is None or newest.variant_digest != digest:
        return ""
    return f" since {newest.moved_at:%Y-%m-%d %H:%M} UTC (by {newest.moved_by})"


def _shown(variant: Variant) -> str:
    return f"{variant.label} ({variant.short})"
