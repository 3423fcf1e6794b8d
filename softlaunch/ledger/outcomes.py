"""What became of requests, counted by outcome: every request counts, whoever made it and however often."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, func, select
from sqlmodel import Session, col

from softlaunch.core.arms import NONE_COUNTED, ByArm
from softlaunch.core.request_outcome import ARM_FAILURES, GIVEN, RequestOutcome
from softlaunch.ledger.logged import NEWEST_FIRST, Logged
from softlaunch.policy.release import Stage, StageKind
from softlaunch.policy.route import Arm
from softlaunch.store.tables import RequestRow

_NEWEST = 20_000
Counts = Mapping[RequestOutcome, int]


@dataclass(frozen=True, slots=True)
class StageOutcomes:
    """What became of a stage's requests in both arms, by outcome; outcomes that never were are left out.

    `excused` counts those that were refused for what they ask and that the other arm couldn't answer either.
    They are among the others. `by_fallback` counts answers that a fallback model of the arm's variant gave.
    """

    candidate: Counts = field(default_factory=dict)
    stable: Counts = field(default_factory=dict)
    excused: ByArm[int] = NONE_COUNTED
    by_fallback: ByArm[int] = NONE_COUNTED

    @property
    def rows(self) -> list[tuple[RequestOutcome, int, int]]:
        """Outcome, the candidate's requests and stable's, in the order of the list of outcomes."""
        both = ((one, self.candidate.get(one, 0), self.stable.get(one, 0)) for one in RequestOutcome)
        return [row for row in both if row[1] or row[2]]

    @property
    def is_plain(self) -> bool:
        """Whether every request was simply answered, by the variants' own models."""
        only_answered = {*self.candidate, *self.stable} <= {RequestOutcome.ANSWERED}
        return only_answered and not (self.by_fallback.candidate or self.by_fallback.stable)


def read_outcomes(session: Session, app: str, logged: Logged, stage: Stage) -> StageOutcomes:
    """What became of all requests of a stage that each arm was asked, copies where they are what is compared."""
    if stage.kind is StageKind.EVAL:
        return StageOutcomes()
    candidate, stable = stage.arms.candidate, stage.arms.stable
    groups = (
        col(RequestRow.arm),
        col(RequestRow.outcome),
        col(RequestRow.excused),
        col(RequestRow.answered_by).is_not(None),
    )
    found = (
        select(*groups, func.count())
        .where(col(RequestRow.app) == app, logged.rows)
        .where(col(RequestRow.stage) == stage.position, col(RequestRow.arm).in_([candidate, stable]))
        .group_by(*groups)
    )
    if stage.only is not None:  # others are on stable, at a weight of zero
        found = found.where(col(RequestRow.weight_percent) == stage.weight_percent)
    counted: dict[str, Counter[RequestOutcome]] = {candidate: Counter(), stable: Counter()}
    excused: Counter[str] = Counter()
    by_fallback: Counter[str] = Counter()
    for arm, outcome, is_excused, of_fallback, count in session.execute(found).tuples():
        counted[arm][RequestOutcome(outcome)] += count
        excused[arm] += count if is_excused else 0
        by_fallback[arm] += count if of_fallback else 0
    return StageOutcomes(
        counted[candidate],
        counted[stable],
        ByArm(excused[candidate], excused[stable]),
        ByArm(by_fallback[candidate], by_fallback[stable]),
    )


def stable_since(session: Session, app: str, release_id: str | None, stage: int, since: float) -> Counts:
    """What became of the requests that stable was asked since a moment (epoch seconds) under a split, by outcome.

    Copies to stable count: where the candidate serves everybody they are all that is known of it. What a client brought
    upon itself, or didn't wait for, says nothing of a provider and is left out. Of more than 20,000 the newest count.
    """
    of_stable = col(RequestRow.arm).in_([Arm.STABLE, Arm.CONTROL])
    under = col(RequestRow.release_id) == release_id, col(RequestRow.stage) == stage
    return _became(session, app, since, of_stable, *under)


def variant_since(session: Session, app: str, digest: str, since: float) -> Counts:
    """The same of what a variant was asked as stable, under whichever split."""
    return _became(session, app, since, col(RequestRow.arm) == Arm.STABLE, col(RequestRow.variant_digest) == digest)


def _became(session: Session, app: str, since: float, *which: ColumnElement[bool]) -> Counts:
    newest = (
        select(col(RequestRow.outcome).label("outcome"))
        .where(col(RequestRow.app) == app, col(RequestRow.started_at) >= since, *which)
        .where(col(RequestRow.outcome).in_(ARM_FAILURES | GIVEN))
        .order_by(col(RequestRow.started_at).desc())
        .limit(_NEWEST)
        .subquery()
    )
    found = select(newest.c.outcome, func.count()).group_by(newest.c.outcome)
    return {RequestOutcome(outcome): count for outcome, count in session.execute(found).tuples()}


def newest_outcomes(session: Session, app: str, most: int) -> Sequence[str]:
    """What became of the newest so many requests that an app's stable was asked."""
    of_stable = select(col(RequestRow.outcome)).where(col(RequestRow.app) == app, col(RequestRow.arm) == Arm.STABLE)
    return session.execute(of_stable.order_by(*NEWEST_FIRST).limit(most)).scalars().all()
