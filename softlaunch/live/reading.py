"""How live judging of an app stands, read from the ledger: for drivers, and for who looks after evaluators."""

from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session, col

from softlaunch.live.progress import Progress
from softlaunch.live.queue import of_period
from softlaunch.live.standing import Period, judged_apps
from softlaunch.live.states import JudgementState
from softlaunch.live.tallies import day_period, read_tally, spending, stage_period
from softlaunch.policy.live import LiveBudgetPolicy
from softlaunch.store.tables import LiveJudgementRow, LiveJudgingRow

SILENT_SECONDS = 60.0
"""An evaluator that was silent for longer isn't there."""


def read_progress(
    session: Session, app: str, period: Period, budget: LiveBudgetPolicy, judges: int, now: float
) -> Progress:
    """How judging stands; `judges` are asked about each answer."""
    day = read_tally(session, app, day_period(now))
    own = day if period.release_id is None else read_tally(session, app, stage_period(period.release_id, period.stage))
    states = dict(session.execute(_states(app, period)).tuples().all())
    held = states.get(JudgementState.CLAIMED, 0) + states.get(JudgementState.ASKED, 0)
    of_stage, of_day = spending(budget, own, day, judges, (held, held))
    spent = of_day.spent_out and f"{of_day.spent_out} for today"
    if period.release_id is not None and of_stage.spent_out:
        spent = f"{of_stage.spent_out} for this stage"
    return Progress(own, states.get(JudgementState.WAITING, 0) + held, spent, _away(session, app, now))


def _states(app: str, period: Period) -> Any:
    row = LiveJudgementRow
    unfinished = (JudgementState.WAITING, JudgementState.CLAIMED, JudgementState.ASKED)
    return (
        select(col(row.state), func.count())
        .where(col(row.app) == app, col(row.state).in_(unfinished), of_period(row, period))
        .group_by(col(row.state))
    )


def unattended_apps(session: Session, now: float) -> dict[str, str]:
    """The apps whose live answers are to be judged and for which no evaluator was heard lately, with that in words."""
    rows = {app: session.get(LiveJudgingRow, app, populate_existing=True) for app in judged_apps(session)}
    return {app: silence for app, row in rows.items() if (silence := _silence(row, now))}


def _away(session: Session, app: str, now: float) -> str:
    """Why nothing is judged: no evaluator, or no judge that answers."""
    row = session.get(LiveJudgingRow, app, populate_existing=True)
    return _silence(row, now) or ("" if row is None else row.problem)


def _silence(row: LiveJudgingRow | None, now: float) -> str:
    if row is None:
        return "no evaluator was ever heard; start one with 'softlaunch evaluator'"
    if now - row.heard_at > SILENT_SECONDS:
        return f"no evaluator was heard for {now - row.heard_at:.0f} s; start one with 'softlaunch evaluator'"
    return ""
