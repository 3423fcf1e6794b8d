"""The plot that decided a release: in its thread and at its head, drawn without a browser, and never in the way."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from softlaunch.core.verdict import Interval, Outcome
from softlaunch.installation.doctor.finding import Level
from softlaunch.installation.doctor.outside import check_slack
from softlaunch.ledger.looks import GateLook
from softlaunch.notify.links import Links
from softlaunch.notify.plot import DecisivePlot, draw
from softlaunch.notify.slack import client as slack_client
from softlaunch.notify.slack.client import SlackChat, web_client
from softlaunch.notify.slack.head import head_blocks
from softlaunch.policy.release import State
from softlaunch.store.database import Database
from tests.notify.slack.slack_scene import ASKING, LINKS, sender
from tests.notify.slack.slack_server import CHANNEL, FakeSlack
from tests.support.builders import APP, NOON, Clock, Scene, ScriptedTelemetry, make_policy
from tests.support.release_views import make_view

STOPPED = f"{APP}-1"


@pytest.fixture(scope="module")
def stopped(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Clock]:
    """The file of a ledger whose release its latency gate has rolled back, before anything was sent."""
    path = tmp_path_factory.mktemp("plots") / "ledger.db"
    shutil.copy(migrated_file, path)
    database = Database(f"sqlite:///{path}")
    policy = make_policy(chat="slack", slack={"channel": CHANNEL}, approvers=ASKING["approvers"])
    scene = Scene.opened(database, policy, telemetry=ScriptedTelemetry({3: {"latency": 4.9}}, count=60))
    assert scene.drive_to_end().state is State.ROLLED_BACK
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path, scene.clock


@pytest.fixture
def ledger(stopped: tuple[Path, Clock], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A copy of that ledger, and a chat that doesn't wait for Slack."""
    monkeypatch.setattr(slack_client, "_PAUSES", (0.0, 0.0))
    shutil.copy(stopped[0], tmp_path / "stopped.db")
    database = Database(f"sqlite:///{tmp_path / 'stopped.db'}")
    yield database
    database.close()


def _pictures(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [block for block in message["blocks"] if block["type"] == "image"]


def test_the_plot_of_a_rollback_is_in_its_thread_and_at_its_head(
    ledger: Database, stopped: tuple[Path, Clock], slack: FakeSlack, chat: SlackChat
) -> None:
    """One PNG, shared in the thread, and shown by the head from there, with words for who doesn't see it."""
    sender(ledger, chat, stopped[1]).run()
    head, *replies = slack.messages
    ((file_id, file),) = slack.files.items()
    assert [one["files"][0]["id"] for one in replies if "files" in one] == [file_id]
    assert all(one["thread_ts"] == head["ts"] for one in replies)
    (picture,) = _pictures(head)
    assert picture["slack_file"] == {"id": file_id}
    assert picture["alt_text"].startswith("Harm of latency")
    assert "margin" in picture["alt_text"]
    assert file["name"].startswith(f"{STOPPED}-latency")
    assert Image.open(BytesIO(_content(file["content"]))).format == "PNG"


def _content(body: bytes) -> bytes:
    """The file within a body, whichever way it was sent."""
    return body[body.index(b"\x89PNG") :]


def test_a_sender_that_comes_later_finds_the_plot_in_the_thread(
    ledger: Database, stopped: tuple[Path, Clock], slack: FakeSlack, chat: SlackChat
) -> None:
    """It isn't put there twice, and stays at the head when that is brought up to date by another process."""
    sender(ledger, chat, stopped[1]).run()
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE releases SET revision = revision + 1")
    other = SlackChat(web_client("xoxb-test", slack.api), CHANNEL, LINKS)
    sender(ledger, other, Clock(stopped[1].now + timedelta(minutes=5))).run()
    assert len(slack.files) == 1
    assert len(_pictures(slack.messages[0])) == 1


def test_a_file_that_slack_knows_only_later_is_shown_later(
    ledger: Database, stopped: tuple[Path, Clock], slack: FakeSlack, chat: SlackChat
) -> None:
    """Slack refuses blocks with a file that it hasn't looked at yet: they are sent again after a moment."""
    slack.slow_files = 2
    sender(ledger, chat, stopped[1]).run()
    assert len(_pictures(slack.messages[0])) == 1


@pytest.mark.parametrize("trouble", ["no files", "never known"])
def test_no_message_waits_for_a_plot(
    ledger: Database, stopped: tuple[Path, Clock], slack: FakeSlack, chat: SlackChat, trouble: str
) -> None:
    """Without the scope for files, or where Slack never gets to know one, everything else is said all the same."""
    slack.takes_files = trouble != "no files"
    slack.slow_files = 10 * (trouble == "never known")
    done = sender(ledger, chat, stopped[1]).run()
    assert done.problems == ()
    assert _pictures(slack.messages[0]) == []
    assert "rolled back" in slack.messages[0]["text"]
    assert any("latency" in text for text in slack.texts(slack.messages[0]["ts"]))


def test_a_live_release_has_no_plot(database: Database, slack: FakeSlack, chat: SlackChat) -> None:
    """Its head changes every twenty seconds; the console shows the plots meanwhile."""
    scene = Scene.opened(database, make_policy(**ASKING))
    scene.drive_until(lambda release: release.position == 2)
    sender(database, chat, scene.clock).run()
    assert slack.files == {}


def test_the_head_links_the_console_where_people_have_an_address() -> None:
    """By the setting of its address; nothing where only this machine has one."""
    linked = Links(console_url="https://softlaunch.example")
    view = make_view()
    texts = [str([block.to_dict() for block in head_blocks(view, links)]) for links in (linked, LINKS)]
    assert f"<https://softlaunch.example/releases/{view.release.id}|Console>" in texts[0]
    assert "Console" not in texts[1]


def _look(seconds: int, harm: float, half: float) -> GateLook:
    at = NOON + timedelta(seconds=seconds)
    interval = Interval(harm - half, harm + half)
    return GateLook(at, Outcome.FAIL, harm, interval, 0.5, None, None, None, None)


@pytest.mark.parametrize("looks", [1, 2, 200])
def test_a_plot_is_small_and_shows_the_margin_and_the_harm(looks: int) -> None:
    """A PNG of a phone's width twice over, with its colours, from one look on."""
    shown = [_look(30 * number, 0.9, 1.0 / (1 + number)) for number in range(looks)]
    png = draw(DecisivePlot("support-bot-1", "canary 10 %", "latency per user", shown))
    image = Image.open(BytesIO(png)).convert("RGB")
    colours = set(zip(*(band.tobytes() for band in image.split()), strict=True))
    assert image.size == (900, 420)
    assert len(png) < 40_000
    for wanted in ((0xB3, 0x26, 0x1E), (0xB9, 0xD2, 0xF0)):
        assert any(all(abs(one - other) < 12 for one, other in zip(wanted, colour, strict=True)) for colour in colours)


@pytest.mark.parametrize(
    ("scopes", "level"),
    [
        pytest.param("chat:write,channels:history", Level.WARNING, id="an app from before there were plots"),
        pytest.param("chat:write,files:write", Level.OK, id="an app from the manifest"),
        pytest.param("", Level.OK, id="a Slack that doesn't say"),
    ],
)
def test_the_doctor_says_when_an_app_may_send_no_plots(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, scopes: str, level: Level
) -> None:
    """As a warning with what to do: everything else works without."""
    slack.scopes = scopes
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-test")
    monkeypatch.setenv("SLACK_API_URL", slack.api)
    found = check_slack(needed=True)
    assert (found.level, "softlaunch slack --manifest" in found.advice) == (level, level is Level.WARNING)
