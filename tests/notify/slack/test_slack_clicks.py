"""What people do in Slack: press, give a reason, and be told what came of it."""

from datetime import timedelta

import pytest
from sqlmodel import select

from softlaunch.core.approvals import ApprovalState
from softlaunch.core.clock import utc_now
from softlaunch.inbound.slack.clicks import Clicks
from softlaunch.notify.slack.client import SlackChat
from softlaunch.notify.slack.head import ADVANCE, ROLL_BACK
from softlaunch.notify.slack.messages import APPROVE, OPEN_LINKS, REJECT
from softlaunch.policy.release import State
from softlaunch.releases.ending import roll_back
from softlaunch.retention.approval import ask_person
from softlaunch.store.database import Database
from softlaunch.store.tables import ApprovalRow
from tests.notify.slack.slack_scene import ASKING, asking, click, sender, submission, votes, whispers
from tests.notify.slack.slack_server import FakeSlack
from tests.releases.driven import look
from tests.support.builders import ANNA, APP, Scene, make_policy, record_app


def question(database: Database) -> ApprovalRow:
    """The question."""
    with database.read() as session:
        return session.exec(select(ApprovalRow)).one()


def test_an_approval_with_a_reason(database: Database, slack: FakeSlack, chat: SlackChat, clicks: Clicks) -> None:
    """A press opens a dialog and decides nothing; the reason decides, and shows where the buttons were."""
    scene = asking(database)
    sends = sender(database, chat)
    sends.run()
    clicks.handle(click(slack, APPROVE))
    dialog = slack.called("views.open")[-1]
    assert dialog["trigger_id"] == "1.2.3"
    assert "Start canary 100 %?" in dialog["view"]["blocks"][0]["text"]["text"]
    assert question(database).state == ApprovalState.PENDING
    clicks.handle(submission(slack, "looks <fine>"))
    row = question(database)
    assert (row.state, row.decided_by, row.decided_from, row.reason) == ("approved", "ben", "slack", "looks <fine>")
    assert whispers(slack) == ["approved: canary 10 % passed. Start canary 100 %?"]
    sends.run()
    (asked,) = [one for one in slack.messages if "raised_hand" in str(one["blocks"])]
    assert [block["type"] for block in asked["blocks"]] == ["section", "context"]
    assert "approved by ben" in asked["blocks"][1]["elements"][0]["text"]
    assert "looks &lt;fine&gt;" in asked["blocks"][1]["elements"][0]["text"]
    assert slack.texts()[-1].startswith("benny (slack) approved")
    scene.clock.go(5)
    assert scene.drive_to_end().state is State.PROMOTED


def test_a_stranger_sees_no_dialog_and_is_recorded(
    database: Database, slack: FakeSlack, chat: SlackChat, clicks: Clicks
) -> None:
    """Nothing changes, whatever they press; also where they forge the dialog's submission."""
    scene = asking(database)
    sender(database, chat).run()
    clicks.handle(click(slack, APPROVE))
    forged = submission(slack, "let me in", user="U0MALLORY", name="ben")
    opened = len(slack.called("views.open"))
    for action in (APPROVE, REJECT, ROLL_BACK):
        clicks.handle(click(slack, action, user="U0MALLORY", name="ben"))
    clicks.handle(forged)
    assert len(slack.called("views.open")) == opened
    assert question(database).state == ApprovalState.PENDING
    assert scene.release().state is State.CANARY
    assert votes(database) == [
        ("U0MALLORY", "approved", "refused"),
        ("U0MALLORY", "rejected", "refused"),
        ("U0MALLORY", "roll_back", "refused"),
        ("U0MALLORY", "approved", "refused"),
    ]
    said = whispers(slack)
    assert len(said) == 4
    assert all("not among its approvers" in text for text in said)


def test_members_of_a_user_group_may_decide(
    database: Database, slack: FakeSlack, chat: SlackChat, clicks: Clicks
) -> None:
    """Slack says who is in it; who isn't, or while Slack doesn't say, may not."""
    asking(database)
    sender(database, chat).run()
    slack.groups["S0ONCALL"] = ["U0CEM000"]
    clicks.handle(click(slack, REJECT, user="U0CEM000", name="cem"))
    clicks.handle(submission(slack, "too slow", user="U0CEM000", name="cem"))
    row = question(database)
    assert (row.state, row.decided_by, row.reason) == ("rejected", "U0CEM000", "too slow")


def test_who_comes_late_is_told_how_it_went(
    database: Database, slack: FakeSlack, chat: SlackChat, clicks: Clicks
) -> None:
    """Two dialogs are open; the second submission changes nothing, and so does a press after that."""
    asking(database)
    sender(database, chat).run()
    slack.groups["S0ONCALL"] = ["U0CEM000"]
    press, late = click(slack, APPROVE), click(slack, REJECT, user="U0CEM000", name="cem")
    clicks.handle(press)
    first = submission(slack, "fine")
    clicks.handle(late)
    second = submission(slack, "no", user="U0CEM000", name="cem")
    clicks.handle(first)
    clicks.handle(second)
    clicks.handle(late)
    assert question(database).state == ApprovalState.APPROVED
    assert [ruling for _, _, ruling in votes(database)] == ["decided", "late", "late"]
    assert "was approved by ben" in whispers(slack)[-1]


