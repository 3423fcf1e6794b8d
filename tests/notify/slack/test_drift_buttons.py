"""The next step after drift, started from its message: who may, what comes of it, and what a press can't do."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from softlaunch.catalog.records import record_variant
from softlaunch.core.clock import utc_now
from softlaunch.drift.check import check_drift, freeze_baseline
from softlaunch.drift.judgement import Step
from softlaunch.drift.runs import find_baseline
from softlaunch.inbound.slack.clicks import Clicks
from softlaunch.ledger.notices import resolve_incident
from softlaunch.ledger.releases import read_release
from softlaunch.notify.slack.client import SlackChat
from softlaunch.notify.slack.messages import STEPS, step_action
from softlaunch.releases.changes import Changes
from softlaunch.releases.opening import ReleaseRequest, open_release
from softlaunch.reports.history import read_history
from softlaunch.store.database import Database
from softlaunch.store.tables import NoticeRow, ReleaseRow, VoteRow
from tests.notify.slack.slack_scene import ASKING, click, sender, submission, votes, whispers
from tests.notify.slack.slack_server import FakeSlack
from tests.support.builders import APP, NOON
from tests.support.drift_scenes import Model, make_app, serve, variant_on
from tests.support.endpoints import Endpoint, running_endpoint
from tests.support.servers import wait_until

PIN, REFRESH = step_action(Step.PIN), step_action(Step.REFRESH)
ROLL_BACK, NEW_BASELINE = step_action(Step.ROLL_BACK), step_action(Step.NEW_BASELINE)
PEOPLE = {key: ASKING[key] for key in ("chat", "slack", "approvers")}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A real endpoint that plays the app's model."""
    with running_endpoint() as running:
        yield running


@pytest.fixture
def drifted(database: Database, endpoint: Endpoint, chat: SlackChat, tmp_path: Path) -> str:
    """A check that found another model behind its name, and has told people; its id."""
    endpoint.behaviour = Model().reply
    make_app(database, endpoint, tmp_path, drift={"repeats": 1}, **PEOPLE)
    freeze_baseline(database, APP, "anna", NOON)
    endpoint.behaviour = Model("gpt-4-0613", right_percent=50).reply
    run = check_drift(database, APP, "anna", utc_now() - timedelta(minutes=5))
    sender(database, chat).run()
    return run.id


def labels(slack: FakeSlack) -> list[tuple[str, str | None]]:
    """The steps that the message of the drift incident offers, and how they look."""
    message = next(one for one in slack.messages if "Prompt drift" in str(one.get("blocks")))
    rows = [block["elements"] for block in message["blocks"] if block["type"] == "actions"]
    return [(one["text"]["text"], one.get("style")) for row in rows for one in row if one["action_id"].count("drift")]


def test_the_pin_goes_out_as_a_release(
    database: Database, slack: FakeSlack, clicks: Clicks, drifted: str, tmp_path: Path
) -> None:
    """A press opens a dialog and does nothing; its submission opens the release of the model that answered then."""
    assert labels(slack) == [("Pin the model", "primary"), ("New baseline", None)]
    clicks.handle(click(slack, PIN))
    said = slack.called("views.open")[-1]["view"]["blocks"][0]["text"]["text"]
    assert said.startswith(f"Pin the model, because of {drifted} of {APP}: accuracy fell from")
    assert votes(database) == []
    clicks.handle(submission(slack, "the old one was better"))
    wait_until(lambda: _releases(database) != [], "the release is opened", 60)
    assert _releases(database) == [("benny", "smart-gpt-4-0314")]
    assert votes(database) == [("ben", "pin", "decided")]
    assert any(text == "smart-gpt-4-0314 goes out as a release." for text in whispers(slack))
    with database.read() as session:
        (vote,) = session.exec(select(VoteRow))
        trail = [(one.event.value, one.by) for one in read_history(session, APP, 50)]
    assert ("answered", "benny (slack, ben)") in trail
    assert (vote.reason, vote.origin, vote.app) == ("the old one was better", "slack", APP)


