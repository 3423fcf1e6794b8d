"""Recovering releases whose driver has stopped: found, announced, and resumed or rolled back.

A release whose driver a person cancelled is ended instead, whether it still drives or not: whoever presses Cancel wants
the candidate out. Where nobody can say whether that was so, the release is resumed.

Any number of reconcilers may run at once: each orphan is taken up by compare-and-set, and only one of those who resume
it gets the right to drive.
"""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import Session, col, select

from softlaunch.core.clock import utc_now
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.lease import Right, driving_runs, set_free, unattended
from softlaunch.ledger.notices import Incident, open_incident, resolve_incident
from softlaunch.ledger.releases import Actor, find_live, is_driven, read_release, to_release
from softlaunch.ledger.stages import read_stages
from softlaunch.policy.release import Kind, Release, State
from softlaunch.releases.decision import End
from softlaunch.releases.ending import end_live, end_release
from softlaunch.releases.orphans import Judgement, Orphan, Remedy, judge_orphan, show_seconds
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow, ReleaseRow

_DEATHS_WITHIN = timedelta(hours=1)
CANCELLED = "its run was cancelled in Prefect by hand"
_WHO_CANCELLED = Actor("somebody", "prefect")

AskCancelled = Callable[[Collection[str]], Collection[str]]
"""Of these runs, those that a person cancelled, as far as their orchestrator says."""


def _nobody_to_ask(runs: Collection[str]) -> Collection[str]:  # noqa: ARG001  (an AskCancelled)
    return ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A release that was orphaned or cancelled, and what became of it; one to resume waits for a driver.

    `cancelled_run` is the run that a person cancelled; empty where none was.
    """

    release_id: str
    token: int
    app: str
    stage: str
    holder: str
    silent_seconds: float
    remedy: Remedy
    reason: str
    cancelled_run: str = ""

    @property
    def sentence(self) -> str:
        """For people."""
        done = "is resumed" if self.remedy is Remedy.RESUME else "was rolled back"
        return f"{self.release_id} {done} at {self.stage}: {self.reason} (last by {self.holder or 'nobody'})."


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Looks after live releases. `by` is who does it; `ttl` is how long a driver may be silent."""

    database: Database
    by: Actor
    ttl: timedelta
    clock: Callable[[], datetime] = utc_now
    pause: Callable[[float], None] = time.sleep
    cancelled: AskCancelled = _nobody_to_ask

    def run(self, patience: float = 0.0) -> tuple[Finding, ...]:
        """One pass: what is over is resolved, what was cancelled ended, orphans settled; returns what was found.

        Releases without a driver for less than `patience` seconds are left to another reconciler. Clocks may differ
        or jump, so that a right which looks unused is watched for a moment: a driver that lives renews it.
        """
        with self.database.begin() as session:
            _resolve(session, self.by, self.clock())
            suspects = unattended(session, self.ttl, self.clock())
        if suspects:
            self.pause(self.ttl.total_seconds() / 3)
        found = [*self._end_cancelled(), *(self._settle(right, patience) for right in suspects)]
        return tuple(finding for finding in found if finding is not None)

    def _end_cancelled(self) -> Iterator[Finding | None]:
        """End the releases whose runs a person cancelled; None for one that is another's by now."""
        with self.database.read() as session:
            runs = driving_runs(session)
        for run in self.cancelled(runs) if runs else ():
            yield self._take_out(runs[run], run)

    def _take_out(self, app: str, run: str) -> Finding | None:
        now = self.clock()
        with self.database.begin() as session:
            live = find_live(session, app, lock=True)
            if live is None or live.run_id != run:
                return None
            release = to_release(session, live)
            silent = _silence(session, release, now)
            end_live(session, live, _WHO_CANCELLED, CANCELLED, now)
            _resolve(session, self.by, now)
        judgement = Judgement(Remedy.ROLL_BACK, CANCELLED)
        return replace(_found(release, release.driver_token, silent, judgement), cancelled_run=run)

    def _settle(self, right: Right, patience: float) -> Finding | None:
        """Take up one orphan in one transaction; None when somebody drives it after all, or it is another's turn."""
        now = self.clock()
        with self.database.begin() as session:
            release = read_release(session, right.release_id)
            silent = _silence(session, release, now)
            if silent < patience or not set_free(session, right, now):
                return None
            if release.driver_holder or release.kind is not Kind.TOPLINE:  # a topline begins by being found here
                open_incident(session, _incident(release, right, silent), now)
            judgement = judge_orphan(Orphan(release, silent, _deaths(session, release.id, now)))
            if judgement.remedy is Remedy.ROLL_BACK:
                _end(session, release, judgement, self.by, now)
                _resolve(session, self.by, now)
        return _found(release, right.token, silent, judgement)


def _found(release: Release, token: int, silent: float, judgement: Judgement) -> Finding:
    return Finding(
        release.id,
        token,
        release.app,
        release.stage.name,
        release.driver_holder,
        round(silent, 1),
        judgement.remedy,
        judgement.reason,
    )


def _silence(session: Session, release: Release, now: datetime) -> float:
    """Seconds since the last step of any driver by the clock: 0 where they were set back since."""
    looked_at = read_stages(session, release.id)[release.position].looked_at or release.opened_at
    return max((now - looked_at).total_seconds(), 0.0)


def _incident(release: Release, right: Right, silent: float) -> Incident:
    holder = release.driver_holder or "nobody yet"
    return Incident(
        kind=IncidentKind.RELEASE_ORPHANED,
        app=release.app,
        release_id=release.id,
        dedup_key=_key(release.id, right.token),
        summary=(
            f"{release.title}: {release.id} has had no driver for {show_seconds(silent)} at {release.stage.name} "
            f"(last: {holder}); stable serves alone meanwhile."
        ),
        evidence={"token": right.token, "holder": release.driver_holder, "silent_seconds": round(silent, 1)},
    )


def _key(release_id: str, token: int) -> str:
    return f"{release_id}:orphaned:{token}"


def _deaths(session: Session, release_id: str, now: datetime) -> int:
    """How many drivers a release has lost lately, the latest included."""
    session.flush()
    return session.exec(
        select(func.count())
        .select_from(IncidentRow)
        .where(IncidentRow.release_id == release_id, IncidentRow.kind == IncidentKind.RELEASE_ORPHANED)
        .where(col(IncidentRow.opened_at) > now - _DEATHS_WITHIN)
    ).one()


def _end(session: Session, release: Release, judgement: Judgement, by: Actor, now: datetime) -> None:
    state = State.ROLLED_BACK if release.state.exposes_users else State.ABORTED
    end_release(session, release, End(state, Outcome.ERROR, judgement.reason), by, now)


def _resolve(session: Session, by: Actor, now: datetime) -> None:
    """Close the incidents of releases that are driven again, or over."""
    held = (
        select(IncidentRow.dedup_key, ReleaseRow)
        .join(ReleaseRow, col(ReleaseRow.id) == col(IncidentRow.release_id))
        .where(IncidentRow.kind == IncidentKind.RELEASE_ORPHANED, col(IncidentRow.resolved_at).is_(None))
    )
    for key, row in session.exec(held).all():
        if row.live_app is None:
            resolve_incident(session, key, str(by), f"{row.id} is {row.state}", now)
        elif is_driven(row, now):
            resolve_incident(session, key, str(by), f"{row.driver_holder} drives it", now)
