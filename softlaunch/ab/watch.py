"""Looking at a test that is under way: now and then to monitor it, and at each planned end to conclude."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from softlaunch.ab.analysis import Moment, analyse
from softlaunch.ab.conclusion import conclude
from softlaunch.ab.document import RecordedLook, from_json, past, read_looks, to_json
from softlaunch.ab.looks import planned_ends
from softlaunch.ab.units import TrialScope, read_arms
from softlaunch.core.live_metrics import Source
from softlaunch.gates.telemetry import TelemetryError
from softlaunch.ledger.stages import StageRecord
from softlaunch.policy.release import Release
from softlaunch.store.database import Database

_MONITORED = 200  # about so often between the begin and the planned end
_PAUSE = 60.0  # seconds that two looks are apart at least


class Trials(Protocol):
    """Looks at A/B tests."""

    def look(self, release: Release, record: StageRecord, until: float) -> RecordedLook | None:
        """A new look, if one is due, at what is known up to `until` (epoch seconds); raises TelemetryError."""
        ...


@dataclass(frozen=True, slots=True)
class TrialWatch:
    """Looks at tests in the request log."""

    database: Database

    def look(self, release: Release, record: StageRecord, until: float) -> RecordedLook | None:
        """Monitor about every two-hundredth of the planned time; conclude once the log is complete up to the end."""
        if record.entered_at is None or record.deadline_at is None:
            raise ValueError(f"the A/B test {release.id} is in force but was never entered")
        try:
            with self.database.read() as session:
                looks = read_looks(session, release.id)
                planned = until >= record.deadline_at.timestamp()
                if not planned and not _is_due(release, record.entered_at, looks, until):
                    return None
                reached = min(until, record.deadline_at.timestamp())
                arms = read_arms(session, _scope(release, record.entered_at, reached))
        except SQLAlchemyError as error:
            raise TelemetryError(f"the request log can't be read: {error.__class__.__name__}") from error
        moment = _moment(release, looks, planned=planned)
        analysis = analyse(arms, release.policy.ab, moment)
        reached_at = datetime.fromtimestamp(reached, record.entered_at.tzinfo)
        if not planned:
            return RecordedLook(len(looks), 0, "", "", to_json(analysis), reached_at)
        conclusion = conclude(analysis, release.policy.ab, can_extend=moment.number < moment.looks)
        return RecordedLook(
            len(looks), moment.number, conclusion.choice.value, conclusion.reason, to_json(analysis), reached_at
        )


def _is_due(release: Release, entered_at: datetime, looks: Sequence[RecordedLook], until: float) -> bool:
    last = looks[-1].looked_at if looks else entered_at
    return until - last.timestamp() >= max(_PAUSE, release.policy.ab.minimum_time / _MONITORED)


def _scope(release: Release, entered_at: datetime, until: float) -> TrialScope:
    begun = entered_at.timestamp()
    stage = release.stage
    return TrialScope(
        app=release.app,
        release_id=release.id,
        stage=stage.position,
        weight_percent=stage.weight_percent,
        begun=begun,
        until=until,
        history_from=begun - release.policy.ab.history,
        scored=tuple(metric for metric in release.policy.ab.metrics if metric.entry.source is not Source.RATINGS),
    )


def _moment(release: Release, looks: Sequence[RecordedLook], *, planned: bool) -> Moment:
    concluded = [look for look in looks if look.planned_end]
    ends = planned_ends(release.policy.ab)
    return Moment(
        looks=len(ends),
        number=min(len(concluded) + 1, len(ends)),
        planned=planned,
        past=[past(from_json(look.analysis)) for look in concluded],
    )
