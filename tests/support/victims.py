"""Drivers that kill themselves at a given write: what a crash, an OOM kill or a pulled plug leaves behind."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from sqlalchemy import event

from softlaunch.core.clock import utc_now
from softlaunch.releases.changes import Changes
from softlaunch.releases.controller import Controller
from softlaunch.releases.opening import ReleaseRequest, open_release
from softlaunch.store.database import Database
from softlaunch.wiring import build_driver

POLL_SECONDS = 0.4


def release_until_killed(url: str, app: str, revision: int, writes: int, died: Path) -> None:
    """Start a release and drive it until the n-th write after the transition to a revision, then die by SIGKILL."""
    database = Database(url)
    _die_at(database, revision, writes, died)
    request = ReleaseRequest(app=app, changes=Changes(model="second"), actor="chaos", origin="test")
    release_id = open_release(database, request, utc_now())
    Controller(build_driver(database, "victim"), POLL_SECONDS).run(release_id)


def _die_at(database: Database, revision: int, writes: int, died: Path) -> None:
    """Statements that write, and commits, are counted anew from each transition on; its own statement is number 0."""
    at, count = -1, 0

    def step() -> None:
        if (at, count) == (revision, writes):
            died.write_text(repr(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)

    def on_statement(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        nonlocal at, count
        if sql.lstrip().upper().startswith("INSERT INTO TRANSITIONS"):
            at, count = at + 1, 0
            step()
        elif sql.lstrip().upper().startswith(("INSERT", "UPDATE")):
            on_commit(_connection)

    def on_commit(_connection: Any) -> None:
        nonlocal count
        count += 1
        step()

    event.listen(database.engine, "before_cursor_execute", on_statement)
    event.listen(database.engine, "commit", on_commit)
