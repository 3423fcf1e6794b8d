"""Who asks judges about which answer: claims that run out, so that nothing is asked twice and nothing stays behind.

An evaluator claims some of what waits, and says of each in the ledger that it asks before it does. If it dies, what it
had only claimed goes back when the claim runs out. What it had begun to ask may have been paid for, so that is over
then, without an answer: at most as many judgements as it makes at once, whatever they are about.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from softlaunch.ledger.reported import LIVE_JUDGES
from softlaunch.live.queue import of_period, periods_of
from softlaunch.live.standing import Period, Standing
from softlaunch.live.states import JudgementState
from softlaunch.live.tallies import NOTHING, Tally, add_tallies, day_period, read_tally, spending, stage_period
from softlaunch.live.texts import forget_judged
from softlaunch.policy.route import Arm
from softlaunch.store.database import Database
from softlaunch.store.tables import LiveJudgementRow, LiveJudgingRow, ScoreRow, TextRow

MOST_TRIES = 5
"""So often is a judgement tried to which no judge gives an answer, while judges answer otherwise."""
MOST_TRIES_IN_VAIN = 60
"""So often while they answer nothing: the longest outage in which it is tried once a minute and isn't lost."""
_SHOWN = frozenset({Arm.STABLE, Arm.CANDIDATE})


class Outcome(StrEnum):
    """What became of asking."""

    JUDGED = "judged"
    UNREADABLE = "unreadable"
    """Judges answered, and nothing can be made of it."""
    UNANSWERED = "unanswered"
    """No judge gave an answer."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A judgement that an evaluator may make; see LiveJudgementRow."""

    id: int
    request_id: str
    arm: Arm
    metric: str
    period: Period
    tries: int


