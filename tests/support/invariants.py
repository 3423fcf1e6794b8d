"""What must hold of a release whatever was killed, read from the ledger and the request log."""

from collections import Counter

from sqlmodel import Session, col, func, select

from softlaunch.ledger.stages import read_stages
from softlaunch.policy.route import Arm
from softlaunch.store.tables import DriveRow, NoticeRow, ReleaseRow, RequestRow, TransitionRow, VerdictRow
from tests.support.arena import LEASE_SECONDS, STAGES, Arena, Installation

WHOLE_WAY = [
    ("pending", 0),
    ("evaluating", 0),
    ("shadowing", 1),
    ("canary", 2),
    ("canary", 3),
    ("canary", 4),
    ("promoted", 4),
]
SLACK_SECONDS = 2.0
"""A gateway may see a beat this much later than it was written."""


def went_the_whole_way(arena: Installation, app: str) -> None:
    """Each stage was entered once and in order, told of once, and passed by one last verdict of each gate."""
    with arena.database.read() as session:
        release = session.exec(select(ReleaseRow).where(ReleaseRow.app == app)).one()
        steps = session.exec(
            select(TransitionRow).where(TransitionRow.release_id == release.id).order_by(col(TransitionRow.revision))
        ).all()
        assert [(step.to_state, step.stage) for step in steps] == WHOLE_WAY, (app, release.reason)
        assert [step.revision for step in steps] == list(range(len(WHOLE_WAY)))
        told = session.exec(select(NoticeRow.text).where(NoticeRow.release_id == release.id)).all()
        assert sum(" starts (" in text for text in told) == STAGES, (app, told)
        assert sum("promoted. every stage passed" in text for text in told) == 1, (app, told)
        assert [stage.state for stage in read_stages(session, release.id)] == ["passed"] * STAGES
        _verdicts_are_whole(session, release.id)
        _evidence_is_exact(session, release.id)


def _verdicts_are_whole(session: Session, release_id: str) -> None:
    """Each stage has a last word of each gate, which passes; nothing is written twice."""
    rows = session.exec(
        select(VerdictRow).where(VerdictRow.release_id == release_id).order_by(col(VerdictRow.id))
    ).all()
    last = {(row.position, row.gate): row.outcome for row in rows}
    assert {position for position, _ in last} == set(range(STAGES)), last
    assert set(last.values()) == {"pass"}, last
    written = Counter((row.position, row.gate, row.outcome, row.decided_at) for row in rows)
    assert max(written.values()) == 1, written


def _evidence_is_exact(session: Session, release_id: str) -> None:
    """What the split stages counted is what the request log holds: nothing lost, nothing twice."""
    weights = {2: 30.0, 3: 60.0}
    for stage in read_stages(session, release_id):
        if stage.position not in weights or stage.entered_at is None:
            continue
        counted = dict(
            session.exec(
                select(RequestRow.arm, func.count())
                .where(RequestRow.release_id == release_id, RequestRow.stage == stage.position)
                .where(col(RequestRow.arm).in_([Arm.STABLE, Arm.CANDIDATE]))
                .where(RequestRow.weight_percent == weights[stage.position])
                .where(col(RequestRow.started_at) >= stage.entered_at.timestamp())
                .where(col(RequestRow.started_at) < stage.evidence["until"])
                .group_by(RequestRow.arm)
            ).all()
        )
        in_log = [counted.get(Arm.CANDIDATE, 0), counted.get(Arm.STABLE, 0)]
        assert list(stage.evidence["requests"]) == in_log, (release_id, stage.position)


def served_one_candidate_while_watched(arena: Installation, app: str) -> None:
    """Users met one candidate of one release, and none of them from the lease after a death to the next driver."""
    with arena.database.read() as session:
        met = select(RequestRow.variant_digest, RequestRow.release_id).where(
            RequestRow.app == app, RequestRow.arm == Arm.CANDIDATE
        )
        assert len(set(session.exec(met).all())) <= 1
        began = session.exec(
            select(DriveRow.began_at)
            .join(ReleaseRow, col(ReleaseRow.id) == col(DriveRow.release_id))
            .where(ReleaseRow.app == app)
        ).all()
        for death in arena.deaths.get(app, []):
            until = min((at.timestamp() for at in began if at.timestamp() > death), default=float("inf"))
            unwatched = candidates_between(arena, app, death + LEASE_SECONDS + SLACK_SECONDS, until)
            assert unwatched == 0, (app, death)


def candidates_between(arena: Installation, app: str, after: float, until: float) -> int:
    """How many users were exposed to the candidate in a span of time."""
    with arena.database.read() as session:
        return session.exec(
            select(func.count())
            .select_from(RequestRow)
            .where(RequestRow.app == app, RequestRow.arm == Arm.CANDIDATE)
            .where(col(RequestRow.started_at) > after, col(RequestRow.started_at) < until)
        ).one()


def no_user_was_failed(arena: Arena) -> None:
    """Every request of every user was answered."""
    failed = {app: traffic.tally.failures for app, traffic in arena.traffics.items() if traffic.tally.failures}
    assert failed == {}
