"""A release in a terminal: a table that stays up to date, or a line per change where there is no terminal."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import console
from softlaunch.cli.verdicts import verdict_table
from softlaunch.core.clock import utc_now
from softlaunch.core.formatting import show_duration
from softlaunch.core.verdict import Outcome
from softlaunch.core.visible import one_line, visible
from softlaunch.ledger.releases import find_live
from softlaunch.ledger.stages import StageState
from softlaunch.releases.views import ReleaseView, StageView, read_view
from softlaunch.releases.wording import evidence_unit, outcome_rows, show_counts, show_early, show_exposure, show_limits
from softlaunch.reports.live_words import show_live
from softlaunch.reports.similarity_words import show_shadow
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow

_MARKS = {
    StageState.WAITING: Text("·", "dim"),
    StageState.RUNNING: Text("▶", "cyan"),
    StageState.PASSED: Text("✔", "green"),
    StageState.ENDED_EARLY: Text("»", "yellow"),
}
_A_DAY = timedelta(days=1)
_ENDED_BADLY = Text("✘", "red")


def render(view: ReleaseView) -> RenderableType:
    """The whole release: title, a line a stage, the verdicts of the stage in force, and what waits for a person."""
    release = view.release
    shown = view.stages[release.position]
    parts: list[RenderableType] = [
        Text.assemble(
            (release.id, "bold"), "  ", one_line(release.stable.label), " → ", one_line(release.candidate.label)
        ),
        Text(one_line(f"{release.state}: {release.reason or 'opened'}"), style=_state_style(view)),
        *(
            [Text(one_line(f"Emergency, nothing is compared: {release.emergency}"), style="yellow")]
            if release.emergency
            else []
        ),
        *([Text(one_line(view.frozen_words), style="yellow")] if view.frozen else []),
        _stage_table(view),
    ]
    if shown.verdicts:
        parts.append(verdict_table(shown.stage.name, shown.verdicts, evidence_unit(shown)))
    became = outcome_rows(view.outcomes)
    if became:
        parts.append(_outcome_table(became))
    parts.extend(Text(told, style="dim") for told in (show_shadow(view, shown), show_live(shown)) if told)
    limits = show_limits(shown)
    if limits and not release.emergency:
        parts.append(Text(limits, style="dim"))
    early = show_early(view)
    if early:
        parts.append(Text(one_line(early), style="yellow" if view.early else "dim"))
    parts.append(Text(show_exposure(view.exposure), style="dim"))
    if view.lost.sentence:
        parts.append(Text(view.lost.sentence, style="yellow"))
    parts.extend(
        Text(
            f"? {visible(asked.text)}  (softlaunch approve {release.app} | softlaunch reject {release.app})",
            style="bold yellow",
        )
        for asked in view.approvals
    )
    return Padding(Group(*parts), (1, 0))


def _state_style(view: ReleaseView) -> str:
    if view.release.state.live:
        return "cyan"
    return "bold green" if view.release.outcome is Outcome.PASS else "bold red"


def _stage_table(view: ReleaseView) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "stage", "since (UTC)", "lasted", "compared"):
        table.add_column(column, no_wrap=True)
    table.add_column("", overflow="fold")
    for stage in view.stages:
        said = stage.record.state is StageState.PASSED or stage.record.reason == view.release.reason
        why = "" if said else stage.record.reason  # the mark or the line above says it
        table.add_row(
            _MARKS.get(stage.record.state, _ENDED_BADLY),
            stage.stage.name,
            *_times(stage),
            show_counts(stage),
            Text(one_line(why), style="dim"),
        )
    return table


def _times(stage: StageView) -> tuple[str, str]:
    """When a stage began, and how long it has lasted or did."""
    entered = stage.record.entered_at
    if entered is None:
        return "", ""
    now = utc_now()
    since = f"{entered:%H:%M:%S}" if now - entered < _A_DAY else f"{entered:%m-%d %H:%M}"
    return since, show_duration(round(((stage.record.ended_at or now) - entered).total_seconds()))


def _outcome_table(rows: list[tuple[str, str, str]]) -> Table:
    """What became of each arm's requests: every one counts, also those that no gate holds against anybody."""
    table = Table("outcome", "candidate", "stable", box=None, pad_edge=False, header_style="dim")
    for row in rows:
        table.add_row(*row)
    return table


def watch_until_over(app: str, release_id: str) -> None:
    """Show a release until it is over."""
    with ledger() as database, showing(database, app, release_id) as screen:
        while not screen.over():
            time.sleep(0.5)


@contextmanager
def showing(database: Database, app: str, release_id: str | None = None) -> Iterator["Screen"]:
    """Show an app's live release, or a certain one, while the block works."""
    screen = Screen(database, app, release_id)
    if not console.is_terminal:
        yield screen
        return
    with Live(get_renderable=screen.draw, console=console, refresh_per_second=2, transient=True):
        yield screen


class Screen:
    """What a terminal shows of a release; without a terminal, a line whenever something changed."""

    def __init__(self, database: Database, app: str, release_id: str | None) -> None:
        """Nothing is read before it is asked for."""
        self._database = database
        self._app = app
        self._release_id = release_id
        self._last = ""

    def view(self) -> ReleaseView | None:
        """The release now; None before it was opened."""
        with self._database.read() as session:
            if self._release_id is None:
                row = find_live(session, self._app)
                self._release_id = row.id if row else None
            if self._release_id is None:
                return None
            return read_view(session, session.get_one(ReleaseRow, self._release_id), utc_now())

    def draw(self) -> RenderableType:
        """The release as a table."""
        view = self.view()
        return Text("…") if view is None else render(view)

    def over(self) -> bool:
        """Whether the release has ended; without a terminal, prints a line first if something changed."""
        view = self.view()
        if view is None:
            return False
        release = view.release
        line = one_line(f"{release.id} {release.state}: {release.stage.name} ({release.reason or 'opened'})")
        if not console.is_terminal and line != self._last:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            self._last = line
        return not release.state.live

    @contextmanager
    def following(self) -> Iterator[None]:
        """Without a terminal, print changes while the block works; a terminal draws by itself."""
        done = threading.Event()

        def follow() -> None:
            while not done.wait(0.5):
                with suppress(SQLAlchemyError):  # the driver says what is wrong with the ledger
                    self.over()

        follower = threading.Thread(target=follow, name="screen", daemon=True)
        follower.start()
        try:
            yield
        finally:
            done.set()
            follower.join()
            with suppress(SQLAlchemyError):
                self.over()
