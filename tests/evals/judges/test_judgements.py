"""What judges said, in the ledger."""

from datetime import UTC, datetime

import pytest

from softlaunch.core.arms import ByArm
from softlaunch.evals.calls.answers import CallKey, EvalArm
from softlaunch.evals.calls.recorded_answers import ComparedDigests, open_run
from softlaunch.evals.judges.agreement import agreement_of
from softlaunch.evals.judges.calibration import Calibration
from softlaunch.evals.judges.judgements import JudgementKey
from softlaunch.evals.judges.labels import Kind
from softlaunch.evals.judges.recorded_judgements import (
    add_judgements,
    newest_calibration,
    read_judgements,
    record_calibration,
)
from softlaunch.metrics import Score, Spent
from softlaunch.store.database import Database

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = JudgementKey("rubric", CallKey(EvalArm.STABLE, "c1", 0))


def test_judgements_are_written_once(database: Database) -> None:
    """Whoever comes second changes nothing, and what couldn't be read is kept as such."""
    open_run(database, "run", "app", None, ComparedDigests("suite", ByArm("candidate", "stable")), NOW)
    other = JudgementKey("rubric", CallKey(EvalArm.CANDIDATE, "c1", 0))
    add_judgements(database, "run", [(KEY, Score(0.75, "good\0", Spent(1, 0.01)))])
    add_judgements(database, "run", [(KEY, Score(0.0)), (other, Score(None, "nonsense", Spent(2, None)))])
    add_judgements(database, "run", [])
    with database.read() as session:
        assert read_judgements(session, "run") == {
            KEY: Score(0.75, "good\ufffd", Spent(1, 0.01)),
            other: Score(None, "nonsense", Spent(2, None)),
        }
        assert read_judgements(session, "another run") == {}


def test_the_newest_calibration_of_a_kind_counts(database: Database) -> None:
    """A panel is calibrated for each kind of label by itself."""
    poor = agreement_of([("yes", "no"), ("no", "yes"), ("no", "no")] * 10)
    good = agreement_of([("yes", "yes"), ("no", "no"), ("no", None)] * 10)
    with database.begin() as session:
        for measured in (poor, good):
            found = Calibration(Kind.HALLUCINATION, measured, None, None, 0, Spent())
            record_calibration(session, "panel", "labels", found, "anna", NOW)
    with database.read() as session:
        known = newest_calibration(session, "panel", Kind.HALLUCINATION)
        assert known is not None
        assert (known.items, known.calibrated_at) == (30, NOW)
        assert known.agreement == pytest.approx(2 / 3)
        assert known.kappa == (None if good.kappa is None else pytest.approx(good.kappa.value))
        assert newest_calibration(session, "panel", Kind.GRADE) is None
        assert newest_calibration(session, "another", Kind.HALLUCINATION) is None
