"""What became of requests, counted from real rows."""

from typing import Any

import pytest

from softlaunch.core.arms import ByArm
from softlaunch.core.request_outcome import RequestOutcome
from softlaunch.ledger.logged import Logged
from softlaunch.ledger.outcomes import StageOutcomes, read_outcomes, stable_since
from softlaunch.policy.release import plan
from softlaunch.store.database import Database
from tests.support.builders import APP, make_policy, record_app, request_row

RELEASE = f"{APP}-1"
EVAL, SHADOW, FIRST, HALF, ALL = plan(make_policy())


def log(database: Database, *rows: dict[str, Any]) -> None:
    """Requests of the 50 % stage, unless they say otherwise."""
    record_app(database)
    with database.begin() as session:
        session.add_all(request_row(**row) for row in rows)


def test_every_request_of_a_stage_counts_in_the_order_of_the_outcomes(database: Database) -> None:
    """Whoever made it, and also what no gate holds against anybody; other stages and releases don't."""
    log(
        database,
        {"unit": 1},
        {"unit": 1},
        {"arm": "candidate", "unit": 2, "outcome": "filtered"},
        {"arm": "candidate", "outcome": "request_at_fault", "excused": True},
        {"outcome": "request_at_fault", "excused": True},
        {"outcome": "request_at_fault"},
        {"arm": "candidate", "stage": 2},
        {"arm": "candidate", "release_id": f"{APP}-0"},
        {"arm": "shadow", "mirrored": True},
    )
    with database.read() as session:
        seen = read_outcomes(session, APP, Logged(RELEASE), HALF)
    assert seen.rows == [
        (RequestOutcome.ANSWERED, 0, 2),
        (RequestOutcome.FILTERED, 1, 0),
        (RequestOutcome.REQUEST_AT_FAULT, 1, 2),
    ]
    assert seen.excused == ByArm(1, 1)
    assert not seen.is_plain


@pytest.mark.parametrize(
    ("stage", "arms"),
    [
        pytest.param(SHADOW, ("shadow", "stable"), id="shadow"),
        pytest.param(HALF, ("candidate", "stable"), id="a split"),
        pytest.param(ALL, ("candidate", "control"), id="100 %"),
    ],
)
def test_copies_count_where_they_are_what_is_compared(database: Database, stage: Any, arms: tuple[str, str]) -> None:
    """Each stage has two arms of its own."""
    became = {"shadow": "cut", "stable": "empty", "candidate": "invalid", "control": "connect"}
    log(database, *({"arm": arm, "stage": stage.position, "outcome": outcome} for arm, outcome in became.items()))
    with database.read() as session:
        seen = read_outcomes(session, APP, Logged(RELEASE), stage)
    assert (seen.candidate, seen.stable) == ({became[arms[0]]: 1}, {became[arms[1]]: 1})


def test_an_eval_has_no_requests(database: Database) -> None:
    """Its calls are counted elsewhere."""
    log(database, {"stage": EVAL.position})
    with database.read() as session:
        assert read_outcomes(session, APP, Logged(RELEASE), EVAL) == StageOutcomes()


def test_only_what_stable_was_asked_tells_of_its_provider(database: Database) -> None:
    """Copies too; not what is too old, the candidate's, nor what clients brought about."""
    log(
        database,
        {"started_at": 100.0, "outcome": "connect"},
        {"started_at": 100.0, "arm": "control", "outcome": "empty"},
        {"started_at": 99.0, "outcome": "cut"},
        {"started_at": 100.0, "arm": "candidate", "outcome": "cut"},
        {"started_at": 100.0, "outcome": "client_gone"},
        {"started_at": 100.0, "outcome": "request_at_fault"},
    )
    with database.read() as session:
        assert stable_since(session, APP, RELEASE, HALF.position, 100.0) == {"connect": 1, "empty": 1}


def test_answers_of_fallback_models_are_counted_beside_the_outcomes(database: Database) -> None:
    """They are among the answered ones, and no plain ones: people see by whom."""
    log(database, {"arm": "candidate", "answered_by": "spare"}, {"arm": "candidate"}, {})
    with database.read() as session:
        seen = read_outcomes(session, APP, Logged(RELEASE), HALF)
    assert seen.by_fallback == ByArm(1, 0)
    assert seen.candidate == {RequestOutcome.ANSWERED: 2}
    assert not seen.is_plain
