"""What served when: the past of `production` and of canaries, from the moves and stages that the ledger keeps."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from sqlmodel import Session, col, select

from softlaunch.catalog.aliases import PRODUCTION
from softlaunch.policy.release import StageKind
from softlaunch.store.tables import AliasMoveRow, ReleaseRow, StageRow, VariantRow


@dataclass(frozen=True, slots=True)
class Served:
    """A variant that answered an app's users, from when until when (None: still), and to what share of them.

    `who` is the person or driver that made it so, `release_id` the release.
    """

    app: str
    prompt: str
    model: str
    variant_digest: str
    share_percent: float
    since: datetime
    until: datetime | None
    who: str
    release_id: str | None


def served_between(session: Session, begin: datetime, end: datetime, app: str | None = None) -> list[Served]:
    """What served at some time in [begin, end): production, and the candidates of canary stages, by app and time."""
    found = [*_productions(session, app), *_canaries(session, app)]
    overlapping = [one for one in found if one.since < end and (one.until is None or one.until > begin)]
    return sorted(overlapping, key=lambda one: (one.app, one.since, -one.share_percent))


def _productions(session: Session, app: str | None) -> Iterable[Served]:
    query = (
        select(AliasMoveRow, VariantRow)
        .join(VariantRow, col(VariantRow.digest) == col(AliasMoveRow.variant_digest))
        .where(AliasMoveRow.alias == PRODUCTION)
        .order_by(col(AliasMoveRow.app), col(AliasMoveRow.id))
    )
    moves = session.exec(query if app is None else query.where(AliasMoveRow.app == app)).all()
    following = [move for move, _ in moves][1:]
    for (move, variant), after in zip_longest(moves, following):
        until = after.moved_at if after is not None and after.app == move.app else None
        yield _served(move.app, variant, 100.0, (move.moved_at, until), move.moved_by, move.release_id)


def _canaries(session: Session, app: str | None) -> Iterable[Served]:
    query = (
        select(StageRow, ReleaseRow, VariantRow)
        .join(ReleaseRow, col(ReleaseRow.id) == col(StageRow.release_id))
        .join(VariantRow, col(VariantRow.digest) == col(ReleaseRow.candidate_digest))
        .where(StageRow.kind == StageKind.CANARY, col(StageRow.entered_at).is_not(None))
    )
    for stage, release, variant in session.exec(query if app is None else query.where(ReleaseRow.app == app)):
        if stage.entered_at is not None:
            when = stage.entered_at, stage.ended_at
            yield _served(release.app, variant, stage.weight_percent, when, release.opened_by, release.id)


def _served(
    app: str,
    variant: VariantRow,
    share: float,
    when: tuple[datetime, datetime | None],
    who: str,
    release_id: str | None,
) -> Served:
    prompt = f"{variant.prompt_name}@{variant.prompt_version}"
    return Served(app, prompt, variant.model_name, variant.digest, share, *when, who, release_id)
