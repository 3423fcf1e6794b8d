"""Finding the answers that judges are wanted for, in the request log: sampled by unit, in the order of their arrival.

Which answer is judged depends on its unit and on its place among that unit's answers, never on what it says or how the
request went. What doesn't fit into the backlog is let go from its old end, of both arms alike.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, and_, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import Session, col

from softlaunch.core.live_sampling import is_judged
from softlaunch.live.standing import Period, Standing
from softlaunch.live.states import JudgementState
from softlaunch.live.tallies import NOTHING, Tally, add_tallies, day_period, stage_period
from softlaunch.live.texts import forget_unwanted
from softlaunch.policy.route import Arm
from softlaunch.store.database import Database
from softlaunch.store.tables import LiveJudgementRow, LiveJudgingRow, RequestRow, TextRow
from softlaunch.telemetry.queries import complete_until

PIECE_ROWS = 2000
"""At most so many answers of a period are looked at in one transaction."""
_FIRST_SECONDS = 300.0  # where nobody ever searched, what is older is left alone
_DAY = 86_400.0  # what evaluators that were away for longer have missed is let be


class _Sampled(NamedTuple):
    row: Row[Any]
    percent: float


def search(database: Database, standing: Standing, metrics: Collection[str], now: float) -> int:
    """Let what is new in the request log wait for judges; returns how many answers were looked at.

    With more than `PIECE_ROWS` of them the rest is left for the next time. Any number of evaluators may search.
    """
    with database.begin() as session:
        state = _locked(session, standing.app, now)
        state.heard_at = now
        _let_go(session, standing, now)
        seen = _search(session, standing, state, metrics, now)
        if standing.policy.texts.until_judged:
            forget_unwanted(session, standing.app, state.searched_until, standing.policy.texts.retention)
        return seen


def _search(session: Session, standing: Standing, state: LiveJudgingRow, metrics: Collection[str], now: float) -> int:
    after, complete = max(state.searched_until, now - _DAY), complete_until(session, now)
    if complete is None or complete - standing.live.delay <= after:
        return 0
    seen, until = _seen(session, standing, after, complete - standing.live.delay)
    sampled = _within_share(session, standing, list(_sampled(standing, seen)), now)
    _add(session, standing, sampled, metrics)
    state.searched_until = until
    _trim(session, standing, now)
    return len(seen)


def _locked(session: Session, app: str, now: float) -> LiveJudgingRow:
    """How judging stands, held until the transaction ends."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    begun = {"app": app, "searched_until": now - _FIRST_SECONDS, "heard_at": now, "problem": ""}
    session.connection().execute(insert(LiveJudgingRow).values(begun).on_conflict_do_nothing())
    return session.get_one(LiveJudgingRow, app, with_for_update=True, populate_existing=True)


def _seen(session: Session, standing: Standing, after: float, until: float) -> tuple[list[Row[Any]], float]:
    """Answers with texts between two moments, in order, and the moment up to which these are all."""
    found: list[Row[Any]] = []
    for period in standing.periods:
        rows = session.execute(_answers(standing, period, after, until).limit(PIECE_ROWS + 1)).all()
        if len(rows) > PIECE_ROWS:
            until = min(until, max(rows[-1].started_at, math.nextafter(after, math.inf)))
        found += rows
    return sorted((row for row in found if row.started_at < until), key=lambda row: (row.started_at, row.id)), until


def _answers(standing: Standing, period: Period, after: float, until: float) -> Select[Any]:
    row = RequestRow
    of_text = and_(col(TextRow.request_id) == col(row.request_id), col(TextRow.arm) == col(row.arm))
    found = (
        select(
            *map(col, (row.id, row.request_id, row.arm, row.release_id, row.stage, row.unit, row.started_at)),
        )
        .join(TextRow, of_text)
        .where(col(row.app) == standing.app, of_period(RequestRow, period))
        .where(col(row.started_at) >= after, col(row.started_at) < until)
        .where(col(row.arm).in_(standing.arms), col(row.fell_back).is_(False), col(TextRow.answer) != "")
    )
    stage = standing.release.stage if standing.release and period.release_id else None
    # a gateway whose lease ran out serves stable at a weight of zero, and so does one to whom a stage isn't open
    if stage is not None and (stage.is_split or stage.only is not None):
        found = found.where(col(row.weight_percent) == stage.weight_percent)
    return found.order_by(col(row.started_at), col(row.id))


