"""How alike answers are on the golden set: candidate and stable, and stable with itself."""

from datetime import UTC, datetime

from softlaunch.core.arms import ByArm
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.calls.recorded_answers import ComparedDigests, add_answers, open_run
from softlaunch.reports.similarity_words import show_agreement
from softlaunch.shadow.golden_agreement import Agreement, golden_self_similarity, read_agreement
from softlaunch.store.database import Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RELEASE = "bot-1"


def answered(database: Database, arm: EvalArm, repeat: int, answer: str) -> None:
    """One answer of the release's eval."""
    add_answers(database, RELEASE, [EvalAnswer(CallKey(arm, "c", repeat), "d", Status.SCORED, answer=answer)])


def test_the_noise_is_stable_beside_itself(database: Database) -> None:
    """Two answers of stable to one case say how much of a difference is chance."""
    open_run(database, RELEASE, "bot", None, ComparedDigests("suite", ByArm("d", "d")), NOW)
    answered(database, EvalArm.STABLE, 0, "abcd")
    answered(database, EvalArm.STABLE, 1, "abcd")
    answered(database, EvalArm.CANDIDATE, 0, "abxx")
    with database.read() as session:
        found = read_agreement(session, RELEASE)
        assert golden_self_similarity(session, RELEASE) == [1.0]
    assert found.golden is not None
    assert found.self_similarity is not None
    assert (found.golden.mean, found.self_similarity.mean) == (0.5, 1.0)
    assert "asked twice, are 100.0 %" in show_agreement(found)


def test_cases_that_were_asked_once_tell_of_no_noise() -> None:
    """Nothing is said where nothing can be compared with."""
    assert show_agreement(Agreement(None, None)) == ""
