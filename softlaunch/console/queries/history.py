"""What happened to variants: where they served, and the releases and evals in which they were."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from softlaunch.store.tables import AliasMoveRow, EvalRunRow, ReleaseRow, RouteRow

_MOST = 50
_SERVED = 500


@dataclass(frozen=True, slots=True)
class History:
    """What happened to these variants, the newest 50 of each kind; `digests` are theirs."""

    digests: frozenset[str]
    moves: Sequence[AliasMoveRow]
    releases: Sequence[ReleaseRow]
    evals: Sequence[EvalRunRow]


def read_history(session: Session, digests: Sequence[str]) -> History:
    """The aliases that pointed to any of these variants, and the releases and evals that had one in either arm."""
    moves = select(AliasMoveRow).where(col(AliasMoveRow.variant_digest).in_(digests))
    releases = select(ReleaseRow).where(
        col(ReleaseRow.candidate_digest).in_(digests) | col(ReleaseRow.stable_digest).in_(digests)
    )
    evals = select(EvalRunRow).where(
        col(EvalRunRow.candidate_digest).in_(digests) | col(EvalRunRow.stable_digest).in_(digests)
    )
    return History(
        frozenset(digests),
        session.exec(moves.order_by(col(AliasMoveRow.id).desc()).limit(_MOST)).all(),
        session.exec(releases.order_by(col(ReleaseRow.opened_at).desc()).limit(_MOST)).all(),
        session.exec(evals.order_by(col(EvalRunRow.started_at).desc()).limit(_MOST)).all(),
    )


def serving_apps(session: Session, digests: Sequence[str]) -> dict[str, list[str]]:
    """The apps that each of these variants serves now, by its digest; at most 500 in all."""
    found = select(RouteRow.stable_digest, RouteRow.app).where(col(RouteRow.stable_digest).in_(digests))
    serving: dict[str, list[str]] = {}
    for digest, app in session.exec(found.order_by(RouteRow.app).limit(_SERVED)):
        serving.setdefault(digest, []).append(app)
    return serving
