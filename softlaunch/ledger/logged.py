"""Which rows of the request log are a release's, or one request's: by its id, and by when that was.

The time spares PostgreSQL the days of the log before and after; without it each one's index would be opened.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from sqlalchemy import ColumnElement, and_
from sqlmodel import col

from softlaunch.core.request_ids import asked_at
from softlaunch.policy.release import Release
from softlaunch.store.tables import ReleaseRow, RequestRow

NEWEST_FIRST = (col(RequestRow.started_at).desc(), col(RequestRow.id).desc())
"""An app's newest requests are found in this order by its index."""
_CLOCKS = timedelta(hours=1)
_LATE = timedelta(days=1)


def of_request(request_id: str) -> ColumnElement[bool]:
    """The rows of one request, one for each arm that was asked; by when it began, where its id tells."""
    began, row = asked_at(request_id), col(RequestRow.started_at)
    near = [] if began is None else [row >= began - _LATE.total_seconds(), row < began + _LATE.total_seconds()]
    return and_(col(RequestRow.request_id) == request_id, *near)


@dataclass(frozen=True, slots=True)
class Logged:
    """The requests of a release, or of an A/B test, that began from `since` until `until` (epoch seconds)."""

    release_id: str
    since: float = 0.0
    until: float = math.inf

    @classmethod
    def of(cls, release: Release | ReleaseRow) -> Self:
        """All of one: clocks of gateways may be behind by an hour, and one that heard of no end logs on for a day."""
        until = math.inf if release.ended_at is None else (release.ended_at + _LATE).timestamp()
        return cls(release.id, (release.opened_at - _CLOCKS).timestamp(), until)

    @property
    def rows(self) -> ColumnElement[bool]:
        """Which rows these are."""
        began = col(RequestRow.started_at) >= self.since
        ended = [] if math.isinf(self.until) else [col(RequestRow.started_at) < self.until]
        return and_(col(RequestRow.release_id) == self.release_id, began, *ended)
