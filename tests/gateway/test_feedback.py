"""Feedback as users and judges send it."""

import pytest

from softlaunch.gateway.feedback import parse_feedback
from softlaunch.gateway.wire import RefusedError
from softlaunch.ledger.request_log import FeedbackRecord, ScoreRecord

ID = "support-bot-0123"


@pytest.mark.parametrize(
    ("given", "satisfaction"),
    [
        ({"thumbs": "up"}, 1.0),
        ({"thumbs": "down"}, 0.0),
        ({"stars": 1}, 0.0),
        ({"stars": 4}, 0.75),
        ({"stars": 5}, 1.0),
    ],
)
def test_ratings_become_satisfaction(given: dict[str, object], satisfaction: float) -> None:
    """Thumbs are 0 or 1, stars spread evenly between; the app is part of the request's id."""
    (kind,) = given
    expected = [FeedbackRecord(ID, "support-bot", satisfaction, kind, 5.0)]
    assert parse_feedback({"request_id": ID, **given}, 5.0) == expected


def test_scores_are_one_row_each() -> None:
    """An outside judge may give several scores at once."""
    found = parse_feedback({"request_id": ID, "scores": {"quality": 1, "hallucination": 0.25}}, 5.0)
    assert found == [
        ScoreRecord(ID, "support-bot", "quality", 1.0, "feedback", 5.0),
        ScoreRecord(ID, "support-bot", "hallucination", 0.25, "feedback", 5.0),
    ]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param({"thumbs": "up"}, "request_id", id="no id"),
        pytest.param({"request_id": "nonsense", "thumbs": "up"}, "request_id", id="an id without app"),
        pytest.param({"request_id": "a-" + "b" * 200, "thumbs": "up"}, "request_id", id="an endless id"),
        pytest.param({"request_id": "bot-12\x00", "thumbs": "up"}, "request_id", id="an id that no database takes"),
        pytest.param({"request_id": ID}, "thumbs", id="nothing said"),
        pytest.param({"request_id": ID, "thumbs": "up", "stars": 3}, "thumbs", id="two things said"),
        pytest.param({"request_id": ID, "thumbs": "sideways"}, "thumbs", id="unknown thumbs"),
        pytest.param({"request_id": ID, "thumbs": ["up"]}, "thumbs", id="thumbs in a list"),
        pytest.param({"request_id": ID, "stars": 0}, "stars", id="no star"),
        pytest.param({"request_id": ID, "stars": 4.5}, "stars", id="half a star"),
        pytest.param({"request_id": ID, "stars": True}, "stars", id="a truth value for stars"),
        pytest.param({"request_id": ID, "scores": {}}, "scores", id="no scores"),
        pytest.param({"request_id": ID, "scores": {"beauty": 1}}, "scores", id="an unknown score"),
        pytest.param({"request_id": ID, "scores": {"quality": 1.5}}, "scores.quality", id="a score above one"),
        pytest.param({"request_id": ID, "scores": {"quality": "good"}}, "scores.quality", id="a score in words"),
    ],
)
def test_what_cannot_be_understood_is_refused(body: dict[str, object], param: str) -> None:
    """The error names the parameter at fault."""
    with pytest.raises(RefusedError) as refused:
        parse_feedback(body, 5.0)
    assert refused.value.status == 400
    assert refused.value.fault.param == param
