"""Views of releases whose requests are counted beside the page where they are many."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from softlaunch.console.queries.costs import Cost, traffic_costs
from softlaunch.console.queries.releases import has_many_requests
from softlaunch.console.state import Console
from softlaunch.core.errors import NotFoundError
from softlaunch.ledger.exposure import Exposure
from softlaunch.ledger.logged import Logged
from softlaunch.ledger.outcomes import StageOutcomes
from softlaunch.ledger.releases import read_release
from softlaunch.releases.views import Counted, ReleaseView, count_requests, read_view
from softlaunch.store.tables import ReleaseRow

_LIVE_SECONDS, _ENDED_SECONDS = 15.0, 900.0
_NOT_COUNTED = Counted(Exposure(0, 0, 0, 0), StageOutcomes())
"""In the place of counts that aren't there yet."""


@dataclass(frozen=True, slots=True)
class OfAllRequests:
    """What takes as long as a release has requests."""

    counted: Counted
    costs: Sequence[Cost]


def find_row(session: Session, release_id: str) -> ReleaseRow:
    """The row of a release or A/B test. Raises NotFoundError."""
    row = session.get(ReleaseRow, release_id)
    if row is None:
        raise NotFoundError(f"no release {release_id!r} is recorded; see the list of releases")
    return row


def counted_view(
    console: Console, session: Session, row: ReleaseRow, now: datetime
) -> tuple[ReleaseView, OfAllRequests | None]:
    """The view of a release, and what is known of all its requests: many are counted beside the page."""
    release_id = row.id
    if not has_many_requests(session, Logged.of(row)):
        counted = _count_all(session, release_id)
        return read_view(session, row, now, counted.counted), counted
    seconds = _LIVE_SECONDS if row.live_app is not None else _ENDED_SECONDS
    found = console.background.get(
        ("counts of", release_id, row.revision), lambda: _count(console, release_id), seconds
    )
    known: OfAllRequests | None = found.value
    return read_view(session, row, now, _NOT_COUNTED if known is None else known.counted), known


def _count(console: Console, release_id: str) -> OfAllRequests:
    with console.database.read() as session:
        return _count_all(session, release_id)


def _count_all(session: Session, release_id: str) -> OfAllRequests:
    release = read_release(session, release_id)
    return OfAllRequests(count_requests(session, release), traffic_costs(session, Logged.of(release)))
