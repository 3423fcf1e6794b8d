"""What `softlaunch incidents`, `notices` and `slack` say."""

from math import inf
from pathlib import Path

import orjson
import pytest

from softlaunch.cli.exits import Exit
from softlaunch.core.clock import utc_now
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Interval, Met, Outcome, Verdict
from softlaunch.ledger.notices import Incident, open_incident
from softlaunch.ledger.stages import figures
from softlaunch.store.database import Database
from tests.support.commands import Run

FAILED = Verdict(
    "latency",
    Outcome.FAIL,
    "",
    harm=3.91,
    interval=Interval(2.4, inf),
    margin=0.1,
    candidate_count=812,
    stable_count=790,
    candidate_value=4800.0,
    stable_value=1000.0,
    candidate_met=Met(1412, 151, 4912.0, 9800.0, 5020.0, 300),
    stable_met=Met(12790, 2783, 1000.0, 2013.0),
)


@pytest.fixture
def incident(softlaunch: Run, tmp_path: Path) -> int:
    """An open incident."""
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    told = Incident(
        IncidentKind.of_metric(Metric.LATENCY), "bot", None, "bot-1:gate_latency", "latency: worse", {"harm": 4.1}
    )
    with database.begin() as session:
        open_incident(session, told, utc_now())
    database.close()
    return 1


def test_nothing_is_wrong(softlaunch: Run) -> None:
    """A sentence, and an empty document."""
    assert softlaunch("incidents").out == "No incident is open.\n"
    assert orjson.loads(softlaunch("incidents", "--json").out) == []
    assert softlaunch("notices", "list").out == "No message waits.\n"


def test_an_incident_is_listed_shown_and_resolved(softlaunch: Run, incident: int) -> None:
    """Once: who resolves it again is told by whom it was."""
    (listed,) = orjson.loads(softlaunch("incidents", "list", "bot", "--json").out)
    assert (listed["kind"], listed["severity"], listed["evidence"]) == ("gate_latency", "page", {"harm": 4.1})
    assert listed["runbook"] == "runbooks/gate_latency.md"
    shown = softlaunch("incidents", "show", "1").out
    assert [
        part for part in ("Latency gate failed (page)", "harm: 4.1", "runbook: runbooks/") if part not in shown
    ] == []
    assert softlaunch("incidents", "resolve", "1", "--reason", "mended").code == Exit.OK
    again = softlaunch("incidents", "resolve", "1", "--reason", "mended")
    assert (again.code, "incident 1 was resolved by" in again.err) == (Exit.USAGE, True)
    assert orjson.loads(softlaunch("incidents", "--json").out) == []
    (kept,) = orjson.loads(softlaunch("incidents", "list", "--all", "--json").out)
    assert kept["resolution"] == "mended"


def test_the_incident_of_a_gate_shows_its_figures_in_their_units(softlaunch: Run, tmp_path: Path) -> None:
    """What the gate made of it and what users met in words; JSON has the numbers."""
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    evidence = {"gate": "latency", "reason": "worse by 391 %", **figures(FAILED)}
    told = Incident(
        IncidentKind.of_metric(Metric.LATENCY), "bot", None, "bot-1:gate_latency", "latency: worse", evidence
    )
    with database.begin() as session:
        open_incident(session, told, utc_now())
    database.close()
    shown = softlaunch("incidents", "show", "1").out
    for line in (
        "  reason: worse by 391 %\n",
        "  harm (between) of margin: +391 (+240 to …) of 10 %\n",
        "  evidence of candidate/stable: 4.80/1.00 s of 812/790 visits\n",
        "  met on candidate: 4.91 s (p95 9.80 s, last 5 min 5.02 s), 1,412 requests of 151 users\n",
        "  met on stable: 1.00 s (p95 2.01 s, last 5 min -), 12,790 requests of 2,783 users\n",
    ):
        assert line in shown
    (listed,) = orjson.loads(softlaunch("incidents", "list", "--json").out)
    assert listed["evidence"] == evidence


def test_an_unknown_incident_is_refused(softlaunch: Run) -> None:
    """The message says where to look."""
    done = softlaunch("incidents", "show", "99")
    assert (done.code, "no incident 99 is recorded" in done.err) == (Exit.USAGE, True)


def test_a_runbook_is_printed(softlaunch: Run) -> None:
    """On the machine that somebody is on anyway."""
    assert softlaunch("incidents", "runbook", "no_data").out.startswith("# No data\n")


def test_what_waits_is_delivered_once(softlaunch: Run, incident: int) -> None:
    """Printed where no chat is configured."""
    (waiting, hook) = orjson.loads(softlaunch("notices", "list", "--json").out)
    assert (waiting["lane"], waiting["count"], hook["lane"]) == ("app:bot", 1, "webhook")
    assert "latency: worse Runbook: runbooks/gate_latency.md" in softlaunch("notices", "deliver").out
    assert softlaunch("notices", "deliver").out == ""


def test_slack_needs_its_tokens(softlaunch: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message names the variable, and the file that it may be in."""
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"):
        monkeypatch.delenv(name, raising=False)
    done = softlaunch("slack")
    assert (done.code, "SLACK_BOT_TOKEN is not set; set it, or SLACK_BOT_TOKEN_FILE" in done.err) == (Exit.USAGE, True)
    monkeypatch.setenv("SLACK_BOT_TOKEN_FILE", str(tmp_path / "absent"))
    assert "can't be read: No such file" in softlaunch("slack").err
    (tmp_path / "token").write_text("xoxb-test\n")
    monkeypatch.setenv("SLACK_BOT_TOKEN_FILE", str(tmp_path / "token"))
    assert "SLACK_SIGNING_SECRET is not set" in softlaunch("slack", "--http").err
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-test")
    monkeypatch.setenv("SLACK_API_URL", "http://127.0.0.1:9/api/")
    assert "Slack can't be reached" in softlaunch("slack").err


def test_the_manifest_of_the_slack_app_is_printed(softlaunch: Run) -> None:
    """To be pasted where Slack asks for it."""
    assert "socket_mode_enabled: true" in softlaunch("slack", "--manifest").out
