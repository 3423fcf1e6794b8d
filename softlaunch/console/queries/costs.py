"""What a release has cost so far: the requests of its arms, its copies, its eval, and the judges of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlmodel import Session, col

from softlaunch.ledger.logged import Logged
from softlaunch.live.tallies import stage_period
from softlaunch.policy.release import StageKind
from softlaunch.policy.route import Arm
from softlaunch.releases.views import ReleaseView
from softlaunch.store.tables import CopyJudgementRow, LiveTallyRow, RequestRow

_OF_ARM = {
    Arm.STABLE: "requests to stable",
    Arm.CANDIDATE: "requests to the candidate",
    Arm.SHADOW: "copies to the candidate",
    Arm.CONTROL: "copies to stable",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What something has cost, USD: `count` calls of a model, of `unpriced` of which nobody knows the price."""

    what: str
    count: int
    usd: float
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Costs:
    """All of it; where prices are unknown, `usd` is what is known."""

    parts: Sequence[Cost]

    @property
    def usd(self) -> float:
        """The sum of what is known."""
        return sum(one.usd for one in self.parts)

    @property
    def is_whole(self) -> bool:
        """Whether every price is known."""
        return not any(one.unpriced for one in self.parts)


def traffic_costs(session: Session, logged: Logged) -> list[Cost]:
    """Of a release's requests in the log and of the judges of copies; it takes as long as there are of either."""
    row = RequestRow
    sums = (func.count(), func.coalesce(func.sum(col(row.cost_usd)), 0.0), func.count(col(row.cost_usd)))
    by_arm = select(col(row.arm), *sums).where(logged.rows).group_by(col(row.arm))
    found = {Arm(arm): (count, usd, count - priced) for arm, count, usd, priced in session.execute(by_arm)}
    costs = [Cost(what, *found[arm]) for arm, what in _OF_ARM.items() if arm in found]
    said = CopyJudgementRow
    unknown = func.coalesce(func.sum(case((col(said.cost_usd).is_(None), col(said.calls)), else_=0)), 0)
    judged = select(func.sum(col(said.calls)), func.coalesce(func.sum(col(said.cost_usd)), 0.0), unknown)
    calls, usd, unpriced = session.execute(judged.where(col(said.release_id) == logged.release_id)).one()
    return [*costs, *([Cost("judges of copies", calls, usd, unpriced)] if calls else [])]


def read_costs(session: Session, view: ReleaseView, traffic: Sequence[Cost]) -> Costs:
    """Everything that a release has cost, with what its traffic has."""
    release = view.release
    evals = [stage for stage in view.stages if stage.stage.kind is StageKind.EVAL and stage.calls.done]
    known = [(stage.calls.done, stage.record.evidence.get("cost_usd")) for stage in evals]
    costs = [Cost("eval, with its judges", done, usd or 0.0, 0 if usd is not None else done) for done, usd in known]
    row, periods = LiveTallyRow, [stage_period(release.id, stage.stage.position) for stage in view.stages]
    tallies = select(func.sum(col(row.calls)), func.sum(col(row.cost_usd))).where(
        col(row.app) == release.app, col(row.period).in_(periods)
    )
    calls, usd = session.execute(tallies).one()
    live = [Cost("judges of live answers", calls, usd)] if calls else []
    return Costs([*costs, *traffic, *live])
