"""A driver that is replaced, or killed at any of its writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import col, select

from softlaunch.ledger.releases import FencedError
from softlaunch.ledger.stages import read_stages
from softlaunch.policy.release import State
from softlaunch.releases.driver import DRIVER_TTL
from softlaunch.releases.ending import abort
from softlaunch.store.database import Database
from softlaunch.store.tables import (
    ApprovalRow,
    IncidentRow,
    NoticeRow,
    ReleaseRow,
    RouteRow,
    StageRow,
    TransitionRow,
    VerdictRow,
)
from tests.releases.driven import (
    FIRST,
    HALF,
    WHOLE_WAY,
)
from tests.support.builders import ANNA, APP, Scene, steps_of


def everything(database: Database) -> list[Any]:
    """Every row that a driver may write."""
    with database.read() as session:
        tables = (ReleaseRow, StageRow, VerdictRow, TransitionRow, RouteRow, ApprovalRow, IncidentRow, NoticeRow)
        return [[row.model_dump() for row in session.exec(select(table))] for table in tables]


def test_a_driver_that_was_replaced_can_write_nothing(database: Database) -> None:
    """It is told so at its next step, and nothing in the ledger has changed."""
    scene = Scene.opened(database)
    scene.drive_to(FIRST)
    old, successor = scene.driver("old"), scene.driver("new")
    stale = old.acquire_lease(scene.release_id)
    scene.clock.go(DRIVER_TTL.total_seconds())
    successor.acquire_lease(scene.release_id)
    before = everything(database)
    with pytest.raises(FencedError):
        old.advance(scene.release_id, stale)
    old.release_lease(scene.release_id, stale)
    assert everything(database) == before


def test_a_driver_that_is_replaced_while_it_looks_can_write_nothing(database: Database) -> None:
    """What it saw with slow eyes isn't written over what its successor did."""
    scene = Scene.opened(database)
    scene.drive_to(FIRST)
    old = scene.driver("old")
    stale = old.acquire_lease(scene.release_id)
    during: list[Any] = []

    def be_replaced() -> None:
        scene.clock.go(60)
        scene.driver("new").acquire_lease(scene.release_id)
        during.append(everything(database))

    scene.telemetry.meanwhile = be_replaced
    with pytest.raises(FencedError):
        old.advance(scene.release_id, stale)
    assert everything(database) == during[0]


def test_a_person_who_ends_the_release_while_a_driver_looks_wins(database: Database) -> None:
    """The driver's step is refused, and its next one tells how the release ended."""
    scene = Scene.opened(database)
    scene.drive_to(HALF)
    driver = scene.driver()
    token = driver.acquire_lease(scene.release_id)

    def abort_it() -> None:
        with database.begin() as session:
            abort(session, APP, ANNA, "tea", scene.clock.now)

    scene.telemetry.meanwhile = abort_it
    with pytest.raises(FencedError):
        driver.advance(scene.release_id, token)
    progress = driver.advance(scene.release_id, token)
    assert (progress.over, progress.state, progress.message) == (True, State.ABORTED, "tea")
    assert scene.route().weight_percent == 0


class Killed(BaseException):
    """The process ends here: nothing that catches exceptions may go on."""


@contextmanager
def killed_at(database: Database, statement: int) -> Iterator[list[int]]:
    """Kill whoever sends the ledger its n-th writing statement or commit; yields how many were sent."""
    sent = [0]

    def count() -> None:
        sent[0] += 1
        if sent[0] == statement:
            raise Killed

    def on_statement(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if sql.lstrip().upper().startswith(("INSERT", "UPDATE")):
            count()

    def on_commit(_connection: Any) -> None:
        count()

    event.listen(database.engine, "before_cursor_execute", on_statement)
    event.listen(database.engine, "commit", on_commit)
    try:
        yield sent
    finally:
        event.remove(database.engine, "before_cursor_execute", on_statement)
        event.remove(database.engine, "commit", on_commit)


def drive_until_killed(scene: Scene) -> None:
    """Take over and step until killed or over; the right to drive is never let go, as by a process that died."""
    driver = scene.driver()
    scene.clock.go(DRIVER_TTL.total_seconds())
    token = driver.acquire_lease(scene.release_id)
    while scene.release().state.live:
        scene.clock.go(1)
        driver.advance(scene.release_id, token)


@pytest.mark.long
@pytest.mark.parametrize(
    ("harms", "way"),
    [
        pytest.param({}, WHOLE_WAY, id="on the way to promotion"),
        pytest.param({HALF: {"latency": 5.0}}, [*WHOLE_WAY[:5], ("rolled_back", 3)], id="on the way to a rollback"),
    ],
)
def test_a_driver_may_be_killed_at_any_write(tmp_path: Any, migrated_file: Any, harms: Any, way: Any) -> None:
    """Killed again and again, after 1, 2, 3 ... writes, its successors enter each stage exactly once."""
    for stride in (1, 3, 7, 11):
        path = tmp_path / f"{stride}.db"
        path.write_bytes(migrated_file.read_bytes())
        database = Database(f"sqlite:///{path}")
        scene = Scene.opened(database)
        scene.telemetry.harms = harms
        deaths, after = 0, stride
        while scene.release().state.live and deaths < 500:
            try:
                with killed_at(database, after):
                    drive_until_killed(scene)
            except Killed:
                deaths += 1
                after = stride + deaths % 40
        assert deaths > 3
        assert steps_of(database, scene.release_id) == way
        with database.read() as session:
            texts = [row.text for row in session.exec(select(NoticeRow).order_by(col(NoticeRow.id)))]
            assert len([text for text in texts if " starts (" in text]) == len(way) - 2
            assert len(session.exec(select(IncidentRow)).all()) == bool(harms)
            ended = [stage.state for stage in read_stages(session, scene.release_id)]
        assert "running" not in ended
        database.close()
