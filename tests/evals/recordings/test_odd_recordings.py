"""Recorded outputs with holes: what can't be compared is counted and said, and never helps anybody."""

from pathlib import Path

import orjson
import pytest

from softlaunch.ab.conclusion import Choice
from softlaunch.ab.recorded import conclude_judged, judged_pairs
from softlaunch.core.arms import ByArm
from softlaunch.core.quantities import Margin
from softlaunch.core.verdict import Outcome
from softlaunch.evals.recordings.columns import Columns, amount
from softlaunch.evals.recordings.comparing import compare_recorded
from softlaunch.evals.recordings.files import Row
from softlaunch.evals.recordings.metrics import Margins, plan_metrics
from softlaunch.evals.statistics.report import EvalReport
from softlaunch.metrics import parse_metric
from softlaunch.policy.ab import AbPolicy
from tests.evals.compared import POLICY

MARGINS = Margins(Margin.parse("2 points"), Margin.parse("10 %"), {})


def row(number: int | None, **fields: object) -> Row:
    """An output of a model; one without a number has no id."""
    return {"model": "m", "id": "" if number is None else str(number), "answer": f"answer {number}", **fields}


def compared(stable: list[Row], candidate: list[Row], metric: str) -> EvalReport:
    """What a comparison of the rows by one metric comes to."""
    rows = [*stable, *candidate]
    columns = Columns.of(rows, [])
    metrics = plan_metrics([metric], columns, rows, MARGINS)
    return compare_recorded(ByArm(candidate=candidate, stable=stable), columns, metrics, POLICY)


@pytest.mark.parametrize(("nameless", "outcome"), [(0, Outcome.PASS), (4, Outcome.PASS), (60, Outcome.INCONCLUSIVE)])
def test_rows_without_an_id_are_counted(nameless: int, outcome: Outcome) -> None:
    """Nobody knows what they answer: a few are said, and many leave no pass."""
    rows = [row(None if number < nameless else number, score=1) for number in range(400)]
    report = compared(rows, [*rows], "score")
    (said,) = [one.reason for one in report.verdicts if one.gate == "ids"] or [""]
    assert report.outcome is outcome
    assert (f"{nameless} of stable's 400 rows and {nameless} of the candidate's 400 have no id" in said) == bool(
        nameless
    )


def test_what_costs_nothing_costs_the_same() -> None:
    """Models without a price pass by cost; a price in the place of none is said to have no share."""
    free = [row(number, cost=0) for number in range(400)]
    assert compared(free, [*free], "cost").outcome is Outcome.PASS
    report = compared(free, [row(number, cost=0.01) for number in range(400)], "cost")
    assert report.outcome is not Outcome.PASS
    assert "stable's values are all 0" in report.reason


@pytest.mark.parametrize("error", ["", "None", "nan", "False", "0", None, False, 0, [], {}, float("nan")])
def test_no_error_in_many_words(error: object) -> None:
    """What other programs write where nothing went wrong is no error."""
    assert Columns.of([row(1, error=error)], []).error(row(1, error=error)) is None


@pytest.mark.parametrize("error", ["timeout", True, 500, {"code": 500}])
def test_an_error_in_many_words(error: object) -> None:
    """Anything else is one."""
    assert Columns.of([row(1, error=error)], []).error(row(1, error=error))


def test_a_latency_of_nothing_is_not_measured() -> None:
    """Zeros where a time is missing make no candidate faster."""
    stable = [row(number, latency_ms=500) for number in range(400)]
    assert compared(stable, [row(number, latency_ms=0) for number in range(400)], "latency").outcome is not Outcome.PASS
    assert compared(stable, [*stable], "latency").outcome is Outcome.PASS


@pytest.mark.parametrize("text", ["1e308", "inf", "nan", "-1", "1e16", "", "12 s", None])
def test_what_is_no_amount(text: object) -> None:
    """What nobody can have measured has no value."""
    assert amount(text) is None


@pytest.mark.parametrize(("empty", "choice"), [(0, Choice.B), (10, Choice.B), (100, Choice.PEOPLE)])
def test_a_side_that_says_nothing_does_not_win(tmp_path: Path, empty: int, choice: Choice) -> None:
    """Judgements of outputs that aren't there are for people to look at."""
    sides = {
        "a": [{"instruction": f"q{n}", "output": f"a{n}", "preference": 1.5} for n in range(200)],
        "b": [{"instruction": f"q{n}", "output": f"b{n}" * (n >= empty), "preference": 1.9} for n in range(200)],
    }
    for name, rows in sides.items():
        (tmp_path / f"{name}.jsonl").write_bytes(b"\n".join(orjson.dumps(one) for one in rows))
    metric = parse_metric('recorded:column="preference",lowest=1,highest=2')
    pairs = judged_pairs(tmp_path / "a.jsonl", tmp_path / "b.jsonl", "instruction", metric)
    _, conclusion = conclude_judged(pairs, AbPolicy())
    assert conclusion.choice is choice
    assert ("100 of B's 200 outputs are empty" in conclusion.reason) == (choice is Choice.PEOPLE)
