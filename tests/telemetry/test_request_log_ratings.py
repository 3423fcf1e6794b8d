"""What users and judges said of answers, as a request log has it."""

from dataclasses import replace

from softlaunch.core.live_metrics import Metric
from softlaunch.ledger.reported import LIVE_JUDGES
from softlaunch.store.database import Database
from softlaunch.telemetry.request_log import RequestLogTelemetry
from tests.telemetry.logged import SCOPE, T, go_on, log, rating, read, request, score, told, values


def test_ratings_count_when_they_arrive(database: Database) -> None:
    """Late ones too: the request may be long past. The last two seconds may still be on their way to the log.

    Who has rated in this stage already is not heard again.
    """
    log(
        database,
        request(1, started_at=T - 500),
        request(2, "candidate"),
        request(3, "candidate", fell_back=True, outcome="total_timeout"),
        request(4, "candidate"),
        rating(1, 1.0, T + 1),
        rating(2, 0.25, T + 2.9),
        rating(3, 0.0, T + 2),
        rating(2, 0.75, T + 3.1, "stars"),
        rating(4, 0.5, T + 3.1),
    )
    first = read(database)
    go_on(database, T + 8)
    second = read(database, after=first.until, now=T + 8)
    assert values(first.windows[0].stable, Metric.SATISFACTION) == [1.0]
    assert values(first.windows[0].candidate, Metric.SATISFACTION) == [0.25]
    assert values(second.windows[0].candidate, Metric.SATISFACTION) == [0.5]


def test_scores_are_read_by_their_metric(database: Database) -> None:
    """Judged quality and hallucination; other scores are nobody's gate."""
    log(
        database,
        request(1),
        request(2, "candidate"),
        score(1, "quality", 0.9),
        score(2, "quality", 0.4),
        score(2, "hallucination", 1.0),
        score(2, "politeness", 0.1),
    )
    (window,) = read(database).windows
    assert values(window.stable, Metric.QUALITY) == [0.9]
    assert values(window.candidate, Metric.QUALITY) == [0.4]
    assert values(window.candidate, Metric.HALLUCINATION) == [1.0]


def test_windows_hold_everything_that_users_and_judges_said(database: Database) -> None:
    """Also of those who were heard before. It counts two seconds after it arrived, when none can be missing."""
    log(
        database,
        request(1, unit=7, started_at=T - 500),
        request(2, unit=7),
        request(3, "candidate"),
        request(4, "candidate", fell_back=True, outcome="total_timeout"),
        rating(1, 1.0, T + 1),
        rating(2, 0.0, T + 14),
        rating(3, 0.5, T + 14.5),
        rating(4, 0.0, T + 1),
        score(3, "quality", 0.4, T + 1),
        score(3, "quality", 0.6, T + 29, "second judge"),
        score(3, "politeness", 0.1, T + 1),
        complete_until=T + 30,
        heard_at=T + 30,
    )
    first, later = read(database, now=T + 30).windows
    assert set(first.ratings) == {Metric.SATISFACTION, Metric.QUALITY, "politeness"}
    assert told(first.ratings[Metric.SATISFACTION], Metric.SATISFACTION) == [(T + 3, 7, "stable", 1.0)]
    assert told(later.ratings[Metric.SATISFACTION], Metric.SATISFACTION) == [
        (T + 16, 7, "stable", 0.0),
        (T + 16.5, 3, "candidate", 0.5),
    ]
    assert told(first.ratings[Metric.QUALITY], Metric.QUALITY) == [(T + 3, 3, "candidate", 0.4)]
    assert [later.until, len(later.ratings[Metric.QUALITY])] == [T + 30, 0]
    go_on(database, T + 40)
    (again,) = read(database, after=T + 30, now=T + 40).windows
    assert told(again.ratings[Metric.QUALITY], Metric.QUALITY) == [(T + 31, 3, "candidate", 0.6)]
    assert values(again.candidate, Metric.QUALITY) == []


def test_what_is_said_of_answers_outside_of_the_split_is_not_heard(database: Database) -> None:
    """A gateway whose lease had run out gave everybody stable's answers; who rated one of those is new afterwards."""
    log(
        database,
        request(1, unit=7, weight_percent=0.0, started_at=T - 5),
        request(2, unit=7),
        rating(1, 1.0, T - 4),
        rating(2, 0.5, T + 1),
    )
    assert values(read(database, after=T - 6).windows[0].stable, Metric.SATISFACTION) == [0.5]
    (window,) = read(database).windows
    assert values(window.stable, Metric.SATISFACTION) == [0.5]


def test_what_live_judges_judge_is_told_by_nobody_else(database: Database) -> None:
    """Others may have scored other users by another scale; who was heard by them is still new to the judges."""
    log(
        database,
        request(1, unit=7),
        request(2, unit=7),
        request(3, "candidate"),
        score(1, "quality", 0.1, T - 4),
        score(2, "quality", 0.9, source=LIVE_JUDGES),
        score(3, "quality", 0.2),
        score(3, "hallucination", 1.0),
    )
    scope = replace(SCOPE, judged_live=frozenset({"quality"}))
    (window,) = RequestLogTelemetry(database).read(scope, T, T + 5).windows
    assert values(window.stable, Metric.QUALITY) == [0.9]
    assert values(window.candidate, Metric.QUALITY) == []
    assert values(window.candidate, Metric.HALLUCINATION) == [1.0]
