"""Stages in the ledger, and the verdicts that are kept."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlmodel import select

from softlaunch.core.verdict import Estimate, Interval, Met, Outcome, Prediction, Role
from softlaunch.ledger.stages import (
    StageState,
    begin_stage,
    end_stage,
    extend_stage,
    figures,
    keep_evidence,
    read_stages,
    read_verdicts,
    record_verdicts,
)
from softlaunch.policy.release import plan
from softlaunch.policy.stage_limits import Deadlines
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow, VerdictRow
from tests.support.builders import NOON, make_policy, make_verdict, open_in, open_in_new_app

INFINITE, NAN = float("inf"), float("nan")


def test_a_stage_is_noted_from_its_beginning_to_its_end(database: Database) -> None:
    """Its deadline counts from when it began."""
    release_id = open_in_new_app(database)
    shadow = plan(make_policy())[1]
    with database.begin() as session:
        begin_stage(session, release_id, shadow, NOON)
        extend_stage(session, release_id, 1, Deadlines(NOON + timedelta(hours=1)))
        keep_evidence(session, release_id, 1, {"until": 3.5, "panel": {}})
        end_stage(session, release_id, 1, StageState.PASSED, "shadow passed", NOON + timedelta(minutes=2))
    with database.read() as session:
        waiting, ended = read_stages(session, release_id)[:2]
    assert (ended.state, ended.reason, ended.entered_at) == ("passed", "shadow passed", NOON)
    assert (ended.deadline_at, ended.ended_at) == (NOON + timedelta(hours=1), NOON + timedelta(minutes=2))
    assert ended.evidence == {"until": 3.5, "panel": {}}
    assert (waiting.state, waiting.entered_at, waiting.deadline_at) == ("waiting", None, None)


def test_deadlines_in_numbers_are_kept(database: Database) -> None:
    """From when the stage begins, and as they are moved; also numbers that fit no 32 bits."""
    policy = make_policy(stages=[{"weight_percent": 10, "deadline_units": 500}, {"weight_percent": 100}])
    release_id = open_in_new_app(database, policy)
    with database.begin() as session:
        begin_stage(session, release_id, plan(policy)[2], NOON)
        begun = read_stages(session, release_id)[2].deadlines
        extend_stage(session, release_id, 2, Deadlines(NOON, 10**12, 1000))
    with database.read() as session:
        moved = read_stages(session, release_id)[2].deadlines
    assert begun == Deadlines(NOON + timedelta(days=1), None, 500)
    assert moved == Deadlines(NOON, 10**12, 1000)


def test_a_stage_without_a_deadline_has_none(database: Database) -> None:
    """An eval takes the time it takes."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        begin_stage(session, release_id, plan(make_policy())[0], NOON)
        assert read_stages(session, release_id)[0].deadline_at is None


def test_verdicts_are_of_their_release_alone(database: Database) -> None:
    """Each release has stages of the same positions and gates of the same names."""
    first = open_in_new_app(database)
    with database.begin() as session:
        record_verdicts(session, first, 2, (make_verdict(Outcome.FAIL), make_verdict(Outcome.PASS, "errors")), NOON)
        session.get_one(ReleaseRow, first).live_app = None
        session.flush()
        second = open_in(session)
        assert read_verdicts(session, second, 2) == {}
        assert record_verdicts(session, second, 2, (make_verdict(Outcome.FAIL),), NOON) != ()
    with database.read() as session:
        assert set(read_verdicts(session, first, 2)) == {"latency", "errors"}
        assert set(read_verdicts(session, second, 2)) == {"latency"}
        assert read_verdicts(session, second, 3) == {}


def test_verdicts_are_kept_only_when_their_outcome_changes(database: Database) -> None:
    """A gate that says the same at every look fills no table; what ends a stage is kept in any case."""
    release_id = open_in_new_app(database)
    unsure, passed = make_verdict(Outcome.INCONCLUSIVE), make_verdict(Outcome.PASS)
    other = make_verdict(Outcome.PASS, "errors")
    with database.begin() as session:
        kept = [
            record_verdicts(session, release_id, 2, verdicts, NOON, final=final)
            for verdicts, final in [
                ((unsure, other), False),
                ((replace(unsure, reason="a little surer"), other), False),
                ((passed, other), False),
                ((passed, other), False),
                ((unsure, other), False),
                ((unsure, other), True),
            ]
        ]
        count = len(session.exec(select(VerdictRow)).all())
    assert kept == [(unsure, other), (), (passed,), (), (unsure,), (unsure, other)]
    assert count == 6


def test_verdicts_of_stages_do_not_mix(database: Database) -> None:
    """The first verdict of a stage is kept, whatever the same gate said in the stage before."""
    release_id = open_in_new_app(database)
    with database.begin() as session:
        record_verdicts(session, release_id, 2, [make_verdict()], NOON)
        assert record_verdicts(session, release_id, 3, [make_verdict()], NOON)
        assert set(read_verdicts(session, release_id, 4)) == set()


def test_a_verdict_is_read_back_with_its_figures(database: Database) -> None:
    """Also one whose interval is open at an end."""
    release_id = open_in_new_app(database)
    verdict = make_verdict(
        Outcome.INCONCLUSIVE,
        role=Role.GUARD,
        harm=0.02,
        interval=Interval(-INFINITE, 0.4),
        margin=0.1,
        candidate_count=7,
        stable_count=70,
        candidate_value=801.5,
        stable_value=None,
        candidate_met=Met(9, 7, 801.5, 1900.0, None, 0),
        stable_met=Met(),
        prediction=Prediction("quality", 60, 52, Estimate(-0.02, -0.1, 0.06), Estimate(-0.03, -0.08, 0.02)),
    )
    with database.begin() as session:
        record_verdicts(session, release_id, 2, [verdict], NOON)
    with database.read() as session:
        assert read_verdicts(session, release_id, 2) == {"latency": verdict}


def test_a_verdict_that_was_kept_before_it_was_known_what_users_met_is_read(database: Database) -> None:
    """Nothing takes its place."""
    release_id = open_in_new_app(database)
    kept = {"harm": 0.02, "interval": [None, 0.4], "margin": 0.1, "candidate_count": 7, "stable_count": 70}
    row = VerdictRow(
        release_id=release_id,
        position=2,
        gate="latency",
        role="required",
        outcome="pass",
        reason="fine",
        figures={**kept, "candidate_value": 801.5, "stable_value": 790.0},
        decided_at=NOON,
    )
    with database.begin() as session:
        session.add(row)
    with database.read() as session:
        (verdict,) = read_verdicts(session, release_id, 2).values()
    assert (verdict.interval, verdict.candidate_value) == (Interval(-INFINITE, 0.4), 801.5)
    assert (verdict.candidate_met, verdict.stable_met) == (None, None)


@pytest.mark.parametrize("number", [INFINITE, -INFINITE, NAN])
def test_figures_are_finite_or_null(database: Database, number: float) -> None:
    """What JSON has no number for is stored as unknown, which every database accepts."""
    release_id = open_in_new_app(database)
    verdict = make_verdict(
        harm=number, candidate_value=number, interval=Interval(-INFINITE, INFINITE), stable_met=Met(1, 1, number)
    )
    shown = json.loads(json.dumps(figures(verdict), allow_nan=False))
    assert (shown["harm"], shown["candidate_value"], shown["interval"]) == (None, None, [None, None])
    assert (shown["met"]["candidate"], shown["met"]["stable"]["value"]) == (None, None)
    with database.begin() as session:
        record_verdicts(session, release_id, 2, [verdict], NOON)
