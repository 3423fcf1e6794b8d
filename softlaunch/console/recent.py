"""The last day of every app, hour by hour, kept in memory: each request is counted once, when it is new."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Integer, case, cast, func, select
from sqlmodel import Session, col

from softlaunch.core.request_outcome import ARM_FAILURES
from softlaunch.policy.route import Arm
from softlaunch.store.tables import FeedbackRow, RequestRow

HOURS = 24
_HOUR = 3600
_AT_ONCE = 100_000
_MOST_AT_FIRST = 1_000_000


@dataclass(slots=True)
class Hour:
    """What one hour had: requests of users and those that failed, ratings and the sum of their satisfaction."""

    requests: int = 0
    failed: int = 0
    rated: int = 0
    satisfaction: float = 0.0


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 hours of an app, oldest first."""

    hours: Sequence[Hour]

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(hour.requests for hour in self.hours)

    @property
    def error_share(self) -> float | None:
        """Share of requests that failed, in [0, 1]; None without any."""
        return sum(hour.failed for hour in self.hours) / self.requests if self.requests else None

    @property
    def satisfaction(self) -> float | None:
        """Mean of the ratings, in [0, 1]; None without any."""
        rated = sum(hour.rated for hour in self.hours)
        return sum(hour.satisfaction for hour in self.hours) / rated if rated else None

    @property
    def errors_by_hour(self) -> list[float | None]:
        """Share of failed requests by hour; None where there were none."""
        return [hour.failed / hour.requests if hour.requests else None for hour in self.hours]

    @property
    def satisfaction_by_hour(self) -> list[float | None]:
        """Mean satisfaction by hour; None where nobody rated."""
        return [hour.satisfaction / hour.rated if hour.rated else None for hour in self.hours]


class RecentTraffic:
    """Counts what is new in the request log since the last look. Used by several threads.

    On PostgreSQL rows of two gateways can become visible out of the order of their numbers: the lines may miss a few.
    Gates and releases never rest on them.
    """

    def __init__(self) -> None:
        self._hours: dict[tuple[str, int], Hour] = defaultdict(Hour)
        self._seen: dict[str, int] = {}
        self._lock = threading.Lock()

    def look(self, session: Session, now: float) -> None:
        """Take in what is new, and forget what is older than a day."""
        with self._lock:
            for since, until in self._new(session, RequestRow):
                self._count_requests(session, since, until, now)
            for since, until in self._new(session, FeedbackRow):
                self._count_ratings(session, since, until, now)
            oldest = _hour(now) - HOURS
            for key in [key for key in self._hours if key[1] <= oldest]:
                del self._hours[key]

    def day(self, app: str, now: float) -> Day:
        """The last day of an app, as of the last look."""
        newest = _hour(now)
        with self._lock:
            return Day([self._hours.get((app, newest - back), Hour()) for back in range(HOURS - 1, -1, -1)])

    def _new(self, session: Session, table: type[RequestRow] | type[FeedbackRow]) -> Iterator[tuple[int, int]]:
        """Ranges of row numbers that weren't counted yet, each bounded."""
        newest = session.execute(select(func.max(col(table.id)))).scalar() or 0
        name = str(table.__tablename__)
        since = self._seen.get(name, max(0, newest - _MOST_AT_FIRST))
        while since < newest:
            until = min(since + _AT_ONCE, newest)
            yield since, until
            since = self._seen[name] = until

    def _count_requests(self, session: Session, since: int, until: int, now: float) -> None:
        hour = cast(func.floor(col(RequestRow.started_at) / _HOUR), Integer)
        failed = func.sum(case((col(RequestRow.outcome).in_(ARM_FAILURES), 1), else_=0))
        found = (
            select(col(RequestRow.app), hour, func.count(), failed)
            .where(col(RequestRow.id) > since, col(RequestRow.id) <= until)
            .where(col(RequestRow.started_at) > now - HOURS * _HOUR)
            .where(col(RequestRow.arm).in_([Arm.STABLE, Arm.CANDIDATE]))
            .group_by(col(RequestRow.app), hour)
        )
        for app, number, requests, faults in session.execute(found).tuples():
            held = self._hours[app, number]
            held.requests += requests
            held.failed += faults

    def _count_ratings(self, session: Session, since: int, until: int, now: float) -> None:
        hour = cast(func.floor(col(FeedbackRow.received_at) / _HOUR), Integer)
        found = (
            select(col(FeedbackRow.app), hour, func.count(), func.sum(col(FeedbackRow.satisfaction)))
            .where(col(FeedbackRow.id) > since, col(FeedbackRow.id) <= until)
            .where(col(FeedbackRow.received_at) > now - HOURS * _HOUR)
            .group_by(col(FeedbackRow.app), hour)
        )
        for app, number, rated, satisfaction in session.execute(found).tuples():
            held = self._hours[app, number]
            held.rated += rated
            held.satisfaction += satisfaction


def _hour(moment: float) -> int:
    return int(moment // _HOUR)
