"""What evals came to, worked out from their answers: briefly for pages, whole for the report and the review."""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func
from sqlmodel import select

from softlaunch.core.verdict import Interval, Outcome, Role, Verdict
from softlaunch.evals.calls.recorded_answers import spent_usd
from softlaunch.evals.statistics.report import CaseRow, concluded
from softlaunch.reports.reviewing.reviewed import Reviewed, read_reviewed
from softlaunch.store.database import Database
from softlaunch.store.tables import EvalAnswerRow

_KEPT = 4  # each holds the answers of a whole run
_FRESH_SECONDS = 30.0
_LOST = 10
_SEGMENTS = 50
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Tally:
    """How many calls of a run have ended, and what they cost, judges included; None where that isn't known."""

    calls: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What several verdicts come to: the outcome, why, and the interval of the verdict that decides."""

    outcome: Outcome
    reason: str
    gate: str
    interval: Interval | None

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> "Conclusion":
        """The interval is that of the first verdict with this outcome which has one, else of any."""
        outcome, reason = concluded(verdicts)
        counted = [one for one in verdicts if one.role is not Role.MUTED and one.interval is not None]
        decides = next((one for one in counted if one.outcome is outcome), counted[0] if counted else None)
        return cls(outcome, reason, *(("", None) if decides is None else (decides.gate, decides.interval)))


@dataclass(frozen=True, slots=True)
class LostCase:
    """A case that the candidate answered worse than stable; `change` is in [-1, 0)."""

    case_id: str
    asked: str
    change: float


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """The cases with one tag: how many were compared, how many got worse, and the mean change of their scores."""

    tag: str
    cases: int
    worse: int
    change: float


@dataclass(frozen=True, slots=True)
class EvalResult:
    """A report in brief: what a page shows of it without the answers."""

    conclusion: Conclusion
    verdicts: tuple[Verdict, ...]
    segments: Sequence[SegmentLine]
    lost: Sequence[LostCase]
    cases: int
    left_out: int
    notes: str

    @classmethod
    def of(cls, reviewed: Reviewed) -> "EvalResult":
        """The report of a run, in brief."""
        report = reviewed.report
        changed = sorted((_weighted(case), case.case_id, case) for case in report.cases if _weighted(case) < 0)
        lost = [LostCase(case.case_id, case.asked[:_LONGEST], case.change or 0.0) for *_, case in changed[:_LOST]]
        return cls(
            Conclusion.of(report.verdicts),
            report.verdicts,
            _segments(report.cases),
            lost,
            report.paired_cases,
            report.left_out_cases,
            reviewed.notes,
        )


@dataclass(slots=True)
class ReviewedRuns:
    """The runs that somebody reads at the moment, with their answers; the newest few of them."""

    _kept: OrderedDict[str, tuple[Reviewed, datetime]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, database: Database, run_id: str, now: datetime, *, fresh: bool = True) -> Reviewed:
        """A run as it is, or was half a minute ago; as it was read last where it needn't be `fresh`.

        Raises NotFoundError, or SuiteError where its golden set can't be read.
        """
        with self._lock:
            held = self._kept.get(run_id)
            if held is not None and (not fresh or (now - held[1]).total_seconds() < _FRESH_SECONDS):
                self._kept.move_to_end(run_id)
                return held[0]
        found = read_reviewed(database, run_id)  # without the lock: somebody may vote on another run meanwhile
        with self._lock:
            self._kept[run_id] = (found, now)
            self._kept.move_to_end(run_id)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found


def count_calls(database: Database, run_id: str) -> Tally:
    """The calls of a run so far."""
    with database.read() as session:
        calls = session.exec(select(func.count()).where(EvalAnswerRow.run_id == run_id)).one()
        return Tally(calls, spent_usd(session, run_id))


def _weighted(case: CaseRow) -> float:
    return (case.change or 0.0) * case.weight


def _segments(cases: Sequence[CaseRow]) -> list[SegmentLine]:
    """Every tag of compared cases, the one that lost most first; at most fifty."""
    tagged: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        if case.change is not None:
            for tag in case.tags:
                tagged[tag].append(case.change)
    lines = [
        SegmentLine(tag, len(changes), sum(change < 0 for change in changes), sum(changes) / len(changes))
        for tag, changes in tagged.items()
    ]
    return sorted(lines, key=lambda line: (line.change, line.tag))[:_SEGMENTS]
