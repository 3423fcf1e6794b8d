"""A release whose shadow stage compares texts: what stops it, what doesn't, and where it is shown."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from softlaunch.cli.live import render
from softlaunch.cli.output import console
from softlaunch.core.settings import Settings
from softlaunch.notify.links import Links
from softlaunch.policy.release import State
from softlaunch.releases.views import ReleaseView, read_view, to_json
from softlaunch.reports.markdown import stage_markdown
from softlaunch.reports.pages import write_page
from softlaunch.shadow.judge import CopyJudge
from softlaunch.shadow.watch import CopyWatch
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow
from tests.support.builders import NOON, Clock, Scene
from tests.support.copied import copies, shadow_policy

GUARD = {"metric": "agreement", "margin": "10 points", "role": "guard"}
REQUIRED = {"metric": "agreement", "margin": "10 points", "role": "required"}
MUTED = {"metric": "agreement", "margin": "10 points"}
SAYS = "Your order left our house on Monday."


@pytest.fixture
def database_url(migrated_file: Path, tmp_path: Path) -> str:
    """A ledger on SQLite alone; what a look reads is tested on both databases beside this."""
    shutil.copy(migrated_file, tmp_path / "ledger.db")
    return f"sqlite:///{tmp_path / 'ledger.db'}"


class _Copies:
    """Copies that a gateway would make meanwhile: twenty a look, every second of them to stable as well."""

    def __init__(self, database: Database, clock: Clock, shadow: str) -> None:
        self._database = database
        self._clock = clock
        self._shadow = shadow
        self._count = 0

    def __call__(self) -> None:
        """Write twenty more, of a second ago."""
        ago = self._clock.now.timestamp() - 1
        with self._database.begin() as session:
            for _ in range(20):
                again = SAYS if self._count % 2 else None
                session.add_all(copies(self._count, SAYS, self._shadow, again, at=ago))
                self._count += 1


def scene(database: Database, gate: Mapping[str, object], shadow: str) -> Scene:
    """A release in its shadow stage, with a candidate whose every answer is this."""
    watch = CopyWatch(database, CopyJudge(database))
    policy = shadow_policy(gate, shadow={"floor_percent": 50, "minimum_requests": 20, "minimum_time": "1 min"})
    opened = Scene.opened(database, policy, copies=watch, step_seconds=6.0)
    opened.drive_to(1)
    opened.telemetry.meanwhile = _Copies(database, opened.clock, shadow)
    return opened


def view_of(opened: Scene) -> ReleaseView:
    """The release as people look at it."""
    with opened.database.read() as session:
        return read_view(session, session.get_one(ReleaseRow, opened.release_id), NOON)


def test_other_answers_stop_a_release_where_the_policy_says_so(database: Database) -> None:
    """Answers that differ by more than stable's own do reject it, before any user met it."""
    opened = scene(database, GUARD, "Nein.")
    ended = opened.drive_until(lambda release: not release.state.live or release.position > 1)
    assert ended.state is State.REJECTED
    assert ended.reason.startswith("agreement: worse by")


@pytest.mark.parametrize(
    ("gate", "answer"),
    [
        pytest.param(REQUIRED, SAYS, id="the same answers where agreement is required"),
        pytest.param(MUTED, "Nein.", id="other answers where it is only shown"),
    ],
)
def test_a_release_goes_on(database: Database, gate: dict[str, object], answer: str) -> None:
    """The stage passes, and what was found is shown wherever the stage is."""
    opened = scene(database, gate, answer)
    opened.drive_to(2)
    shown = view_of(opened)
    stage = shown.stages[1]
    told = f"The copies' answers are {'100.0 %' if answer == SAYS else ''}"
    assert told in stage_markdown(shown, stage, Links.of(Settings()))
    assert "| agreement |" in stage_markdown(shown, stage, Links.of(Settings()))
    figures = to_json(shown)["stages"][1]["copies"]
    assert figures["agreement_floor"]["mean"] == 1.0
    assert figures["preference"] is None


def test_status_and_page_show_the_noise_beside_it(database: Database, tmp_path: Path) -> None:
    """Stable asked twice stands next to the candidate."""
    opened = scene(database, MUTED, SAYS.replace("Monday", "Sunday"))
    driver = opened.driver()
    token = driver.acquire_lease(opened.release_id)
    for _ in range(3):
        opened.clock.go(1)
        driver.advance(opened.release_id, token)
    shown = view_of(opened)
    with console.capture() as captured:
        console.print(render(shown))
    printed = " ".join(captured.get().split())
    page = write_page(database, shown, tmp_path).read_text(encoding="utf-8")
    for text in (printed, page):
        assert "second answers 100.0 %" in " ".join(text.split()).replace("&#39;", "'")
