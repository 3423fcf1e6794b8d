"""Answers drawn at random for people: as many of each arm, each with a known probability, and none twice."""

import numpy as np
import pytest
from sqlmodel import Session, col, select

from softlaunch.ledger.review_draws import Draw, DrawError, DrawnAnswer, draw, labelled, next_answer, put_value
from softlaunch.store.database import Database
from softlaunch.store.tables import ReviewDrawRow, ScoreRow, TextRow
from tests.support.builders import APP, NOON, open_in_new_app, request_row

NOW = NOON.timestamp()


def answered(session: Session, release_id: str, arm: str, numbers: range, **columns: object) -> None:
    """So many answers of a release's stage, with their texts."""
    for number in numbers:
        name = f"{arm}-{number}"
        row: dict[str, object] = {"request_id": name, "release_id": release_id, "stage": 0, "arm": arm, "unit": number}
        session.add(request_row(**{**row, **columns}))
        question, answer = f"question {number}", f"answer {name}"
        session.add(TextRow(request_id=name, arm=arm, app=APP, question=question, answer=answer, expires_at=NOW + 9e5))


def asked(count: int, later: float = 10.0) -> Draw:
    """A draw of so many, some seconds after noon."""
    return Draw("reviewed", count, NOW + later, "anna")


def drawn(session: Session) -> list[ReviewDrawRow]:
    """What was drawn so far."""
    return list(session.exec(select(ReviewDrawRow).order_by(col(ReviewDrawRow.id))))


def test_both_arms_are_drawn_alike_each_with_its_probability(database: Database) -> None:
    """Five of twenty are drawn with a quarter, five of a hundred with a twentieth, and shown in a mixed order."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        answered(session, release_id, "candidate", range(20))
        answered(session, release_id, "stable", range(100))
        assert draw(session, APP, asked(10), np.random.default_rng(1)) == 10
    with database.read() as session:
        rows = drawn(session)
    assert {(row.arm, row.probability) for row in rows} == {("candidate", 0.25), ("stable", 0.05)}
    assert sorted(row.place for row in rows) == list(range(10))
    order = [row.arm for row in sorted(rows, key=lambda row: row.place)]
    assert order not in (sorted(order), sorted(order, reverse=True))


def test_every_answer_is_as_likely(database: Database) -> None:
    """Over many draws each answer of an arm is drawn about as often as its probability says."""
    release_id, times = open_in_new_app(database), np.zeros(10)
    with database.begin() as session:
        answered(session, release_id, "candidate", range(10))
        answered(session, release_id, "stable", range(10))
    for seed in range(60):
        with database.begin() as session:
            draw(session, APP, asked(6), np.random.default_rng(seed))
            for row in drawn(session):
                times[int(row.request_id.rpartition("-")[2])] += row.arm == "candidate"
                session.delete(row)
    assert times.sum() == 180
    assert times.min() >= 8
    assert times.max() <= 29


def test_a_second_draw_begins_where_the_first_ended(database: Database) -> None:
    """What was there at the first draw isn't drawn again, so that its probability stays what was noted."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        answered(session, release_id, "candidate", range(4))
        answered(session, release_id, "stable", range(4))
        draw(session, APP, asked(4), np.random.default_rng(1))
        answered(session, release_id, "candidate", range(10, 13), started_at=NOW + 20)
        answered(session, release_id, "stable", range(10, 15), started_at=NOW + 20)
        assert draw(session, APP, asked(40, later=30.0), np.random.default_rng(2)) == 6
        later = [row.request_id for row in drawn(session)[4:]]
    assert all(int(name.rpartition("-")[2]) >= 10 for name in later)


def test_only_what_users_saw_is_drawn(database: Database) -> None:
    """Neither copies nor what the other arm answered in the end."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        answered(session, release_id, "shadow", range(5), mirrored=True)
        answered(session, release_id, "candidate", range(5), fell_back=True)
        answered(session, release_id, "stable", range(5))
        with pytest.raises(DrawError, match="no text of an answer of candidate was kept"):
            draw(session, APP, asked(4), np.random.default_rng(1))


def test_without_a_live_release_there_is_nothing_to_draw_from(database: Database) -> None:
    """The message says so."""
    with database.begin() as session, pytest.raises(DrawError, match="no live release"):
        draw(session, "nobody", asked(4), np.random.default_rng(1))


def test_a_label_counts_once_and_as_a_value_of_its_metric(database: Database) -> None:
    """It is a score that gates read, with how its answer was drawn kept beside it."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        answered(session, release_id, "candidate", range(3))
        answered(session, release_id, "stable", range(3))
        draw(session, APP, asked(2), np.random.default_rng(1))
        first = next_answer(session, APP, "reviewed")
        assert isinstance(first, DrawnAnswer)
        assert first.left == 2
        assert put_value(session, APP, first.id, 0.75, NOW + 60, "ben")
        assert not put_value(session, APP, first.id, 0.25, NOW + 61, "anna")
        assert not put_value(session, "other-app", first.id + 1, 0.25, NOW + 61, "anna")
    with database.read() as session:
        scores = session.exec(select(ScoreRow)).all()
        known = labelled(session, APP, "reviewed")
        waiting = next_answer(session, APP, "reviewed")
    assert [(one.metric, one.value, one.source, one.received_at) for one in scores] == [
        ("reviewed", 0.75, "review", NOW + 60)
    ]
    assert [(one.value, one.labelled_by) for one in known] == [(0.75, "ben")]
    assert known[0].probability == pytest.approx(1 / 3)
    assert waiting is not None
    assert waiting.left == 1
