"""Models that providers may change under their name: which are pinned, and whether one answers as another now."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.ledger.notices import Incident, open_incident
from softlaunch.store.database import Database
from softlaunch.store.tables import RequestRow, ResolvedModelRow, ScanRow, VariantRow

_SCAN = "resolved models"
_FIRST_SECONDS = 86_400.0
_PINNED = re.compile(
    r"20\d\d-?[01]\d-?[0-3]\d"  # gpt-4o-2024-08-06, claude-3-5-sonnet-20241022
    r"|-[01]\d[0-3]\d(?!\d)"  # gpt-4-0613
    r"|-0\d\d$"  # gemini-1.5-pro-002
    r"|@sha256:|@[0-9a-f]{7,}$"  # a digest or a commit of weights
)


def is_pinned(model: str) -> bool:
    """Whether a model id names a dated or numbered snapshot, so that its provider can't put another one there."""
    return _PINNED.search(model) is not None


def watch_resolved_models(database: Database, now: datetime) -> list[str]:
    """Read what the request log has new of resolved models and fingerprints; returns what has changed, in words.

    The first look at a variant takes what it finds as expected. Later ones open an incident for what is unknown. The
    first of all reads the last day alone, because a log may be long.
    """
    try:
        with database.begin() as session:
            known = session.get(ScanRow, _SCAN, with_for_update=True)
            begin = known or ScanRow(name=_SCAN, position=0)
            since = 0.0 if known is not None else now.timestamp() - _FIRST_SECONDS
            end = session.execute(select(func.max(RequestRow.id))).scalar_one() or begin.position
            changes = list(_scan(session, (begin.position, end), since, now))
            begin.position = end
            session.add(begin)
    except IntegrityError:  # another process takes the very first look at this moment
        return []
    return changes


def _scan(session: Session, numbers: tuple[int, int], since: float, now: datetime) -> Iterator[str]:
    """Take in the rows between two numbers that began since then; yields what has changed."""
    groups = (
        col(RequestRow.app),
        col(RequestRow.variant_digest),
        col(RequestRow.resolved_model),
        col(RequestRow.fingerprint),
    )
    fresh = (col(RequestRow.id) > numbers[0]) & (col(RequestRow.id) <= numbers[1])
    fresh &= (col(RequestRow.started_at) >= since) & col(RequestRow.resolved_model).is_not(None)
    fresh &= col(RequestRow.answered_by).is_(None)  # a fallback model is another one, and known to be
    seen = session.execute(
        select(*groups, func.min(RequestRow.started_at).label("first")).where(fresh).group_by(*groups)
    ).all()
    known = {digest: _known(session, digest) for digest in {digest for _, digest, *_ in seen}}
    for app, digest, model, fingerprint, first in sorted(seen, key=lambda row: row.first):
        mark = fingerprint or ""
        if session.get(ResolvedModelRow, (digest, model, mark)) is not None:
            continue
        row = ResolvedModelRow(variant_digest=digest, resolved_model=model, fingerprint=mark, first_seen=first)
        session.add(row)
        if known[digest]:
            yield _open_incident(session, app, row, known[digest][-1], now)


def _known(session: Session, digest: str) -> list[ResolvedModelRow]:
    """What answered for a variant before, oldest first."""
    rows = select(ResolvedModelRow).where(col(ResolvedModelRow.variant_digest) == digest)
    return list(session.execute(rows.order_by(col(ResolvedModelRow.first_seen))).scalars())


def _open_incident(session: Session, app: str, row: ResolvedModelRow, before: ResolvedModelRow, now: datetime) -> str:
    variant = session.get(VariantRow, row.variant_digest)
    asked = variant.content["model"]["model"] if variant is not None else row.variant_digest[:12]
    since = datetime.fromtimestamp(row.first_seen, UTC)
    summary = (
        f"{app}: {asked} answers as {_named(row)} since {since:%Y-%m-%d %H:%M} UTC, before as {_named(before)}"
        f"{'' if is_pinned(asked) else '; its name is no pinned snapshot'}."
    )
    incident = Incident(
        kind=IncidentKind.FLOATING_MODEL_CHANGED,
        app=app,
        release_id=None,
        dedup_key=f"{row.variant_digest}:{row.resolved_model}:{row.fingerprint}",
        summary=summary,
        evidence={"asked": asked, "answers_as": _named(row), "before": _named(before)},
    )
    open_incident(session, incident, now)
    return summary


def _named(row: ResolvedModelRow) -> str:
    return f"{row.resolved_model} ({row.fingerprint})" if row.fingerprint else row.resolved_model
