"""Whether a first variant never served well, so that `apply` may replace it: a wrong first endpoint has no release.

Only what never gave a good answer is replaced, and only where that is known: by failed answers in the request log, or
because its endpoint was asked just now and doesn't answer. Everything else changes by a release.
"""

from collections.abc import Collection
from datetime import datetime

from sqlmodel import Session, col, select

from softlaunch.core.request_outcome import ARM_FAILURES, GOOD, UNUSABLE
from softlaunch.core.variant import ModelVersion, Variant
from softlaunch.ledger.releases import find_live
from softlaunch.policy.release import State
from softlaunch.store.tables import DailyRequestRow, ModelRow, ReleaseRow, RequestRow, VariantRow

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
    good = select(RequestRow.id).where(RequestRow.variant_digest == digest, col(RequestRow.outcome).in_(GOOD)).limit(1)
    days = select(DailyRequestRow.day).where(
        DailyRequestRow.variant_digest == digest, DailyRequestRow.requests > DailyRequestRow.failed
    )
    return session.exec(good).first() is not None or session.exec(days.limit(1)).first() is not None


def _stands_in(session: Session, name: str) -> bool:
    """Whether a model ever answered as a fallback, or is one of a variant that was released."""
    answered = select(RequestRow.id).where(RequestRow.answered_by == name).limit(1)
    if session.exec(answered).first() is not None:
        return True
    with_fallbacks = session.exec(
        select(VariantRow.digest, VariantRow.fallbacks).where(col(VariantRow.fallbacks).is_not(None))
    )
    return any(name in (fallbacks or ()) and _was_released(session, digest) for digest, fallbacks in with_fallbacks)


def _failed(session: Session, digest: str) -> bool:
    bad = ARM_FAILURES | UNUSABLE
    failed = select(RequestRow.id).where(RequestRow.variant_digest == digest, col(RequestRow.outcome).in_(bad))
    return session.exec(failed.limit(1)).first() is not None
