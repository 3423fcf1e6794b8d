"""What `softlaunch reconcile` and `softlaunch history` say."""

from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from softlaunch.cli.exits import Exit
from softlaunch.core.clock import utc_now
from softlaunch.releases.changes import Changes
from softlaunch.releases.opening import ReleaseRequest, open_release
from softlaunch.store.database import Database
from tests.support.builders import request_row
from tests.support.commands import Run

pytestmark = pytest.mark.long


@pytest.fixture
def orphan(softlaunch: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A release that was opened a while ago and that nobody has driven; its models' endpoint is down."""
    monkeypatch.setenv("SOFTLAUNCH_DRIVER_SECONDS", "5")
    softlaunch("init", "bot", "--app", "bot")
    policy = "eval:\n  golden_set: golden.jsonl\n  timeout: 1 s\n  repeats: 1\n  maximum_repeats: 1\n"
    (tmp_path / "bot" / "softlaunch.yaml").write_text(f"app: bot\n{policy}  on_inconclusive: reject\n")
    cases = (tmp_path / "bot" / "golden.jsonl").read_text().splitlines()
    (tmp_path / "bot" / "golden.jsonl").write_text("\n".join(cases[:2]) + "\n")
    models = tmp_path / "bot" / "models.yaml"
    models.write_text(models.read_text().replace("127.0.0.1:8801", "127.0.0.1:9"))
    assert softlaunch("apply", "bot").code == Exit.OK
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    request = ReleaseRequest(app="bot", changes=Changes(variant="improved"), actor="anna", origin="test")
    open_release(database, request, utc_now() - timedelta(minutes=5))
    return database


def test_an_orphan_is_driven_to_its_end(softlaunch: Run, orphan: Database) -> None:
    """The document says who drove it last, what was done, and how it ended; another pass finds nothing."""
    done = softlaunch("reconcile", "--json")
    assert done.code == Exit.OK
    (said,) = orjson.loads(done.out)
    assert (said["release_id"], said["remedy"], said["last_driver"]) == ("bot-1", "resume", None)
    assert (said["state"], said["outcome"]) == ("rejected", "error")
    assert orjson.loads(softlaunch("reconcile", "--json").out) == []
    orphan.close()


def test_it_says_so_in_words(softlaunch: Run, orphan: Database) -> None:
    """What was found, each step, what people are told, and the end."""
    shown = " ".join(softlaunch("reconcile").out.split())
    assert "bot-1 is resumed at regression eval: it has had no driver for 5 min (last by nobody)." in shown
    assert "Runbook: runbooks/release_orphaned.md" in shown
    assert "bot-1 is rejected" in shown
    assert "Every live release has a driver." in softlaunch("reconcile").out
    orphan.close()
    trail = softlaunch("history", "bot").out
    assert [part for part in ("opened", "anna (test)", "incident", "driven", "ended") if part not in trail] == []
    entries = orjson.loads(softlaunch("history", "bot", "--limit", "2", "--json").out)
    assert [entry["event"] for entry in entries] == ["driven", "ended"] or len(entries) == 2


def test_a_single_pass_tells_of_a_provider_that_does_not_answer(softlaunch: Run, tmp_path: Path) -> None:
    """As the flow does, while nothing is released: the incident is open, and opened once."""
    softlaunch("init", "bot", "--app", "bot")
    assert softlaunch("apply", "bot", "--no-probe").code == Exit.OK
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    now, asked = utc_now().timestamp(), {"app": "bot", "release_id": None, "stage": 0, "outcome": "provider_failed"}
    with database.begin() as session:
        session.add_all(request_row(**asked, started_at=now - number / 10) for number in range(40))
    database.close()
    assert "40 of 40 answers of stable failed" in softlaunch("reconcile").err
    assert orjson.loads(softlaunch("reconcile", "--json").out) == []
    (incident,) = orjson.loads(softlaunch("incidents", "list", "--json").out)
    assert incident["kind"] == "provider_down"


def test_the_trail_of_an_unknown_app_is_refused(softlaunch: Run) -> None:
    """The message lists what is recorded."""
    done = softlaunch("history", "nope")
    assert done.code == Exit.USAGE
    assert "no app 'nope' is recorded" in done.err