def test_a_rollback_beats_an_open_dialog(database: Database, slack: FakeSlack, chat: SlackChat, clicks: Clicks) -> None:
    """The gates, or a person, took the release back while somebody was typing."""
    scene = asking(database)
    sender(database, chat).run()
    clicks.handle(click(slack, APPROVE))
    with database.begin() as session:
        roll_back(session, APP, ANNA, "latency", utc_now())
    clicks.handle(submission(slack, "fine"))
    assert scene.release().state is State.ROLLED_BACK
    assert "was withdrawn (the release is rolled_back)" in whispers(slack)[-1]


def test_the_rollback_button(database: Database, slack: FakeSlack, chat: SlackChat, clicks: Clicks) -> None:
    """It asks why, and stable serves at once; pressed again it says that it is over."""
    scene = asking(database)
    sender(database, chat).run()
    press = click(slack, ROLL_BACK)
    clicks.handle(press)
    clicks.handle(submission(slack, "users complain"))
    assert scene.release().state is State.ROLLED_BACK
    assert scene.release().reason == "users complain"
    assert scene.route().candidate_digest is None
    clicks.handle(press)
    assert "support-bot-1 is over already: rolled_back (users complain)" in whispers(slack)[-1]


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"type": "block_actions", "actions": [{"action_id": APPROVE}]}, id="no value"),
        pytest.param({"type": "block_actions", "actions": [{"action_id": OPEN_LINKS[0]}]}, id="a link was opened"),
        pytest.param({"type": "block_actions", "actions": [{"action_id": "other"}]}, id="another app's button"),
        pytest.param(
            {"type": "block_actions", "user": {"id": "U1"}, "actions": [{"action_id": APPROVE, "value": "99"}]},
            id="a question that isn't recorded",
        ),
        pytest.param({"type": "view_submission", "view": {"callback_id": "other"}}, id="another app's dialog"),
        pytest.param(
            {"type": "view_submission", "user": {"id": "U1"}, "view": {"callback_id": "softlaunch_decide"}},
            id="a dialog without what it was about",
        ),
        pytest.param({"type": "shortcut"}, id="something else"),
    ],
)
def test_what_is_not_understood_changes_nothing(
    database: Database, slack: FakeSlack, clicks: Clicks, payload: dict[str, object]
) -> None:
    """And stops nothing."""
    asking(database)
    clicks.handle(payload)
    assert question(database).state == ApprovalState.PENDING
    assert slack.called("views.open") == []


def test_a_dialog_that_slack_does_not_open_decides_nothing(
    database: Database, slack: FakeSlack, chat: SlackChat, clicks: Clicks
) -> None:
    """The person is told how else, where Slack still says anything."""
    asking(database)
    sender(database, chat).run()
    press = click(slack, APPROVE)
    slack.fault = "expired_trigger_id"
    clicks.handle(press)
    assert question(database).state == ApprovalState.PENDING


def test_a_large_cleanup_is_answered_by_the_same_buttons(
    database: Database, slack: FakeSlack, chat: SlackChat, clicks: Clicks
) -> None:
    """Its question stands in the channel; the answer shows in its place, and a stranger's press changes nothing."""
    record_app(database, make_policy(**ASKING))
    with database.begin() as session:
        ask_person(session, "digest", "1,200.0 MB (3 evals)", "registry cleanup", utc_now())
    sends = sender(database, chat)
    sends.run()
    clicks.handle(click(slack, APPROVE, user="U0MALLORY", name="ben"))
    assert "not among its approvers" in whispers(slack)[-1]
    clicks.handle(click(slack, APPROVE))
    assert "1,200.0 MB (3 evals)" in slack.called("views.open")[-1]["view"]["blocks"][0]["text"]["text"]
    clicks.handle(submission(slack, "the archive is there"))
    row = question(database)
    assert (row.state, row.decided_by, row.decided_from) == ("approved", "ben", "slack")
    sends.run()
    (asked,) = [one for one in slack.messages if "raised_hand" in str(one["blocks"])]
    assert "approved by ben" in asked["blocks"][1]["elements"][0]["text"]
    clicks.handle(submission(slack, "again"))
    assert "was approved by ben" in whispers(slack)[-1]


def test_the_next_stage_begins_early_with_a_reason(
    database: Database, slack: FakeSlack, chat: SlackChat, clicks: Clicks
) -> None:
    """The head of the thread offers it where the policy allows it; an old button ends no later stage."""
    stages = [{"weight_percent": 10, "minimum_time": 600, "minimum_requests": 20, "may_advance_early": True}]
    policy = make_policy(**{**ASKING, "stages": [*stages, {"weight_percent": 50}, {"weight_percent": 100}]})
    scene = Scene.opened(database, policy)
    scene.clock.now = utc_now() - timedelta(minutes=5)
    scene.drive_to(2)
    look(scene, 3)
    sender(database, chat).run()
    press = click(slack, ADVANCE)
    clicks.handle(press)
    clicks.handle(submission(slack, "before the fair"))
    assert "approved: End canary 10 % early and start canary 50 %?" in whispers(slack)[-1]
    look(scene, 1)
    assert scene.release().position == 3
    clicks.handle(press)
    assert "canary 50 % is in force by now" in whispers(slack)[-1]
    assert votes(database) == [("ben", "approved", "decided"), ("ben", "advance", "late")]