@dataclass(frozen=True, slots=True)
class Texts:
    """What judges are shown of an answer."""

    question: str
    answer: str
    context: str | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What asking about a claim came to: the live metric's value where it was judged, and what it took."""

    claim: Claim
    outcome: Outcome
    value: float | None = None
    reason: str = ""
    panel: str = ""
    calls: int = 0
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an evaluator can take on: at most so many judgements of these metrics, each of which asks so many judges."""

    metrics: Collection[str]
    judges: int
    most: int


def claim(database: Database, standing: Standing, wanted: Wanted, holder: str, until: float, now: float) -> list[Claim]:
    """Take judgements, the oldest first, as far as the budget allows; the claim runs out at `until`."""
    with database.begin() as session:
        session.get(LiveJudgingRow, standing.app, with_for_update=True)  # so that two can't spend the same money
        _expire(session, standing.app, now)
        taken: list[Claim] = []
        for period in standing.periods:
            room = min(wanted.most - len(taken), affordable(session, standing, period, wanted.judges, now))
            if room > 0:
                taken += _claim(session, standing.app, period, replace(wanted, most=room), (holder, until))
        return taken


def affordable(session: Session, standing: Standing, period: Period, judges: int, now: float) -> int:
    """How many more judgements of a period the budget allows, besides those that are claimed."""
    stage = read_tally(session, standing.app, _tally_period(period)) if period.release_id else NOTHING
    held = _held(session, standing.app, period) if period.release_id else 0
    day = read_tally(session, standing.app, day_period(now))
    of_stage, of_day = spending(standing.live.budget, stage, day, judges, (held, _held(session, standing.app)))
    return min(of_stage.affordable, of_day.affordable) if period.release_id else of_day.affordable


def _tally_period(period: Period) -> str:
    return stage_period(period.release_id or "", period.stage)


def _held(session: Session, app: str, period: Period | None = None) -> int:
    """Judgements that evaluators have, of a period or of the whole app."""
    row = LiveJudgementRow
    held = select(func.count()).where(
        col(row.app) == app, col(row.state).in_((JudgementState.CLAIMED, JudgementState.ASKED))
    )
    return int(session.execute(held if period is None else held.where(of_period(row, period))).scalar_one())


def _claim(session: Session, app: str, period: Period, wanted: Wanted, claimed_by: tuple[str, float]) -> list[Claim]:
    row, (holder, until) = LiveJudgementRow, claimed_by
    waiting = (
        select(col(row.id))
        .where(col(row.app) == app, col(row.state) == JudgementState.WAITING)
        .where(of_period(row, period), col(row.metric).in_(wanted.metrics))
        .order_by(col(row.tries), col(row.id))  # what no judge answers must not hold up the rest
        .limit(wanted.most)
    )
    ids = list(session.scalars(waiting))
    columns = map(col, (row.id, row.request_id, row.arm, row.metric, row.tries))
    values = {"state": JudgementState.CLAIMED, "holder": holder, "held_until": until}
    mine = update(row).where(col(row.id).in_(ids)).values(**values).returning(*columns)
    found = session.execute(mine).all() if ids else []
    return sorted(
        (Claim(one.id, one.request_id, Arm(one.arm), one.metric, period, one.tries) for one in found), key=_id
    )


def _id(claimed: Claim) -> int:
    return claimed.id


def _expire(session: Session, app: str, now: float) -> None:
    """Take back what dead evaluators had: what they only claimed waits again, what they began to ask is over."""
    row = LiveJudgementRow
    over = update(row).where(col(row.app) == app, col(row.held_until) <= now)
    claimed = over.where(col(row.state) == JudgementState.CLAIMED)
    session.execute(claimed.values(state=JudgementState.WAITING, holder="", held_until=None))
    asked = over.where(col(row.state) == JudgementState.ASKED).values(
        state=JudgementState.OVER, held_until=None, judged_at=now, reason="its evaluator ended before the answer came"
    )
    lost = session.execute(asked.returning(col(row.release_id), col(row.stage))).all()
    found: dict[str, Tally] = {}
    for release_id, stage in lost:
        for period in periods_of(release_id, stage, now):
            found[period] = found.get(period, NOTHING) + Tally(unanswered=1)
    add_tallies(session, app, found)


def begin(database: Database, app: str, claimed: Claim, holder: str, until: float, now: float) -> Texts | None:
    """Say that judges are asked about a claim now, until a moment at most; returns what they are shown.

    None where the claim has run out, or the texts are gone, in which case it is let go.
    """
    row = LiveJudgementRow
    with database.begin() as session:
        mine = update(row).where(
            col(row.id) == claimed.id,
            col(row.holder) == holder,
            col(row.state) == JudgementState.CLAIMED,
            col(row.held_until) > now,
        )
        text = session.get(TextRow, (claimed.request_id, claimed.arm.value))
        if text is not None:
            asked = mine.values(state=JudgementState.ASKED, held_until=until).returning(col(row.id))
            texts = Texts(text.question, text.answer, text.context)
            return None if session.execute(asked).scalar() is None else texts
        gone = mine.values(state=JudgementState.OVER, held_until=None, judged_at=now, reason="its text is gone")
        if session.execute(gone.returning(col(row.id))).scalar() is not None:
            add_tallies(session, app, dict.fromkeys(_periods(claimed, now), Tally(let_go=1)))
    return None


def _periods(claimed: Claim, now: float) -> tuple[str, ...]:
    return periods_of(claimed.period.release_id, claimed.period.stage, now)


def give_back(database: Database, holder: str, claims: Sequence[Claim]) -> None:
    """Let others have claims about which nobody was asked."""
    row = LiveJudgementRow
    mine = update(row).where(col(row.id).in_([one.id for one in claims]), col(row.holder) == holder)
    with database.begin() as session:
        claimed = mine.where(col(row.state) == JudgementState.CLAIMED)
        session.execute(claimed.values(state=JudgementState.WAITING, holder="", held_until=None))


def record(
    database: Database, app: str, holder: str, said: Sequence[Judgement], now: float, most_tries: int = MOST_TRIES
) -> None:
    """Write what asking came to, with the scores that gates read, in one transaction; to repeat it changes nothing.

    What no judge answered waits again until it was tried so often. A reason is kept only where there is no value:
    others quote texts, which have a retention of their own.
    """
    if not said:
        return
    with database.begin() as session:
        tallies: dict[str, Tally] = {}
        for one in sorted(said, key=lambda judgement: judgement.claim.id):
            again = one.outcome is Outcome.UNANSWERED and one.claim.tries + 1 < most_tries
            if _write(session, holder, one, now, again=again):
                for period in _periods(one.claim, now):
                    tallies[period] = tallies.get(period, NOTHING) + _tally(one, again=again)
                if one.value is not None and one.claim.arm in _SHOWN:
                    _add_score(session, app, one, now)
        add_tallies(session, app, tallies)
        forget_judged(session, {(one.claim.request_id, one.claim.arm.value) for one in said})


def _write(session: Session, holder: str, one: Judgement, now: float, *, again: bool) -> bool:
    """Write a judgement if it is still this evaluator's to make."""
    row = LiveJudgementRow
    state = JudgementState.WAITING if again else JudgementState.OVER
    written = update(row).where(
        col(row.id) == one.claim.id, col(row.holder) == holder, col(row.state) == JudgementState.ASKED
    )
    values = written.values(
        state=state,
        holder="" if again else holder,
        held_until=None,
        tries=one.claim.tries + (one.outcome is Outcome.UNANSWERED),
        value=one.value,
        reason="" if one.value is not None else one.reason.replace("\0", "�"),  # PostgreSQL takes no NUL
        panel=one.panel,
        calls=col(row.calls) + one.calls,
        cost_usd=func.coalesce(col(row.cost_usd), 0.0) + one.cost_usd
        if one.cost_usd is not None
        else col(row.cost_usd),
        judged_at=None if again else now,
    )
    return session.execute(values.returning(col(row.id))).scalar() is not None


def _tally(one: Judgement, *, again: bool) -> Tally:
    spent = Tally(one.calls, one.cost_usd or 0.0)
    match one.outcome:
        case Outcome.JUDGED:
            return spent + Tally(judged=1)
        case Outcome.UNREADABLE:
            return spent + Tally(unreadable=1)
        case Outcome.UNANSWERED:
            return spent if again else spent + Tally(unanswered=1)
        case _:
            assert_never(one.outcome)


def _add_score(session: Session, app: str, one: Judgement, now: float) -> None:
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    score = {"request_id": one.claim.request_id, "app": app, "metric": one.claim.metric, "value": one.value}
    statement = insert(ScoreRow).values(**score, source=LIVE_JUDGES, received_at=now)
    session.connection().execute(statement.on_conflict_do_nothing())