def of_period(table: type[RequestRow | LiveJudgementRow], period: Period) -> ColumnElement[bool]:
    """Rows of a period."""
    release = col(table.release_id)
    same = release.is_(None) if period.release_id is None else release == period.release_id
    return and_(same, col(table.stage) == period.stage)


def _sampled(standing: Standing, seen: Sequence[Row[Any]]) -> Iterator[_Sampled]:
    for row in seen:
        percent = standing.sample_percent(Arm(row.arm))
        if is_judged(standing.app, row.unit, percent):
            yield _Sampled(row, percent)


def _within_share(session: Session, standing: Standing, sampled: list[_Sampled], now: float) -> list[_Sampled]:
    """Those that are among their units' first so many: of the stage, or of the day while no release is live."""
    counts: Counter[tuple[str | None, int]] = Counter()
    for period in standing.periods:
        units = {one.row.unit for one in sampled if one.row.release_id == period.release_id}
        since = 0.0 if period.release_id else now - now % _DAY
        for unit, count in session.execute(_judged_of(standing.app, period, units, since)) if units else ():
            counts[period.release_id, unit] = count
    kept = []
    for one in sampled:
        key = one.row.release_id, one.row.unit
        counts[key] += 1
        if counts[key] <= standing.live.answers_per_unit:
            kept.append(one)
    return kept


def _judged_of(app: str, period: Period, units: Collection[int], since: float) -> Select[Any]:
    row = LiveJudgementRow
    return (
        select(col(row.unit), func.count(col(row.request_id).distinct()))
        .where(col(row.app) == app, col(row.unit).in_(units), of_period(row, period), col(row.started_at) >= since)
        .group_by(col(row.unit))
    )


def _add(session: Session, standing: Standing, sampled: Sequence[_Sampled], metrics: Collection[str]) -> None:
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    newest = sampled[-standing.live.backlog :]  # the others would be let go at once
    rows = [
        {
            "request_id": one.row.request_id,
            "arm": one.row.arm,
            "metric": metric,
            "app": standing.app,
            "release_id": one.row.release_id,
            "stage": one.row.stage,
            "unit": one.row.unit,
            "started_at": one.row.started_at,
            "sample_percent": one.percent,
            "state": JudgementState.WAITING.value,
            **_UNJUDGED,
        }
        for one in newest
        for metric in sorted(metrics)
    ]
    if rows:
        session.connection().execute(insert(LiveJudgementRow).on_conflict_do_nothing(), rows)
    missed = Counter((one.row.release_id, one.row.stage, one.row.started_at // _DAY) for one in sampled[: -len(newest)])
    _count_let_go(session, standing.app, [(*key, count * len(metrics)) for key, count in missed.items()])


_UNJUDGED = {"holder": "", "tries": 0, "reason": "", "panel": "", "calls": 0}


def _trim(session: Session, standing: Standing, now: float) -> None:
    """Let go of what waits beyond the backlog, the oldest first."""
    row = LiveJudgementRow
    waiting = (
        select(col(row.id))
        .where(col(row.app) == standing.app, col(row.state) == JudgementState.WAITING)
        .order_by(col(row.id).desc())
    )
    last = session.execute(waiting.offset(standing.live.backlog).limit(1)).scalar()
    if last is not None:
        _drop(session, standing.app, col(row.id) <= last, now)


def _let_go(session: Session, standing: Standing, now: float) -> None:
    """Let go of what waits of stages that are over: nothing can rest on it any more."""
    in_force = or_(*(of_period(LiveJudgementRow, period) for period in standing.periods))
    _drop(session, standing.app, ~in_force, now)


def _drop(session: Session, app: str, which: ColumnElement[bool], now: float) -> None:
    row = LiveJudgementRow
    gone = delete(row).where(col(row.app) == app, col(row.state) == JudgementState.WAITING, which)
    found = session.execute(gone.returning(col(row.release_id), col(row.stage)))
    counts = Counter((release_id, stage, now // _DAY) for release_id, stage in found)
    _count_let_go(session, app, [(*key, count) for key, count in counts.items()])


def _count_let_go(session: Session, app: str, counts: Sequence[tuple[str | None, int, float, int]]) -> None:
    found: dict[str, Tally] = {}
    for release_id, stage, day, count in counts:
        for period in periods_of(release_id, stage, day * _DAY):
            found[period] = found.get(period, NOTHING) + Tally(let_go=count)
    add_tallies(session, app, found)


def periods_of(release_id: str | None, stage: int, at: float) -> tuple[str, ...]:
    """The periods whose tallies a judgement adds to."""
    return (day_period(at),) if release_id is None else (stage_period(release_id, stage), day_period(at))
