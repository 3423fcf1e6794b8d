"""Whether a first variant never served well, so that `apply` may replace it: a wrong first endpoint has no release.

Only what never gave a good answer is replaced, and only where that is known: by failed answers in the request log, or
because its endpoint was asked just now and doesn't answer. Everything else changes by a release.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from softlaunch.core.request_outcome import ARM_FAILURES, GOOD, UNUSABLE
from softlaunch.core.variant import ModelVersion, Variant
from softlaunch.ledger.logged import Logged
from softlaunch.ledger.releases import find_live
from softlaunch.policy.release import State
from softlaunch.store.tables import (
    AliasMoveRow,
    DailyRequestRow,
    ModelRow,
    ReleaseRow,
    RequestRow,
    RouteRow,
    VariantRow,
)

_HARMLESS = (State.REJECTED, State.ABORTED)


def may_replace(session: Session, app: str, digest: str, silent: Collection[str]) -> bool:
    """Whether an app's first variant may give way to another one without a release.

    `silent` are the digests of models whose endpoints are known not to answer.
    """
    row = session.get(VariantRow, digest)
    if row is None or find_live(session, app) is not None or _was_released(session, digest):
        return False
    variant = Variant.model_validate(row.content)
    return not _answered(session, digest) and (variant.model.digest in silent or _failed(session, digest))


def repair_model(session: Session, model: ModelVersion, source: str, silent: Collection[str], now: datetime) -> bool:
    """Replace the record of a model version none of whose variants ever answered; False where it must stay."""
    row = session.get(ModelRow, model.name)
    if row is None or row.digest == model.digest:
        return False
    users = [
        one.digest
        for one in session.exec(select(VariantRow).where(VariantRow.model_name == model.name))
        if Variant.model_validate(one.content).model.digest == row.digest
    ]
    if any(_was_released(session, digest) or _answered(session, digest) for digest in users):
        return False
    if _stands_in(session, model.name):
        return False
    if row.digest not in silent and not any(_failed(session, digest) for digest in users):
        return False
    row.digest, row.content = model.digest, model.model_dump(mode="json")
    row.source, row.recorded_at = source, now
    session.flush()
    return True


def _was_released(session: Session, digest: str) -> bool:
    """Whether a release has brought a variant to users, or compared another one with it while users met that."""
    either = (col(ReleaseRow.stable_digest) == digest) | (col(ReleaseRow.candidate_digest) == digest)
    found = select(ReleaseRow.id).where(either, col(ReleaseRow.state).not_in(_HARMLESS)).limit(1)
    return session.exec(found).first() is not None


def _answered(session: Session, digest: str) -> bool:
    """Whether a variant ever gave a good answer, as far as the request log and its daily sums reach."""
    days = select(DailyRequestRow.day).where(
        DailyRequestRow.variant_digest == digest, DailyRequestRow.requests > DailyRequestRow.failed
    )
    return (
        _has_row(session, digest, col(RequestRow.outcome).in_(GOOD)) or session.exec(days.limit(1)).first() is not None
    )


def _stands_in(session: Session, name: str) -> bool:
    """Whether a model ever answered as a fallback, or is one of a variant that was released."""
    with_fallbacks = session.exec(
        select(VariantRow.digest, VariantRow.fallbacks).where(col(VariantRow.fallbacks).is_not(None))
    )
    digests = [digest for digest, fallbacks in with_fallbacks.all() if name in (fallbacks or ())]
    answered = col(RequestRow.answered_by) == name
    return any(_was_released(session, digest) or _has_row(session, digest, answered) for digest in digests)


def _failed(session: Session, digest: str) -> bool:
    return _has_row(session, digest, col(RequestRow.outcome).in_(ARM_FAILURES | UNUSABLE))


def _has_row(session: Session, digest: str, which: ColumnElement[bool]) -> bool:
    """Whether the log has such a row of a variant.

    It is looked for where the variant may have served, in the apps that it is the variant of and in its releases: the
    log has no index of variants.
    """
    serving = (col(RouteRow.stable_digest) == digest) | (col(RouteRow.candidate_digest) == digest)
    served = select(AliasMoveRow.app).where(AliasMoveRow.variant_digest == digest)
    apps = {*session.exec(select(RouteRow.app).where(serving)), *session.exec(served)}
    either = (col(ReleaseRow.stable_digest) == digest) | (col(ReleaseRow.candidate_digest) == digest)
    places = [
        *(col(RequestRow.app) == app for app in sorted(apps)),
        *(Logged.of(release).rows for release in session.exec(select(ReleaseRow).where(either))),
    ]
    of_variant = select(RequestRow.id).where(RequestRow.variant_digest == digest, which).limit(1)
    return any(session.exec(of_variant.where(place)).first() is not None for place in places)
