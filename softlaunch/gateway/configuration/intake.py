"""Taking records into the request log: each once, with its values and texts, and what is wrong with the others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from softlaunch.gateway.choice import Choice
from softlaunch.gateway.configuration.records import ClientRecord, Placed, Refused, place, place_unseen, row_of
from softlaunch.gateway.feedback import parse_values
from softlaunch.gateway.log import LogSink
from softlaunch.gateway.texts import WaitingText, keeps_text
from softlaunch.gateway.wire import RefusedError, clipped
from softlaunch.ledger.losses import Cause
from softlaunch.ledger.received import Taken
from softlaunch.ledger.reception import Reception
from softlaunch.ledger.reported import REPORTED
from softlaunch.ledger.request_log import ScoreRecord, TextRecord
from softlaunch.policy.route import Route
from softlaunch.policy.sources import OtlpPolicy

MOST_AT_ONCE = 1000
_NO_POLICY = (
    "the app's policy doesn't say that its requests are recorded: write `otlp: {}` under `sources`, and apply it"
)


@dataclass(slots=True)
class Answer:
    """What became of the records of one request."""

    taken: int = 0
    known: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, record_id: object, why: str) -> None:
        """One more isn't taken, and never will be."""
        self.refused.append({"id": clipped(record_id) if isinstance(record_id, str) else "", "why": why})

    @property
    def content(self) -> dict[str, Any]:
        """As it is sent."""
        return {"taken": self.taken, "known": self.known, "refused": self.refused}


@dataclass(frozen=True, slots=True)
class Lost:
    """Calls whose records a client had no room for any more; `id` is the report's own, so that it counts once."""

    id: str
    app: str
    count: int

    @property
    def key(self) -> str:
        """What no other report has."""
        return f"lost:{self.app}:{self.id}"


@dataclass
class RecordIntake(Reception):
    """Takes records of clients: those that are taken are in the log when it says so."""

    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many were taken, known, late and refused, by app; an app that isn't known has no name."""

    def take(self, given: Sequence[Any], lost: Sequence[Lost], log: LogSink) -> Answer:
        """Write records; `log` gets the texts of those that keep them. Raises SQLAlchemy's errors."""
        answer = Answer()
        records = [record for one in given if (record := _parsed(one, answer)) is not None]
        with self.lock:
            now = self.wall_clock()
            self.look(now)
            found: dict[str, tuple[ClientRecord, Placed]] = {}
            scores: dict[str, list[ScoreRecord]] = {}
            taken = [one for record in records if (one := self._taken(record, now, answer, found, scores)) is not None]
            taken += [Taken(one.key, one.app, None, Cause.LOST, one.count) for one in lost if self._counts(one.app)]
            fresh = self.write(taken, [one for some in scores.values() for one in some], now)
        written = [one for one in fresh if one.row is not None]
        answer.taken = len(written)
        answer.known = sum(one.row is not None for one in taken) - answer.taken
        for one in written:
            self._put_text(*found[one.key], one, log)
            self.results[one.app, "late" if one.missing else "taken"] += 1
        return answer

    def _counts(self, app: str) -> bool:
        route = self.timeline.now(app)
        return route is not None and route.serving.otlp is not None

    def _taken(
        self,
        record: ClientRecord,
        now: float,
        answer: Answer,
        found: dict[str, tuple[ClientRecord, Placed]],
        scores: dict[str, list[ScoreRecord]],
    ) -> Taken | None:
        route = self.timeline.now(record.app)
        if route is None or route.serving.otlp is None:
            why = _NO_POLICY if route is not None else f"there is no app {record.app!r}"
            self.results["" if route is None else record.app, "refused"] += 1
            answer.refuse(record.id, why)
            return None
        placed = self._place(record, route, route.serving.otlp, now)
        if isinstance(placed, Placed):
            try:
                values = parse_values(record.values, route.serving.metrics) if record.values else {}
            except RefusedError as error:
                placed = Refused(str(error))
        if isinstance(placed, Refused):
            self.results[record.app, "refused"] += 1
            answer.refuse(record.id, placed.why)
            return Taken(record.key, record.app, None, Cause.UNATTRIBUTED)
        late = self.is_late(placed.counts_at, route.serving.otlp)
        row = row_of(record, placed, self.receiver_id, late=late)
        found[record.key] = record, placed
        scores[record.key] = [
            ScoreRecord(row.request_id, record.app, name, value, REPORTED, now) for name, value in values.items()
        ]
        return Taken(record.key, record.app, row, Cause.LATE if late else None)

    def _place(self, record: ClientRecord, newest: Route, otlp: OtlpPolicy, now: float) -> Placed | Refused:
        seen = self.timeline.of_revision(record.app, record.revision)
        if seen is None:
            return place_unseen(record, self.timeline.variant(record.app, record.variant), newest, otlp, now)
        split, until = seen
        known = split.route.serving.otlp
        return Refused(_NO_POLICY) if known is None else place(record, split, until, known, now)

    def _put_text(self, record: ClientRecord, placed: Placed, taken: Taken, log: LogSink) -> None:
        """Keep the words of a call, where the policy says so and as it says."""
        route, row, said = placed.route, taken.row, record.texts
        choice = Choice(record.arm, placed.variant, placed.unit)
        if said is None or row is None or not keeps_text(route, choice, judged=placed.weight_percent > 0):
            return
        texts = route.serving.texts
        text = TextRecord(
            row.request_id,
            row.arm,
            row.app,
            said.question,
            said.answer,
            row.started_at + texts.retention,
            said.context if texts.context else None,
            texts.until_judged,
        )
        log.put_text(WaitingText.of(text, None if texts.redact is None else texts.redact.rules))


def _parsed(given: Any, answer: Answer) -> ClientRecord | None:
    try:
        return ClientRecord.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place_named = ".".join(str(part) for part in first["loc"])
        answer.refuse(given.get("id") if isinstance(given, Mapping) else None, f"{place_named}: {first['msg']}")
        return None
