"""The ledger, as flows use it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prefect import get_run_logger, runtime, task
from sqlalchemy.exc import SQLAlchemyError

from softlaunch.approvals.deciding import Decision, apply_decision, raise_if_refused
from softlaunch.approvals.requests import DecisionRequest, RollbackRequest
from softlaunch.approvals.rollback import RollbackOrder, carry_out
from softlaunch.approvals.rules import Person
from softlaunch.core.clock import utc_now
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.lease import note_run
from softlaunch.ledger.releases import read_release
from softlaunch.policy.release import StageKind, State
from softlaunch.releases.ending import Ended
from softlaunch.releases.opening import ReleaseRequest, describe
from softlaunch.releases.opening import open_release as open_in_ledger
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.wiring import build_driver

DRIVER = "release flow"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a release stands: the stage in force, or how it ended."""

    release_id: str
    title: str
    state: State
    position: int
    stage: str
    outcome: Outcome | None
    reason: str
    is_eval: bool = False


@contextmanager
def ledger() -> Iterator[Database]:
    """The ledger of this installation, closed afterwards."""
    database = open_database(Settings().ledger_url)
    try:
        yield database
    finally:
        database.close()


def title(request: ReleaseRequest) -> str:
    """What a request does, for the name of its run; a request that makes no sense is named by its own words."""
    try:
        with ledger() as database, database.read() as session:
            return describe(session, request)
    except (SoftlaunchError, SQLAlchemyError):  # the run itself says what is wrong
        return f"{request.app}: {request.changes}"


@task(task_run_name="Open a release of {request.app}: {request.changes}")
def open_release(request: ReleaseRequest) -> str:
    """Open a release and take its app's lock; returns its id."""
    with ledger() as database:
        return open_in_ledger(database, request, utc_now())


@task(task_run_name="Acquire the lease of {release_id}")
def acquire_lease(release_id: str) -> int:
    """The right to drive a release, as a fencing token."""
    with ledger() as database:
        token = build_driver(database, DRIVER).acquire_lease(release_id)
        with database.begin() as session:
            note_run(session, release_id, token, runtime.flow_run.id or "", runtime.flow_run.ui_url or "")
        return token


@task(task_run_name="Release the lease of {release_id}")
def release_lease(release_id: str, token: int) -> None:
    """Give the right to drive back at once, for the next driver."""
    with ledger() as database:
        build_driver(database, DRIVER).release_lease(release_id, token)


def standing(release_id: str) -> Standing:
    """Where a release stands now; no task of its own, for it is asked between any two."""
    with ledger() as database, database.read() as session:
        found = read_release(session, release_id)
    is_eval = found.stage.kind is StageKind.EVAL
    stands = (found.position, found.stage.name, found.outcome, found.reason)
    return Standing(found.id, found.title, found.state, *stands, is_eval)


@task(task_run_name="Roll back {request.app}: {request.reason}")
def roll_back(request: RollbackRequest) -> Ended:
    """Roll back an app's live release or the newest promoted one, or put a named version in force."""
    order = RollbackOrder(request.app, request.reason, request.by, request.to, request.untried)
    with ledger() as database, database.begin() as session:
        ended = carry_out(session, order, utc_now())
    if ended.message:
        get_run_logger().log(logging.INFO if ended.changed else logging.WARNING, "%s", ended.message)
    return ended


@task(task_run_name="{request.actor} decides about {request.app}: {request.decision}")
def decide(request: DecisionRequest) -> list[str]:
    """Decide the approval of an app's live release, or one by its number; returns the result of each.

    Raises NotAllowedError or NothingToDecideError when the decision doesn't count; it is recorded all the same.
    """
    logger = get_run_logger()
    person = Person(request.by.name, request.by.origin)
    decision = Decision(request.app, request.decision, person, request.reason, request.question)
    with ledger() as database, database.begin() as session:
        results = apply_decision(session, decision, utc_now())
    for one in results:
        logger.info("%s: %s", request.by, one.message)
    return [one.message for one in raise_if_refused(results)]
