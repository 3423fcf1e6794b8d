"""A release in Slack: one thread, a head that stays true, replies for events, and nothing doubled or lost."""

from datetime import timedelta
from typing import Any

import pytest

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.live_metrics import Metric
from softlaunch.ledger.notices import Incident, Message, notify, open_incident
from softlaunch.ledger.outbox import HOLD
from softlaunch.notify.slack.client import SlackChat, web_client
from softlaunch.policy.release import State
from softlaunch.releases.ending import roll_back
from softlaunch.store.database import Database
from tests.notify.slack.slack_scene import ASKING, LINKS, asking, sender
from tests.notify.slack.slack_server import CHANNEL, FakeSlack
from tests.support.builders import ANNA, APP, NOON, Clock, Scene, make_policy, open_in_new_app


def kinds(message: dict[str, Any]) -> list[str]:
    """The types of a message's blocks."""
    return [block["type"] for block in message["blocks"]]


def test_a_release_is_one_thread_whose_head_stays_true(database: Database, slack: FakeSlack, chat: SlackChat) -> None:
    """The head is changed in place; only events are replies, in the order in which they happened."""
    scene = Scene.opened(database, make_policy(**{**ASKING, "stages": [{"weight_percent": 100}]}))
    sends = sender(database, chat, scene.clock)
    sends.run()
    scene.drive_until(lambda release: release.position == 2)
    sends.run()
    head = slack.messages[0]
    assert "thread_ts" not in head
    assert head["text"].startswith("support-bot-1: canary 100 %")
    assert head["blocks"][0]["text"]["text"] == "support-bot-1 · canary 100 %"
    assert {one.get("thread_ts") for one in slack.messages[1:]} == {head["ts"]}
    replies = slack.texts(head["ts"])
    assert [part in text for part, text in zip(("eval starts", "shadow starts", "100 % starts"), replies, strict=True)]
    assert len(slack.messages) == 4


def test_a_question_shows_in_the_channel_with_its_buttons(
    database: Database, slack: FakeSlack, chat: SlackChat
) -> None:
    """It is a reply that the channel sees too, because somebody must act."""
    asking(database)
    sender(database, chat).run()
    message = slack.messages[-1]
    assert message["reply_broadcast"] is True
    assert kinds(message) == ["section", "context", "actions"]
    assert [element["text"]["text"] for element in message["blocks"][-1]["elements"]] == ["Approve", "Reject"]
    assert "canary 10 % passed. Start canary 100 %?" in message["text"]


def test_an_urgent_incident_links_its_runbook_and_report(database: Database, slack: FakeSlack, chat: SlackChat) -> None:
    """The buttons open pages."""
    release = open_in_new_app(database, make_policy(**ASKING))
    incident = Incident(
        IncidentKind.of_metric(Metric.LATENCY), APP, release, "key", "latency: worse by 412 %", {"harm": 4.123456}
    )
    with database.begin() as session:
        open_incident(session, incident, NOON)
    sender(database, chat).run()
    message = slack.messages[-1]
    assert message["reply_broadcast"] is True
    urls = [element["url"] for element in message["blocks"][2]["elements"]]
    assert urls == [
        "https://pages.example/runbooks/gate_latency.md",
        "https://pages.example/reports/support-bot-1.html",
    ]
    assert "harm: `4.123`" in message["blocks"][1]["elements"][0]["text"]


def test_what_people_write_is_shown_and_not_obeyed(database: Database, slack: FakeSlack, chat: SlackChat) -> None:
    """A reason can neither ping a channel nor hide a link, and one that is too long is cut."""
    release = open_in_new_app(database, make_policy(**ASKING))
    with database.begin() as session:
        notify(session, Message(APP, release, "<!channel> & <https://evil.example|click> " + "x" * 9000), NOON)
    sender(database, chat).run()
    message = slack.messages[-1]
    assert message["blocks"][0]["text"]["text"].startswith("&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;")
    assert len(message["blocks"][0]["text"]["text"]) <= 3000
    assert len(message["text"]) <= 4000


def test_slack_down_in_the_middle_of_a_rollback(database: Database, slack: FakeSlack, chat: SlackChat) -> None:
    """The rollback is immediate; ten minutes later every message arrives once, in order, and the head is true."""
    scene = asking(database)
    clock = Clock(scene.clock.now)
    sends = sender(database, chat, clock)
    sends.run()
    before = len(slack.messages)
    slack.fault = "down"
    with database.begin() as session:
        roll_back(session, APP, ANNA, "users complain", clock.now)
    assert scene.release().state is State.ROLLED_BACK
    assert scene.route().candidate_digest is None
    for second in range(0, 600, 20):
        if second == 300:
            with database.begin() as session:
                notify(session, Message(APP, scene.release_id, "five minutes later"), clock.now)
        sends.run()
        clock.go(20)
    assert len(slack.messages) == before
    slack.fault = ""
    clock.go(60)
    sends.run()
    sends.run()
    later = [one["text"] for one in slack.messages[before:]]
    assert [part in text for part, text in zip(("is withdrawn", "users complain", "five minutes"), later, strict=True)]
    assert slack.messages[0]["text"].startswith("support-bot-1: rolled back")
    assert slack.messages[0]["blocks"][-1]["type"] == "context"
    question = next(one for one in slack.messages if "raised_hand" in str(one["blocks"]))
    assert kinds(question) == ["section", "context"]


