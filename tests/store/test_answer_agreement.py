"""How alike answers are: copies and what users got, the golden set, and stable with itself."""

from datetime import UTC, datetime

import pytest

from softlaunch.evals.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.reports.likeness import show_agreement
from softlaunch.store.agreement import Agreement, read_agreement
from softlaunch.store.database import Database
from softlaunch.store.eval_answers import add_answers, open_run
from softlaunch.store.tables import RequestRow, TextRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RELEASE = "bot-1"


def kept(request_id: str, arm: str, answer: str, release_id: str = RELEASE) -> list[RequestRow | TextRow]:
    """A logged request with its text."""
    facts = {"gateway_id": "g", "app": "bot", "variant_digest": "d", "unit": 1, "started_at": 1.0, "status": 200}
    request = RequestRow(request_id=request_id, arm=arm, release_id=release_id, latency_ms=1.0, **facts)
    text = TextRow(request_id=request_id, arm=arm, app="bot", question="q", answer=answer, expires_at=1.0)
    return [request, text]


def answered(database: Database, arm: EvalArm, repeat: int, answer: str) -> None:
    """One answer of the release's eval."""
    add_answers(database, RELEASE, [EvalAnswer(CallKey(arm, "c", repeat), "d", Status.SCORED, answer=answer)])


def test_copies_are_compared_with_what_users_got(database: Database) -> None:
    """Pairs of the same request in this release; what has no partner, or is another release's, counts for nothing."""
    with database.begin() as session:
        session.add_all([*kept("r1", "stable", "yes it is"), *kept("r1", "shadow", "yes it is")])
        session.add_all([*kept("r2", "stable", "aaaa"), *kept("r2", "shadow", "bbbb")])
        session.add_all([*kept("r3", "shadow", "alone")])
        session.add_all([*kept("r4", "stable", "a", "bot-0"), *kept("r4", "shadow", "a", "bot-0")])
    with database.read() as session:
        found = read_agreement(session, RELEASE)
    assert found.live is not None
    assert (found.live.mean, found.live.pairs) == (0.5, 2)
    assert "The copies' answers are 50.0 %" in show_agreement(found, kept=True)


def test_the_noise_is_stable_beside_itself(database: Database) -> None:
    """Two answers of stable to one case say how much of a difference is chance."""
    open_run(database, RELEASE, "bot", None, ("suite", "d", "d"), NOW)
    answered(database, EvalArm.STABLE, 0, "abcd")
    answered(database, EvalArm.STABLE, 1, "abcd")
    answered(database, EvalArm.CANDIDATE, 0, "abxx")
    with database.read() as session:
        found = read_agreement(session, RELEASE)
    assert found.golden is not None
    assert found.floor is not None
    assert (found.golden.mean, found.floor.mean) == (0.5, 1.0)
    assert "which is the noise" in show_agreement(found, kept=False)


@pytest.mark.parametrize(
    ("policy_keeps", "said"), [(False, "are not kept (texts.keep)"), (True, "no pair of texts is there yet")]
)
def test_without_texts_nothing_is_guessed(policy_keeps: bool, said: str) -> None:  # noqa: FBT001  (a parameter case)
    """The page says that nobody knows, and why."""
    assert said in show_agreement(Agreement(None, None, None), kept=policy_keeps)
