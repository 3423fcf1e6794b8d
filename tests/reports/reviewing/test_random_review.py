"""Labelling answers that were drawn at random: one after the other, blind to the arm, from this machine's page only."""

from datetime import UTC, datetime

import numpy as np
import pytest
from starlette.testclient import TestClient

from softlaunch.ledger.review_draws import Draw, draw, labelled
from softlaunch.policy.named_metrics import MetricPolicy
from softlaunch.reports.reviewing.export import random_rows
from softlaunch.reports.reviewing.random_review import RandomReview
from softlaunch.store.database import Database
from softlaunch.store.tables import ReviewDrawRow, TextRow
from tests.support.builders import APP, NOON, open_in_new_app, request_row

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCORE = MetricPolicy.model_validate({"name": "reviewed", "kind": "score", "better": "up", "drawn": True})
SHARE = MetricPolicy.model_validate({"name": "reviewed", "kind": "share", "better": "up", "drawn": True})


@pytest.fixture
def drawn(database: Database) -> Database:
    """Two drawn answers, one of each arm."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        for arm in ("candidate", "stable"):
            session.add(request_row(request_id=arm, release_id=release_id, stage=0, arm=arm))
            text = TextRow(request_id=arm, arm=arm, app=APP, question="<b>How?</b>", answer="So.", expires_at=9e9)
            session.add(text)
        draw(session, APP, Draw("reviewed", 2, NOON.timestamp(), "anna"), np.random.default_rng(1))
    return database


def client(database: Database, metric: MetricPolicy = SCORE, host: str = "127.0.0.1") -> TestClient:
    """A browser on this machine."""
    review = RandomReview(database, APP, metric, "anna", lambda: NOW, token="secret")
    return TestClient(review.app, base_url=f"http://{host}:8123")


def test_answers_are_labelled_one_by_one_without_their_arm(drawn: Database) -> None:
    """The page shows a question and an answer, and nothing by which the arm could be told."""
    browser, seen = client(drawn), []
    for left in (2, 1):
        page = browser.get("/").text
        assert "&lt;b&gt;How?" in page
        assert f"{left} left" in page
        assert "candidate" not in page
        assert "stable" not in page
        number = page.partition('name="drawn" value="')[2].partition('"')[0]
        seen.append(number)
        page = browser.post("/labels", data={"token": "secret", "drawn": number, "value": "0.75"}).text
    assert len(set(seen)) == 2
    assert "All drawn answers are labeled" in page
    with drawn.read() as session:
        rows = list(random_rows(labelled(session, APP, "reviewed")))
        assert session.get_one(ReviewDrawRow, int(seen[0])).labelled_at == NOW.timestamp()
    assert [(row["votes"], row["drawn"], row["probability"]) for row in rows] == [(["right"], "random", 1.0)] * 2


@pytest.mark.parametrize(
    ("form", "metric", "status"),
    [
        pytest.param({"token": "guessed", "drawn": "1", "value": "0.5"}, SCORE, 403, id="another page"),
        pytest.param({"drawn": "1", "value": "0.5"}, SCORE, 403, id="no token"),
        pytest.param({"token": "secret", "drawn": "1", "value": "0.6"}, SCORE, 422, id="no choice of the page"),
        pytest.param({"token": "secret", "drawn": "1", "value": "0.5"}, SHARE, 422, id="half of yes or no"),
        pytest.param({"token": "secret", "drawn": "x", "value": "0.5"}, SCORE, 422, id="no number"),
        pytest.param({"token": "secret", "drawn": "9" * 30, "value": "0.5"}, SCORE, 422, id="no such number"),
        pytest.param({"token": "secret", "drawn": "1", "value": "0.5", "x": "y" * 20_000}, SCORE, 403, id="a flood"),
    ],
)
def test_what_the_page_did_not_send_is_refused(
    drawn: Database, form: dict[str, str], metric: MetricPolicy, status: int
) -> None:
    """Nothing is kept of it."""
    assert client(drawn, metric).post("/labels", data=form).status_code == status
    with drawn.read() as session:
        assert labelled(session, APP, "reviewed") == []


def test_other_hosts_are_not_served(drawn: Database) -> None:
    """A name that was made to point here is refused."""
    assert client(drawn, host="example.com").get("/").status_code == 400
