"""A Slack of each test's own, and what speaks to it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from softlaunch.inbound.slack.clicks import Clicks
from softlaunch.notify.slack.client import SlackChat, web_client
from softlaunch.store.database import Database
from tests.notify.slack.slack_scene import LINKS
from tests.notify.slack.slack_server import CHANNEL, FakeSlack, running_slack


@pytest.fixture
def database(tmp_path: Path, migrated_file: Path) -> Iterator[Database]:
    """An empty ledger on SQLite: what is written and read here is tested on both databases elsewhere."""
    shutil.copy(migrated_file, tmp_path / "ledger.db")
    opened = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    """A Slack of this test's own."""
    with running_slack() as running:
        yield running


@pytest.fixture
def chat(slack: FakeSlack) -> SlackChat:
    """The channel of releases."""
    return SlackChat(web_client("xoxb-test", slack.api), CHANNEL, LINKS)


@pytest.fixture
def clicks(database: Database, slack: FakeSlack) -> Clicks:
    """Handles what people do."""
    return Clicks(database, web_client("xoxb-test", slack.api))
