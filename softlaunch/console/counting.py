"""Views of releases whose requests are counted beside the page where they are many."""

from datetime import datetime

from sqlmodel import Session

from softlaunch.console.queries.releases import has_many_requests
from softlaunch.console.state import Console
from softlaunch.core.errors import NotFoundError
from softlaunch.ledger.exposure import Exposure
from softlaunch.ledger.outcomes import StageOutcomes
from softlaunch.ledger.releases import read_release
from softlaunch.releases.views import Counted, ReleaseView, count_requests, read_view
from softlaunch.store.tables import ReleaseRow

_LIVE_SECONDS, _ENDED_SECONDS = 15.0, 900.0
_NOT_COUNTED = Counted(Exposure(0, 0, 0, 0), StageOutcomes())
"""In the place of counts that aren't there yet."""


def find_row(session: Session, release_id: str) -> ReleaseRow:
    """The row of a release or A/B test. Raises NotFoundError."""
    row = session.get(ReleaseRow, release_id)
    if row is None:
        raise NotFoundError(f"no release {release_id!r} is recorded; see the list of releases")
    return row


def counted_view(console: Console, session: Session, row: ReleaseRow, now: datetime) -> tuple[ReleaseView, bool]:
    """The view of a release, and whether its requests are counted already."""
    if not has_many_requests(session, row.id):
        return read_view(session, row, now), True
    release_id, seconds = row.id, _LIVE_SECONDS if row.live_app is not None else _ENDED_SECONDS
    found = console.background.get(
        ("counts of", release_id, row.revision), lambda: _count(console, release_id), seconds
    )
    return read_view(session, row, now, found.value or _NOT_COUNTED), found.value is not None


def _count(console: Console, release_id: str) -> Counted:
    with console.database.read() as session:
        return count_requests(session, read_release(session, release_id))