@pytest.mark.parametrize("may_read", [True, False], ids=["a token that may read", "a token that may not"])
def test_an_answer_that_was_lost(
    database: Database,
    slack: FakeSlack,
    chat: SlackChat,
    may_read: bool,  # noqa: FBT001  (a parameter case)
) -> None:
    """The message had arrived: it is found by its key, and only without the right to read it comes twice."""
    open_in_new_app(database, make_policy(**ASKING))
    clock = Clock()
    slack.may_read = may_read
    sends = sender(database, chat, clock)
    with database.begin() as session:
        notify(session, Message(APP, f"{APP}-1", "before"), NOON)
    sends.run()
    with database.begin() as session:
        notify(session, Message(APP, f"{APP}-1", "only once"), NOON)
    slack.fault = "lost answer"
    assert sends.run().problems
    slack.fault = ""
    clock.go(HOLD.total_seconds())
    sends.run()
    assert slack.texts().count("only once") == (1 if may_read else 2)


def test_a_head_whose_answer_was_lost_is_found(database: Database, slack: FakeSlack, chat: SlackChat) -> None:
    """A release never gets a second thread."""
    release = open_in_new_app(database, make_policy(**ASKING))
    with database.begin() as session:
        notify(session, Message(APP, release, "one"), NOON)
    clock = Clock()
    slack.fault = "lost answer"
    sends = sender(database, chat, clock)
    sends.run()
    slack.fault = ""
    clock.go(HOLD.total_seconds())
    sends.run()
    assert [one.get("thread_ts") for one in slack.messages] == [None, slack.messages[0]["ts"]]


def test_slack_is_left_alone_for_as_long_as_it_says(database: Database, slack: FakeSlack, chat: SlackChat) -> None:
    """Retry-After is obeyed, and nothing is lost."""
    release = open_in_new_app(database, make_policy(**ASKING))
    with database.begin() as session:
        notify(session, Message(APP, release, "one"), NOON)
    clock = Clock()
    sends = sender(database, chat, clock)
    slack.fault = "limited"
    assert "7 s of silence" in sends.run().problems[0]
    slack.fault = ""
    clock.go(6)
    assert sends.run().sent == 0
    clock.go(1)
    assert sends.run().sent == 1


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        pytest.param("channel_not_found", "invite the app to the channel", id="a wrong channel"),
        pytest.param("invalid_auth", "check SLACK_BOT_TOKEN", id="a wrong token"),
        pytest.param("missing_scope", "softlaunch slack --manifest", id="a missing right"),
    ],
)
def test_what_people_must_mend_is_said_and_waits(
    database: Database, slack: FakeSlack, chat: SlackChat, fault: str, advice: str
) -> None:
    """Messages wait until it is mended."""
    open_in_new_app(database, make_policy(**ASKING))
    with database.begin() as session:
        notify(session, Message(APP, f"{APP}-1", "one"), NOON)
    clock = Clock()
    slack.fault = fault
    sends = sender(database, chat, clock)
    assert advice in sends.run().problems[0]
    slack.fault = ""
    clock.go(60)
    assert sends.run().sent == 1


def test_blocks_that_slack_refuses_are_sent_as_text(database: Database, slack: FakeSlack, chat: SlackChat) -> None:
    """A message in plain words is better than none."""
    open_in_new_app(database, make_policy(**ASKING))
    with database.begin() as session:
        notify(session, Message(APP, f"{APP}-1", "one"), NOON)
    slack.fault = "invalid_blocks"
    sender(database, chat).run()
    assert [one["text"] for one in slack.messages][-1] == "one"
    assert "blocks" not in slack.messages[-1]


def test_a_head_that_somebody_deleted_is_posted_again(database: Database, slack: FakeSlack, chat: SlackChat) -> None:
    """The release goes on having one."""
    scene = Scene.opened(database, make_policy(**ASKING))
    with database.begin() as session:
        notify(session, Message(APP, scene.release_id, "one"), NOON)
    sends = sender(database, chat, scene.clock)
    sends.run()
    slack.messages.clear()
    scene.drive_to(1)
    scene.clock.go(timedelta(minutes=1).total_seconds())
    sends.run()
    assert sum("thread_ts" not in one for one in slack.messages) == 1


def test_nobody_listens_where_slack_should_be(database: Database) -> None:
    """A closed port is certain: nothing arrived, and it is sent again without asking."""
    open_in_new_app(database, make_policy(**ASKING))
    with database.begin() as session:
        notify(session, Message(APP, f"{APP}-1", "one"), NOON)
    absent = SlackChat(web_client("xoxb-test", "http://127.0.0.1:9/api/"), CHANNEL, LINKS)
    assert "Slack can't be reached" in sender(database, absent).run().problems[0]
