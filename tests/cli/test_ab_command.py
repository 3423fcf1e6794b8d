"""`softlaunch ab`: planned, started, watched, stopped and released from the command line."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import yaml

from softlaunch.cli.exits import Exit
from softlaunch.core.clock import utc_now
from softlaunch.store.database import Database
from softlaunch.store.tables import FeedbackRow, RouteRow
from tests.support.builders import request_row
from tests.support.commands import Run

STATED = ("--requests-per-hour", "500", "--satisfaction", "0.8", "--rating-share", "0.3", "--requests-per-user", "3")


@pytest.fixture
def bot(softlaunch: Run, tmp_path: Path) -> str:
    """The example as an app of one's own, whose tests last a second and a half at most."""
    assert softlaunch("init", "bot", "--app", "bot").code == Exit.OK
    path = tmp_path / "bot" / "softlaunch.yaml"
    policy = yaml.safe_load(path.read_text(encoding="utf-8"))
    policy["ab"] = {"minimum_time": 0.2, "maximum_time": 1}
    path.write_text(yaml.safe_dump(policy), encoding="utf-8")
    assert softlaunch("apply", "bot").code == Exit.OK
    return "bot"


def rate(folder: Path, count: int) -> None:
    """So many rated requests of as many users, a minute ago."""
    database = Database(f"sqlite:///{folder / 'ledger.db'}")
    rng, now = np.random.default_rng(6), utc_now().timestamp()
    with database.begin() as session:
        digest = session.get_one(RouteRow, "bot").stable_digest
        for number in range(count):
            plain: dict[str, Any] = {"request_id": f"r{number}", "app": "bot", "unit": number, "release_id": None}
            row = request_row(
                **plain, stage=0, weight_percent=0.0, variant_digest=digest, started_at=now - 60 + 0.1 * number
            )
            good = float(rng.random() < 0.8)
            rating = FeedbackRow(
                request_id=f"r{number}", app="bot", satisfaction=good, kind="thumbs", received_at=now - 50
            )
            session.add_all([row, rating])
    database.close()


def test_a_plan_says_how_many_users_and_days_a_difference_takes(softlaunch: Run, bot: str, tmp_path: Path) -> None:
    """About what Lehr's rule of thumb says: 16 times the squared spread over the squared difference, in each arm."""
    done = softlaunch("ab", "plan", bot, *STATED, "--json")
    assert done.code == Exit.OK, done.err
    planned = orjson.loads(done.out)
    (satisfaction,) = planned["metrics"]
    assert satisfaction["deviation"] == pytest.approx(0.4, abs=0.001)
    assert satisfaction["users_needed"] == pytest.approx(2 * 16 * 0.4**2 / 0.02**2, rel=0.1)
    assert planned["curves"][0]["power"] == sorted(planned["curves"][0]["power"])
    assert (tmp_path / "reports" / "bot-ab-plan.html").is_file()


def test_traffic_that_can_not_find_the_difference_is_told(softlaunch: Run, bot: str) -> None:
    """With what would help."""
    done = softlaunch("ab", "plan", bot, "--requests-per-hour", "1", "--satisfaction", "0.8", "--effect", "1 point")
    assert done.code == Exit.OK, done.err
    assert "does not find 1 point within" in " ".join(done.out.split())


@pytest.mark.parametrize("effect", ["much", "5 %"])
def test_an_effect_is_written_in_points(softlaunch: Run, bot: str, effect: str) -> None:
    """The message shows how."""
    done = softlaunch("ab", "plan", bot, *STATED, "--effect", effect)
    assert done.code == Exit.USAGE
    assert "--effect" in done.err


def test_a_test_without_ratings_is_refused(softlaunch: Run, bot: str) -> None:
    """Nothing could ever decide it."""
    done = softlaunch("ab", "start", bot, "--prompt", "support@1.1.0", "--without-prefect")
    assert done.code == Exit.USAGE
    assert "/v1/feedback" in done.err


@pytest.mark.long
def test_a_test_is_started_watched_and_stopped(softlaunch: Run, bot: str, tmp_path: Path) -> None:
    """It holds the app's lock, shows as under way, has a page, and ends without a conclusion when a person says so."""
    rate(tmp_path, 200)
    _open(tmp_path)
    refused = softlaunch("release", "start", bot, "--prompt", "support@1.1.0", "--without-prefect")
    assert refused.code == Exit.CONFLICT
    assert "softlaunch ab stop bot" in refused.err
    shown = orjson.loads(softlaunch("ab", "status", bot, "--json").out)
    assert (shown["id"], shown["state"], shown["choice"]) == ("bot-ab-1", "pending", None)
    assert "no interim analysis yet" in softlaunch("ab", "status", bot).out
    page = orjson.loads(softlaunch("ab", "report", bot, "--json").out)["page"]
    assert "Under way" in Path(page).read_text(encoding="utf-8")
    stopped = softlaunch("ab", "stop", bot, "--reason", "enough", "--json")
    assert orjson.loads(stopped.out)["state"] == "aborted"
    again = softlaunch("ab", "stop", bot)
    assert again.code == Exit.USAGE
    assert "no live A/B test" in again.err
    unwon = softlaunch("ab", "promote", bot)
    assert unwon.code == Exit.USAGE
    assert "did not choose B" in unwon.err


def _open(folder: Path) -> None:
    from softlaunch.ab.opening import TrialRequest, open_trial
    from softlaunch.releases.changes import Changes

    database = Database(f"sqlite:///{folder / 'ledger.db'}")
    request = TrialRequest(app="bot", changes=Changes(prompt="support@1.1.0"), actor="anna", origin="test")
    open_trial(database, request, None, utc_now())
    database.close()
