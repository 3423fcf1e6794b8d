"""Looks at A/B tests in the ledger: written in the transaction of the step that took them."""

from sqlmodel import Session, col, select

from softlaunch.ab.document import KeptLook
from softlaunch.store.tables import AbLookRow


def keep_look(session: Session, release_id: str, look: KeptLook) -> None:
    """Keep a look; its number is the test's own, so that none is kept twice."""
    session.add(
        AbLookRow(
            release_id=release_id,
            number=look.number,
            planned_end=look.planned_end,
            choice=look.choice,
            reason=look.reason,
            analysis=dict(look.analysis),
            looked_at=look.looked_at,
        )
    )


def read_looks(session: Session, release_id: str) -> tuple[KeptLook, ...]:
    """Every look at a test, in their order."""
    rows = session.exec(select(AbLookRow).where(AbLookRow.release_id == release_id).order_by(col(AbLookRow.number)))
    return tuple(
        KeptLook(row.number, row.planned_end, row.choice, row.reason, dict(row.analysis), row.looked_at) for row in rows
    )
