"""How steady the cases of a golden set are, over the evals of an app."""

from datetime import UTC, datetime, timedelta

import pytest

from softlaunch.core.arms import ByArm
from softlaunch.evals.calls.answers import CallKey, EvalAnswer, EvalArm, Status
from softlaunch.evals.calls.recorded_answers import ComparedDigests, add_answers, open_run
from softlaunch.evals.flicker import CaseHistory, Stability, Tally, flickering, histories
from softlaunch.evals.foresight import measured_variation
from softlaunch.metrics import ACCURACY
from softlaunch.store.database import Database
from tests.evals.arms import cases

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
CASES = cases(12)
STABLE_ALONE = (EvalArm.STABLE,)


def record(database: Database, number: int, scores: dict[str, str], arms: tuple[EvalArm, ...] = STABLE_ALONE) -> None:
    """An eval in which each arm was right (1) or wrong (0) at each repeat."""
    run_id = f"bot-{number}"
    digests = ComparedDigests("suite", ByArm("candidate", "stable"))
    open_run(database, run_id, "bot", None, digests, BEGAN + timedelta(days=number))
    digest_of = {case.id: case.digest for case in CASES}
    given = [
        EvalAnswer(
            CallKey(arm, case_id, repeat),
            "stable",
            Status.SCORED,
            scores={ACCURACY: float(score)},
            cost_usd=0.002,
            case_digest=digest_of[case_id],
        )
        for case_id, each in scores.items()
        for repeat, score in enumerate(each)
        for arm in arms
    ]
    add_answers(database, run_id, given)


def test_cases_are_told_apart_over_five_evals(database: Database) -> None:
    """One that went from 3 of 3 to 2 of 3 is seen, with its rate; never asked is neither right nor wrong."""
    slowly = ["111", "111", "111", "110", "101"]
    for number, each in enumerate(slowly):
        record(database, number, {"c0": "111", "c1": "000", "c2": each, "c3": "101"})
    with database.read() as session:
        found = {one.case_id: one for one in histories(session, "bot", CASES)}
        others = histories(session, "other", CASES)
    assert found["c0"].stability is Stability.RIGHT
    assert found["c1"].stability is Stability.WRONG
    assert (found["c2"].stability, found["c2"].slipping) == (Stability.FLICKERING, True)
    assert found["c2"].rate == pytest.approx(13 / 15)
    assert [tally.scored for tally in found["c2"].evals] == [3, 3, 3, 2, 2]
    assert (found["c3"].stability, found["c3"].slipping) == (Stability.FLICKERING, False)
    assert found["c4"].stability is Stability.UNKNOWN
    assert flickering(found.values()) == {"c2", "c3"}
    assert {one.stability for one in others} == {Stability.UNKNOWN}


@pytest.mark.parametrize(
    ("shares", "slips"),
    [
        pytest.param([1, 1, 1, 1], False, id="steady"),
        pytest.param([0.6, 1, 1, 1], False, id="better"),
        pytest.param([1, 0.6, 1, 1], False, id="once"),
        pytest.param([1, 1, 1, 0.6], True, id="at last"),
        pytest.param([1], False, id="one eval"),
        pytest.param([], False, id="none"),
    ],
)
def test_a_case_slips_where_its_later_evals_are_worse(shares: list[float], slips: bool) -> None:  # noqa: FBT001
    """By halves, and at its end."""
    assert CaseHistory("c", tuple(Tally(3 * share, 3, varied=False) for share in shares)).slipping == slips


def test_variation_is_taken_from_earlier_evals(database: Database) -> None:
    """Half of the cases vary within an arm, and nothing else differs. Without any eval it is assumed, and said."""
    with database.read() as session:
        assert "assumed" in measured_variation(session, "bot", CASES).source
    record(database, 1, {case.id: "10" if place % 2 else "11" for place, case in enumerate(CASES)}, tuple(EvalArm))
    with database.read() as session:
        found = measured_variation(session, "bot", CASES)
    assert found.source == "as much as in 1 earlier eval"
    assert found.between == 0.0
    assert found.within == pytest.approx(0.5)
    assert found.cost_usd == pytest.approx(0.002)
