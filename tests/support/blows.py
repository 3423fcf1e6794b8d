"""Blows to what shares a ledger on PostgreSQL, and what must not have come of them."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError

from softlaunch.approvals.deciding import Decision, apply_decision
from softlaunch.approvals.rules import Person, VoteResult
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.core.clock import utc_now
from tests.support.arena import POLICY, Installation, whenever

COUNTS = [pytest.param(60), pytest.param(200, marks=pytest.mark.soak)]
"""How many instants are struck: of each kind of blow there is one among the first 60."""
_LOOK_SECONDS = 0.1
_SETTLED_SECONDS = 2.5
"""So long after the next sign of life everybody follows again, on a busy machine."""


class Met(NamedTuple):
    """Who answered a user, when that was asked (epoch seconds), and how long it took; nobody where it failed.

    `told` is when an application heard what it has kept for that user since then.
    """

    began: float
    user: str
    arm: str
    status: int = 200
    took: float = 0.0
    told: float = 0.0


@dataclass
class Disturbed:
    """When nobody may have watched, or what users go through was down: then they may be on stable, and back."""

    lease_seconds: float
    spans: list[tuple[float, float]] = field(default_factory=list)
    beats: list[tuple[float, int]] = field(default_factory=list)

    @contextmanager
    def noting_beats(self, playing: Installation) -> Iterator[None]:
        """Whenever there is none for nearly a lease nobody watches, while the block works."""
        stopped = threading.Event()

        def look() -> None:
            while not stopped.wait(_LOOK_SECONDS):
                with suppress(SQLAlchemyError):
                    beat = int(str(ask(playing, "SELECT max(beat) FROM routes")[0][0]))
                    if not self.beats or beat != self.beats[-1][1]:
                        self._note(time.time(), beat)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def _note(self, now: float, beat: int) -> None:
        if self.beats and now - self.beats[-1][0] > self.lease_seconds / 2:
            self.spans.append((self.beats[-1][0] + self.lease_seconds / 2, now + _SETTLED_SECONDS))
        self.beats.append((now, beat))

    def note(self, began: float) -> None:
        """It lasted from then until everybody follows again."""
        self.spans.append((began, time.time() + _SETTLED_SECONDS))

    def covers(self, one: Met) -> bool:
        """Whether a question was asked, or answered, in such a time, or by what was told in one."""
        told = one.told or one.began
        return any(
            (began <= one.began + one.took and one.began <= ended) or began <= told <= ended
            for began, ended in self.spans
        )

    def switched(self, met: Sequence[Met]) -> list[tuple[Met, Met]]:
        """Users who were on stable after they were on the candidate, while somebody watched."""
        last: dict[str, Met] = {}
        found = []
        for one in met:
            if not one.arm or self.covers(one):
                continue
            before = last.get(one.user)
            if before is not None and (before.arm, one.arm) == ("candidate", "stable"):
                found.append((before, one))
            last[one.user] = one
        return found


def cut_a_connection(url: str, rng: random.Random) -> None:
    """End one of the ledger's connections from the server's side."""
    parsed = make_url(url)
    where = f"host={parsed.query['host']} user={parsed.username} dbname=postgres"
    with psycopg.connect(where, autocommit=True) as connection:
        sessions = "SELECT pid, state = 'idle' FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        found = connection.execute(sessions, [parsed.database]).fetchall()
        busy = sorted(pid for pid, idle in found if not idle) or sorted(pid for pid, _ in found)
        if busy:
            connection.execute("SELECT pg_terminate_backend(%s)", [rng.choice(busy)])


def stages(minimum_seconds: Sequence[float]) -> list[dict[str, object]]:
    """The stages of releases in arenas, by how long each takes at least; a person lets the last one begin.

    So a release outlasts all blows, however long a busy machine takes for them.
    """
    timed = [
        {**stage, "minimum_time": seconds} for stage, seconds in zip(POLICY["stages"], minimum_seconds, strict=True)
    ]
    return [*timed[:-1], {**timed[-1], "approval": True}]


def approve(playing: Installation, app: str) -> None:
    """Let the last stage of an app's release begin, once that is asked."""
    decision = Decision(app, ApprovalChoice.APPROVE, Person("ben", "test"))

    def approved() -> bool:
        with playing.database.begin() as session:
            return {one.result for one in apply_decision(session, decision, utc_now())} == {VoteResult.DECIDED}

    whenever(approved, "the last stage is asked for", 300)


def ask(playing: Installation, sql: str) -> list[tuple[object, ...]]:
    """Rows of a query."""
    with playing.database.read() as session:
        return [tuple(row) for row in session.execute(text(sql))]


def twice(playing: Installation) -> list[tuple[object, ...]]:
    """Answers that are logged more than once."""
    return ask(playing, "SELECT request_id, arm FROM requests GROUP BY request_id, arm HAVING count(*) > 1")


def promoted_at(playing: Installation, app: str) -> float:
    """When an app's release was promoted (epoch seconds)."""
    promoted = (
        "SELECT extract(epoch FROM happened_at) FROM transitions JOIN releases ON releases.id = release_id "
        f"WHERE app = '{app}' AND to_state = 'promoted'"
    )
    return float(str(ask(playing, promoted)[0][0]))
