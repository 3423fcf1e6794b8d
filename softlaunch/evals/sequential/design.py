"""What the order of a run was drawn with, recorded once: an eval that is started again draws the same."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlmodel import Session, col, select

from softlaunch.evals.calls.answers import CallKey, EvalArm
from softlaunch.evals.calls.call import Call
from softlaunch.evals.flicker import flickering, histories
from softlaunch.evals.orders import EvalOrder
from softlaunch.evals.sequential.order import Pair, Schedule, schedule
from softlaunch.evals.suites.suite import Suite
from softlaunch.store.database import Database
from softlaunch.store.tables import EvalAnswerRow, EvalRunRow

_ARMS = (EvalArm.STABLE, EvalArm.CANDIDATE)


@dataclass(frozen=True, slots=True)
class Design:
    """The seed of an order, and the cases that flickered before the run began."""

    seed: str
    flickering: frozenset[str]

    def schedule(self, suite: Suite, repeats: int) -> Schedule:
        """Which pairs are asked in which order, and when are looks."""
        return schedule(suite.cases, repeats, self.seed, self.flickering)


def settle_design(database: Database, order: EvalOrder, suite: Suite) -> Design | None:
    """The design that a run has, or gets now; None where it makes all of its calls.

    A run that has answers of its own and no design was begun without one, and goes on like that.
    """
    with database.read() as session:
        row = session.get_one(EvalRunRow, order.run_id)
        if row.design is not None:
            return read_design(row)
        if not order.policy.early_stop or _has_answers(session, order.run_id):
            return None
        known = flickering(histories(session, order.app, suite.cases, order.run_id))
    with database.begin() as session:
        found = session.exec(select(EvalRunRow).where(EvalRunRow.id == order.run_id).with_for_update()).one()
        if found.design is None:
            found.design = {"seed": order.run_id, "flickering": sorted(known)}
            session.add(found)
        return read_design(found)


def read_design(row: EvalRunRow) -> Design | None:
    """The design of a recorded run; None where it has none."""
    if row.design is None:
        return None
    return Design(str(row.design["seed"]), frozenset(row.design["flickering"]))


def calls_of(order: EvalOrder, suite: Suite, pairs: Iterator[Pair]) -> Iterator[Call]:
    """The calls of pairs, both arms next to each other; which of them goes first alternates."""
    variants = {EvalArm.STABLE: order.stable, EvalArm.CANDIDATE: order.candidate}
    cases = {case.id: case for case in suite.cases}
    for index, pair in enumerate(pairs):
        for arm in _ARMS if index % 2 == 0 else _ARMS[::-1]:
            yield Call(CallKey(arm, pair.case_id, pair.repeat), variants[arm], cases[pair.case_id])


def _has_answers(session: Session, run_id: str) -> bool:
    own = (col(EvalAnswerRow.run_id) == run_id, col(EvalAnswerRow.reused).is_(False))
    found = select(EvalAnswerRow.run_id).where(*own).limit(1)
    return session.exec(found).first() is not None
