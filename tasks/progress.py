"""A progress bar in Prefect for a stage that takes long."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_logger

from softlaunch.core.clock import utc_now
from softlaunch.releases.views import ReleaseView, read_view
from softlaunch.store.tables import ReleaseRow
from softlaunch.tasks.ledger import Standing, ledger
from softlaunch.tasks.questions import publish_questions
from softlaunch.tasks.run_names import run_tag, show_run

_LOGGER = get_logger(__name__)
_EVERY_SECONDS = 10.0
_STEP_PERCENT = 5.0
"""The bar is made once, after the first ten seconds, and moved at most once for each step: a week costs one row."""


@contextmanager
def shown_progress(stage: Standing) -> Iterator[None]:
    """Show how far a stage is while the block drives it.

    A thread of its own asks Prefect, because watching a candidate may never wait for a server that doesn't answer.
    """
    over = threading.Event()
    bar = _Bar(stage, over)
    threading.Thread(target=copy_context().run, args=(bar.run,), name="progress", daemon=True).start()
    try:
        yield
    finally:
        over.set()  # not joined: the next stage must not wait for Prefect either


class _Bar:
    def __init__(self, stage: Standing, over: threading.Event) -> None:
        self._stage = stage
        self._over = over
        self._artifact: UUID | None = None
        self._shown = 0.0
        self._told = ""
        self._tag = ""
        self._waits = False

    def run(self) -> None:
        """Look every ten seconds until the stage is over; then say how it ended, if the bar was ever shown."""
        while not self._over.wait(_EVERY_SECONDS):
            self._try(ended=False)
        if self._artifact is not None:
            self._try(ended=True)

    def _try(self, *, ended: bool) -> None:
        try:
            self._look(ended=ended)
        except Exception as error:  # a bar is worth nothing next to a release: whatever fails, it goes on
            _LOGGER.debug("the progress of %s can't be shown: %s", self._stage.release_id, error)

    def _look(self, *, ended: bool) -> None:
        release = self._release()
        view = release.stages[self._stage.position]
        self._tell_of_waiting(release)
        percent = round(100 * view.share_done(utc_now()), 1)
        message = f"{self._stage.title}: {view.stage.name}, {view.record.state}"
        frozen = release.frozen is not None and release.release.position == self._stage.position
        message += f", {view.record.reason or release.frozen_words}" if frozen else ""
        if self._artifact is None:
            key = artifact_key(self._stage.release_id, str(self._stage.position), "progress")
            made = create_progress_artifact(percent, key=key, description=message)
            self._artifact, self._shown = cast("UUID", made), percent
            self._told = message
        elif abs(percent - self._shown) >= _STEP_PERCENT or ended or message != self._told:
            update_progress_artifact(self._artifact, percent, description=message)
            self._shown, self._told = percent, message

    def _tell_of_waiting(self, release: ReleaseView) -> None:
        """Name the run by what it waits for, and again when it doesn't any more; tell whoever decides what is open."""
        waits, tag = bool(release.approvals), run_tag(release)
        if tag != self._tag and release.release.state.live:
            self._tag = tag
            show_run(self._stage.release_id)
        if waits != self._waits:
            self._waits = waits
            publish_questions()

    def _release(self) -> ReleaseView:
        with ledger() as database, database.read() as session:
            return read_view(session, session.get_one(ReleaseRow, self._stage.release_id), utc_now())


def artifact_key(*parts: str) -> str:
    """The key of an artifact: Prefect takes letters, digits and dashes, and apps may have dots and underscores."""
    return "-".join(parts).replace(".", "-").replace("_", "-")