def _releases(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        found = [read_release(session, one) for one in session.exec(select(ReleaseRow.id))]
    return [(one.opened_by, one.candidate.model.name) for one in found]


def test_a_new_baseline_is_frozen_once(database: Database, slack: FakeSlack, clicks: Clicks, drifted: str) -> None:
    """Whoever presses afterwards is told that there is one."""
    clicks.handle(click(slack, NEW_BASELINE))
    late = click(slack, NEW_BASELINE)
    clicks.handle(submission(slack, ""))
    wait_until(lambda: any("is the baseline now" in text for text in whispers(slack)), "the baseline is frozen", 60)
    with database.read() as session:
        baseline = find_baseline(session, APP)
    assert baseline is not None
    assert baseline.id == f"{APP}-drift-3"
    clicks.handle(late)
    assert f"Nothing was started: {APP}-drift-3 is a newer baseline already" in whispers(slack)[-1]
    assert votes(database) == [("ben", "new_baseline", "decided"), ("ben", "new_baseline", "late")]


def test_a_stranger_starts_nothing(database: Database, slack: FakeSlack, clicks: Clicks, drifted: str) -> None:
    """Neither by a press nor by a forged dialog; both are recorded."""
    clicks.handle(click(slack, PIN))
    forged = submission(slack, "let me in", user="U0MALLORY", name="ben")
    opened = len(slack.called("views.open"))
    clicks.handle(click(slack, PIN, user="U0MALLORY", name="ben"))
    clicks.handle(forged)
    assert len(slack.called("views.open")) == opened
    assert _releases(database) == []
    assert votes(database) == [("U0MALLORY", "pin", "refused"), ("U0MALLORY", "pin", "refused")]
    said = whispers(slack)
    assert len(said) == 2
    assert all("not among its approvers" in text for text in said)


def test_what_only_people_can_do_is_answered_with_the_commands(
    database: Database, slack: FakeSlack, clicks: Clicks, drifted: str
) -> None:
    """A refresh of the prompt, and a pin where nobody knows what answered."""
    refresh = click(slack, PIN)
    refresh["actions"][0]["action_id"] = REFRESH
    clicks.handle(refresh)
    assert "write its next version" in whispers(slack)[-1]
    assert f"'softlaunch release start {APP} --prompt ...'" in whispers(slack)[-1]
    assert slack.called("views.open") == []
    assert votes(database) == [("ben", "refresh", "refused")]


def test_the_message_of_an_older_check_is_too_late(
    database: Database, slack: FakeSlack, chat: SlackChat, clicks: Clicks, drifted: str, endpoint: Endpoint
) -> None:
    """A newer check has the word; and once the incident is resolved, nothing is left to start."""
    old = click(slack, PIN)
    newer = check_drift(database, APP, "anna", utc_now())
    clicks.handle(old)
    assert f"{newer.id} is the newest check of {APP}, not {drifted}" in whispers(slack)[-1]
    old["actions"][0]["value"] = newer.id
    with database.begin() as session:
        for kind in ("prompt_drift", "floating_model_changed"):
            resolve_incident(session, f"{APP}:{kind}", "anna", "wanted", utc_now())
    clicks.handle(old)
    assert f"the incident of {APP} is resolved" in whispers(slack)[-1]
    assert _releases(database) == []


def test_a_step_that_came_to_nothing_is_told_to_everybody(
    database: Database, slack: FakeSlack, clicks: Clicks, drifted: str, endpoint: Endpoint
) -> None:
    """Another release holds the app: who pressed is told what to do, and the ledger keeps it."""
    other = variant_on(endpoint, "gpt-4-1106", "1.0.0")
    with database.begin() as session:
        record_variant(session, other, NOON)
    open_release(database, ReleaseRequest(app=APP, changes=Changes(variant=other.digest), actor="cem"), utc_now())
    clicks.handle(click(slack, PIN))
    clicks.handle(submission(slack, ""))
    wait_until(lambda: any("That didn't work" in text for text in whispers(slack)), "who pressed is told", 60)
    wait_until(lambda: any("what benny (slack) requested failed" in text for text in _told(database)), "all", 60)
    assert len(_releases(database)) == 1


def _told(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.exec(select(NoticeRow.text)))


def test_a_release_since_the_baseline_can_be_taken_back(
    database: Database, slack: FakeSlack, chat: SlackChat, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Then rolling back is what is proposed, before a new baseline."""
    endpoint.behaviour = Model().reply
    make_app(database, endpoint, tmp_path, drift={"repeats": 1}, **PEOPLE)
    freeze_baseline(database, APP, "anna", NOON)
    serve(database, variant_on(endpoint, "gpt-4-0314", "1.1.0"))
    endpoint.behaviour = Model(right_percent=40).reply
    check_drift(database, APP, "anna", utc_now())
    sender(database, chat).run()
    assert labels(slack) == [(STEPS[Step.ROLL_BACK], "primary"), (STEPS[Step.NEW_BASELINE], None)]
