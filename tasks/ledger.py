"""The ledger, as flows use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prefect import task

from softlaunch.clock import utc_now
from softlaunch.ending import Ended
from softlaunch.ending import roll_back as end_by_person
from softlaunch.opening import ReleaseRequest
from softlaunch.opening import open_release as open_in_ledger
from softlaunch.release import State
from softlaunch.settings import Settings
from softlaunch.store.database import Database
from softlaunch.store.migrate import open_database
from softlaunch.store.releases import Actor, read_release
from softlaunch.verdict import Outcome
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


@contextmanager
def ledger() -> Iterator[Database]:
    """The ledger of this installation, closed afterwards."""
    database = open_database(Settings().ledger_url)
    try:
        yield database
    finally:
        database.close()


@task(task_run_name="open a release of {request.app}")
def open_release(request: ReleaseRequest) -> str:
    """Open a release and take its app's lock; returns its id."""
    with ledger() as database:
        return open_in_ledger(database, request, utc_now())


@task(task_run_name="take over {release_id}")
def take_over(release_id: str) -> int:
    """The right to drive a release, as a fencing token."""
    with ledger() as database:
        return build_driver(database, DRIVER).take_over(release_id)


@task(task_run_name="let go of {release_id}")
def let_go(release_id: str, token: int) -> None:
    """Give the right to drive back."""
    with ledger() as database:
        build_driver(database, DRIVER).let_go(release_id, token)


def standing(release_id: str) -> Standing:
    """Where a release stands now; no task of its own, for it is asked between any two."""
    with ledger() as database, database.read() as session:
        found = read_release(session, release_id)
    return Standing(found.id, found.title, found.state, found.position, found.stage.name, found.outcome, found.reason)


@task(task_run_name="roll back {app}")
def roll_back(app: str, actor: Actor, reason: str) -> Ended:
    """Take back what an app is releasing or released last."""
    with ledger() as database, database.begin() as session:
        return end_by_person(session, app, actor, reason, utc_now())
