"""Which gateways are running, and which split each of them serves by."""

import time
from dataclasses import dataclass

from sqlmodel import Session, col, select

from softlaunch.store.database import Database
from softlaunch.store.tables import GatewayRow

_HEARD_WITHIN = 3.0
_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Followed:
    """How many of the gateways heard of lately serve by a route's revision, and after how many seconds."""

    heard: int
    following: int
    seconds: float

    @property
    def sentence(self) -> str:
        """For people."""
        if not self.heard:
            return "No gateway is running."
        if self.following == self.heard:
            return f"All {self.heard} running gateways follow, after {self.seconds:.1f} s."
        return (
            f"{self.following} of {self.heard} running gateways follow after {self.seconds:.1f} s; the others return "
            "to stable by themselves when their lease runs out."
        )


def wait_for_gateways(database: Database, app: str, revision: int) -> Followed:
    """Wait up to three seconds until every running gateway serves an app by a revision or a later one."""
    began = time.monotonic()
    while True:
        with database.read() as session:
            seen = revisions_seen(session, app, time.time())
        followed = Followed(len(seen), sum(one >= revision for one in seen), time.monotonic() - began)
        if followed.following == followed.heard or followed.seconds > _PATIENCE:
            return followed
        time.sleep(0.05)


def revisions_seen(session: Session, app: str, now: float) -> list[int]:
    """The route revision of an app that each gateway heard of in the last three seconds serves by."""
    lately = col(GatewayRow.heard_at).between(now - _HEARD_WITHIN, now + _HEARD_WITHIN)
    rows = session.exec(select(GatewayRow).where(lately)).all()
    return [int(row.revisions.get(app, 0)) for row in rows]
