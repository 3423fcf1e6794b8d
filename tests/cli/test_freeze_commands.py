"""What commands say of freeze windows: the check, the plan, the start, and the one that lifts a freeze."""

from pathlib import Path

import orjson
import pytest
from sqlmodel import select

from softlaunch.cli.exits import Exit
from softlaunch.core.clock import utc_now
from softlaunch.releases.changes import Changes
from softlaunch.releases.opening import ReleaseRequest, open_release
from softlaunch.store.database import Database
from softlaunch.store.tables import VoteRow
from tests.support.commands import Run

pytestmark = pytest.mark.long

ALWAYS = 'freeze: [{from: 2020-01-01, until: 2999-01-01, time_zone: Europe/Berlin, reason: "no more changes"}]\n'
SAID = "frozen until Tue 2999-01-01 00:00 Europe/Berlin (no more changes)"


@pytest.fixture
def bot(softlaunch: Run, tmp_path: Path) -> str:
    """The example as an app of one's own, frozen for good."""
    assert softlaunch("init", "bot", "--app", "bot").code == Exit.OK
    policy = tmp_path / "bot" / "softlaunch.yaml"
    policy.write_text(policy.read_text() + ALWAYS)
    assert softlaunch("apply", "bot", "--no-probe").code == Exit.OK
    return "bot"


def test_the_check_shows_what_the_windows_mean_by_the_calendar(softlaunch: Run, bot: str) -> None:
    """Until when it is frozen now."""
    assert SAID in softlaunch("policy", "check", "bot/softlaunch.yaml").out


def test_the_plan_and_the_start_say_that_a_window_holds_the_release(softlaunch: Run, bot: str) -> None:
    """Before anything begins; in the document, too."""
    assert f"Freeze: bot is {SAID}" in softlaunch("plan", bot, "--requests-per-hour", "1000").out
    assert SAID in orjson.loads(softlaunch("plan", bot, "--requests-per-hour", "1000", "--json").out)["freeze"]
    started = softlaunch("release", "start", bot, "--variant", "no-such-variant", "--without-prefect")
    assert f"Freeze: bot is {SAID}" in started.err


def test_a_freeze_is_lifted_with_a_reason(softlaunch: Run, bot: str, tmp_path: Path) -> None:
    """It is shown before, and kept in the audit; a second time there is nothing left to lift."""
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    request = ReleaseRequest(app=bot, changes=Changes(variant="improved"), actor="anna")
    open_release(database, request, utc_now())
    assert "Frozen until Tue 2999-01-01 00:00 Europe/Berlin" in softlaunch("release", "status", bot).out
    assert softlaunch("release", "unfreeze", bot).code == Exit.USAGE
    lifted = softlaunch("release", "unfreeze", bot, "--reason", "wrong prices")
    assert (lifted.code, lifted.err) == (Exit.OK, "")
    assert f"bot-1 may move on although the app is {SAID}." in lifted.out
    with database.read() as session:
        vote = session.exec(select(VoteRow)).one()
    database.close()
    assert (vote.said, vote.reason, vote.ruling) == ("unfreeze", "wrong prices", "decided")
    again = softlaunch("release", "unfreeze", bot, "--reason", "wrong prices")
    assert again.code == Exit.USAGE
    assert "No freeze holds bot-1 now" in again.err
    assert "unfreeze" in softlaunch("history", bot).out
