"""How many people met a candidate."""

from dataclasses import dataclass

from sqlalchemy import distinct, func, select
from sqlmodel import Session, col

from softlaunch.ledger.logged import Logged
from softlaunch.policy.route import Arm
from softlaunch.store.tables import RequestRow


@dataclass(frozen=True, slots=True)
class Exposure:
    """Units and requests that the candidate answered, and all that the release's traffic consisted of.

    A unit whose arm is drawn afresh now and then is one unit.
    """

    units: int
    all_units: int
    requests: int
    all_requests: int

    @property
    def share_of_units(self) -> float | None:
        """Share of users that the candidate answered at least once, in [0, 1]; None without traffic."""
        return self.units / self.all_units if self.all_units else None


def read_exposure(session: Session, logged: Logged, *, promoted: bool = False) -> Exposure:
    """Who was exposed to a release's candidate so far, from its requests in the log.

    A request that fell back was stable's. What is promoted serves everybody: it is the route's stable.
    """
    named = func.coalesce(col(RequestRow.named_unit), col(RequestRow.unit))
    shown = select(func.count(distinct(named)), func.count()).where(
        logged.rows, col(RequestRow.arm).in_([Arm.STABLE, Arm.CANDIDATE])
    )
    met = shown.where(
        col(RequestRow.arm) == (Arm.STABLE if promoted else Arm.CANDIDATE), col(RequestRow.fell_back).is_(False)
    )
    all_units, all_requests = session.execute(shown).one()
    units, requests = session.execute(met).one()
    return Exposure(units, all_units, requests, all_requests)
