"""Taking spans into the request log."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from softlaunch.inbound.otlp.attribution import (
    SETTLING_SECONDS,
    Lacking,
    Placed,
    Source,
    of_spans,
    place,
    place_by_revision,
    row_of,
)
from softlaunch.inbound.otlp.call_spans import CallSpan
from softlaunch.inbound.otlp.counts import Counts, Verdicts
from softlaunch.inbound.otlp.evaluations import Evaluation, score_of
from softlaunch.ledger.losses import Cause
from softlaunch.ledger.received import Taken
from softlaunch.ledger.reception import Reception
from softlaunch.ledger.request_log import ScoreRecord

_MOMENT = 1e-3


@dataclass(frozen=True, slots=True)
class Export:
    """What one export holds of ours, and how much else."""

    calls: Sequence[CallSpan] = ()
    evaluations: Sequence[Evaluation] = ()
    other: int = 0
    lost: Sequence[Taken] = ()
    """Calls of which nothing but their app is known any more; they are counted as missing."""


@dataclass
class Intake(Reception):
    """Takes spans: what an export holds is in the log when it is confirmed."""

    counts: Counts = field(default_factory=Counts)
    source: Source = of_spans

    def take(self, export: Export) -> Verdicts:
        """Write an export; everything of it is in the log when this returns. Raises SQLAlchemy's errors."""
        with self.lock:
            now = self.wall_clock()
            self.look(now)
            verdicts = Verdicts(other=export.other)
            taken = [*(one for call in export.calls for one in self._taken(call, now, verdicts)), *export.lost]
            scores = [one for evaluation in export.evaluations for one in self._scores(evaluation, now, verdicts)]
            fresh = self.write(taken, scores, now)
        verdicts.again = len(taken) - len(fresh)
        verdicts.calls = sum(one.row is not None for one in fresh)
        verdicts.late = sum(one.missing is Cause.LATE for one in fresh)
        self.counts.add(verdicts)
        return verdicts

    def _taken(self, call: CallSpan, now: float, verdicts: Verdicts) -> Iterator[Taken]:
        route = self.timeline.now(call.app)
        if route is None:
            verdicts.lacking["", Lacking.APP] += 1
            return
        found = self._place(call, route.revision, now)
        if isinstance(found, Placed):
            policy = self.source(found.split.route.serving)
            late = policy is not None and self.is_late(found.counts_at, policy)
            row = row_of(call, found, self.receiver_id, late=late)
            yield Taken(call.key, call.app, row, Cause.LATE if late else None)
            return
        verdicts.lacking[call.app, found] += 1
        if self.source(route.serving) is not None:  # else its gateways log it, and nothing is missing
            yield Taken(call.key, call.app, None, Cause.UNATTRIBUTED)

    def _place(self, call: CallSpan, newest: int, now: float) -> Placed | Lacking:
        """By the revision that it names, or else by time. An older one than is known here makes a row, no evidence."""
        if call.revision is None:
            return self._place_by_time(call, now)
        seen = self.timeline.of_revision(call.app, call.revision)
        if seen is not None:
            return place_by_revision(call, *seen, now, self.source)
        if call.revision > newest:
            return Lacking.SPLIT
        found = self._place_by_time(call, now)
        return replace(found, weight_percent=0.0) if isinstance(found, Placed) else found

    def _place_by_time(self, call: CallSpan, now: float) -> Placed | Lacking:
        """By the split in force when it began, or by the one before while the app may not have followed."""
        split = self.timeline.at(call.app, call.began)
        found = place(call, split, now, self.source)
        if split is None or isinstance(found, Placed) or found not in {Lacking.CANDIDATE, Lacking.VARIANT}:
            return found
        if call.began - split.since > SETTLING_SECONDS:
            return found
        earlier = place(call, self.timeline.at(call.app, split.since - _MOMENT), now, self.source)
        return earlier if isinstance(earlier, Placed) else found

    def _scores(self, evaluation: Evaluation, now: float, verdicts: Verdicts) -> Iterator[ScoreRecord]:
        if evaluation.failed:
            verdicts.other += 1  # the evaluator failed, and says nothing of the answer
            return
        route = self.timeline.now(evaluation.app)
        if route is None:
            verdicts.lacking["", Lacking.APP] += 1
            return
        found = score_of(evaluation, route.serving.metrics, now)
        if isinstance(found, Lacking):
            verdicts.lacking[evaluation.app, found] += 1
            return
        verdicts.evaluations += 1
        yield found
