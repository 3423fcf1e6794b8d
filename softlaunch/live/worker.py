"""What an evaluator does for one app: look for answers, claim some, have them judged, and say how that stands."""

import random
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import time

from sqlalchemy import update
from sqlmodel import Session, col

from softlaunch.core.errors import SoftlaunchError
from softlaunch.evals.calls.budget import Budget, Limits
from softlaunch.evals.calls.call import CallOptions
from softlaunch.evals.calls.retry import Retries
from softlaunch.evals.calls.runner import run_to_end
from softlaunch.evals.judges.gating import judges_of
from softlaunch.evals.judges.panel import Judges
from softlaunch.ledger.texts import TextSweep
from softlaunch.live.asking import CountedAttempts, Question, Round
from softlaunch.live.claims import (
    MOST_TRIES,
    MOST_TRIES_IN_VAIN,
    Claim,
    Judgement,
    Texts,
    Wanted,
    begin,
    claim,
    give_back,
    record,
)
from softlaunch.live.queue import PIECE_ROWS, search
from softlaunch.live.standing import Standing, metric_named, objection_of, read_standing
from softlaunch.store.database import Database
from softlaunch.store.tables import LiveJudgingRow

_RETRIES = Retries(attempts=2, longest_seconds=5.0, patience_seconds=15.0)
_CLAIMED_BY_EACH = 4  # of what is judged at once: so many answers are claimed together
_SLACK_SECONDS = 20.0
_LONGEST_PAUSE = 60.0
_BEAT_SECONDS = 10.0
_SWEEP_SECONDS = 10.0
_NO_PRICE = (
    "a budget in USD can't be kept, because a judge's endpoint doesn't say how many tokens an answer took: "
    "set live.budget.stage_calls and live.budget.day_calls instead"
)


@dataclass(slots=True)
class AppWorker:
    """Judges the live answers of one app. `holder` names it among all evaluators; any number of them may work at once.

    Where judges give no answers it asks ever more rarely, up to once a minute, and goes on as soon as they do.
    """

    database: Database
    app: str
    holder: str
    retries: Retries = _RETRIES
    clock: Callable[[], float] = time
    stopping: threading.Event = field(default_factory=threading.Event)
    _in_vain: int = 0
    _not_before: float = 0.0
    _beat_at: float = 0.0
    _sweep: TextSweep = field(init=False)

    def __post_init__(self) -> None:
        """What was judged is emptied out of SQLite's log soon."""
        self._sweep = TextSweep(self.database, _SWEEP_SECONDS)

    def work(self) -> bool:
        """One pass; returns whether there is more to do at once. What people can mend is written as the problem."""
        now = self.clock()
        with self.database.read() as session:
            standing = read_standing(session, self.app)
            if standing is None:
                return False
            try:
                judges, questions = _asked(session, standing)
            except SoftlaunchError as error:
                self._note(str(error))
                return False
        seen = search(self.database, standing, questions, now)
        self._sweep.look(now)
        if now < self._not_before or not questions:
            return False
        claimed = self._judge(standing, judges, questions)
        return bool(claimed or seen >= PIECE_ROWS) and not self._in_vain

    def _judge(self, standing: Standing, judges: Judges, questions: Mapping[str, Question]) -> int:
        """Claim some answers, and have them judged; returns how many."""
        live, patience = standing.live, self._patience(standing)
        most = 1 if self._in_vain else live.concurrency * _CLAIMED_BY_EACH
        wanted, now = Wanted(tuple(questions), len(judges.models), most), self.clock()
        claims = claim(self.database, standing, wanted, self.holder, now + patience, now)
        if not claims:
            return 0
        round_ = Round(
            waiting=deque(claims),
            questions=questions,
            judges=judges,
            begin=lambda one: self._begin(one, patience),
            record=self._record,
            most_in_vain=min(live.concurrency, len(claims)),
            stopped=self.stopping.is_set,
        )
        options = CallOptions(
            live.concurrency, standing.policy.eval.timeout, self.retries, random.Random(), CountedAttempts()
        )
        try:
            run_to_end(round_.run(options))
        except SoftlaunchError as error:
            self._pause(str(error))
        else:
            self._conclude(round_, unpriced=live.budget.has_usd)
        finally:
            give_back(self.database, self.holder, claims)
        return len(claims)

    def _patience(self, standing: Standing) -> float:
        """How long judging one answer may take, in seconds, until others take this evaluator for dead."""
        return _SLACK_SECONDS + self.retries.patience_seconds + self.retries.attempts * standing.policy.eval.timeout

    def _begin(self, one: Claim, patience: float) -> Texts | None:
        now = self.clock()
        return begin(self.database, self.app, one, self.holder, now + patience, now)

    def _record(self, said: Sequence[Judgement]) -> None:
        """Write what was said, and from time to time that somebody is there, however long judges take."""
        now = self.clock()
        most_tries = MOST_TRIES_IN_VAIN if self._in_vain else MOST_TRIES
        record(self.database, self.app, self.holder, said, now, most_tries)
        if now - self._beat_at >= _BEAT_SECONDS:
            self._beat_at = now
            with self.database.begin() as session:
                heard = update(LiveJudgingRow).where(col(LiveJudgingRow.app) == self.app)
                session.execute(heard.values(heard_at=now))

    def _conclude(self, round_: Round, *, unpriced: bool) -> None:
        """Write whether judges answer, and ask more rarely where they don't."""
        if unpriced and any(one.calls and one.cost_usd is None for one in round_.said):
            self._pause(_NO_PRICE)
        elif round_.in_vain:
            self._pause(f"judges give no answer ({round_.in_vain})")
        elif round_.said:
            self._in_vain = 0
            self._note("")

    def _pause(self, problem: str) -> None:
        self._in_vain += 1
        self._not_before = self.clock() + min(2.0**self._in_vain, _LONGEST_PAUSE)
        self._note(problem)

    def _note(self, problem: str) -> None:
        """Write why judges give nothing, and since when; empty where nothing is wrong."""
        now = self.clock()
        with self.database.begin() as session:
            row = session.get(LiveJudgingRow, self.app)
            if row is None:
                row = LiveJudgingRow(app=self.app, searched_until=now, heard_at=now)
                session.add(row)
            row.heard_at = now
            if not problem:
                row.problem, row.problem_since = "", None
            elif not row.problem:
                row.problem, row.problem_since = problem, now
            else:
                row.problem = problem


def _asked(session: Session, standing: Standing) -> tuple[Judges, dict[str, Question]]:
    """Who is asked, and what, by live metric: all that gates may go by, and what they don't go by anyway.

    Raises NotFoundError for a judge that isn't recorded, UnpricedError where a budget in USD can't be kept.
    """
    judges = judges_of(session, standing.policy.live_judge)
    limit = standing.live.budget.stage_usd or standing.live.budget.day_usd
    Budget(Limits(usd=limit)).check(judges.models)
    questions = {}
    for one in standing.live.metrics:
        decided = standing.release is not None and objection_of(session, standing.policy, one)
        if not decided:
            questions[one.metric] = Question(metric_named(standing.policy, one.metric), one.parsed)
    return judges, questions
