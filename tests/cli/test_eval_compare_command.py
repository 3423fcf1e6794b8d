"""`softlaunch eval compare`: outputs that exist already, judged from the command line."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Done, Run

HEADER = ("model", "id", "answer", "reference", "latency", "style", "log")


@pytest.fixture
def compare(softlaunch: Run, tmp_path: Path) -> Run:
    """Compare two models on 200 cases; the candidate's answers and scores are given as counts."""

    def run(*options: str, right: int = 200, style: int = 100, rows: Sequence[Sequence[object]] = ()) -> Done:
        path = tmp_path / "outputs.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            for case in range(200):
                writer.writerow(
                    ["lab/old", case, f"the answer is {case}", case, 1.0 + case / 100, int(case < 100), "Accepted"]
                )
                answer = f"the answer is {case}" if case < right else f"it is {case + 1}"
                writer.writerow(["lab/new", case, answer, case, 1.0 + case / 100, int(case < style), "Rejected"])
            writer.writerows(rows)
        return softlaunch(
            "eval", "compare", "--recorded", str(path), "--stable", "old", "--candidate", "lab/new", *options
        )

    return run


def document(done: Done) -> dict[str, Any]:
    """What the command printed with --json."""
    found: dict[str, Any] = json.loads(done.out)
    return found


@pytest.mark.parametrize(
    ("right", "style", "options", "outcome", "code"),
    [
        pytest.param(200, 100, (), "pass", 0, id="the same"),
        pytest.param(150, 100, (), "fail", 3, id="worse"),
        pytest.param(198, 100, (), "inconclusive", 5, id="perhaps worse"),
        pytest.param(150, 160, ("--metric", "agreement", "--metric", "style"), "review", 5, id="contradiction"),
        pytest.param(150, 100, ("--tolerance", "40 points"), "pass", 0, id="tolerated"),
    ],
)
def test_outcomes(compare: Run, right: int, style: int, options: tuple[str, ...], outcome: str, code: int) -> None:
    """Each outcome has its exit code."""
    done = compare("--json", *options, right=right, style=style)
    assert (document(done)["outcome"], done.code) == (outcome, code)


def test_each_metric_has_its_figures(compare: Run) -> None:
    """Scores in shares, amounts in their own unit, differences candidate minus stable."""
    metrics = ("--metric", "agreement", "--metric", "latency", "--metric", "recorded:column=log,right=accepted")
    found = document(compare("--json", *metrics, "--margin", "latency=20 %", right=180))
    agreement, latency, log = found["metrics"]
    assert (agreement["name"], agreement["stable"], agreement["candidate"]) == ("agreement", 1.0, 0.9)
    assert agreement["difference"] == pytest.approx(-0.1)
    assert agreement["lower"] < -0.1 < agreement["upper"] < 0
    assert (agreement["margin"], agreement["n_cases"], agreement["n_unscored"]) == (0.02, 200, 0)
    assert (agreement["outcome"], agreement["finding"]) == ("fail", "worse")
    assert latency["margin"] == pytest.approx(0.2 * latency["stable"])
    assert (latency["outcome"], latency["finding"]) == ("pass", "no difference shown")
    assert (log["candidate"], log["outcome"]) == (0.0, "fail")


def test_every_pass_says_what_it_could_have_seen(compare: Run) -> None:
    """The smallest difference that can be detected stands beside the verdict."""
    done = compare()
    assert "no difference shown, at most 1.5 points worse" in done.out
    assert "differences from 0.8 points on can be detected" in done.out
    assert done.out.rstrip().endswith("pass: the candidate is no worse than stable by more than the tolerance.")


def test_missing_outputs_never_look_like_a_pass(compare: Run) -> None:
    """A few ids of one model only are left out, with the worst that they could be; with many of them nothing passes."""
    few = document(compare("--json", rows=[["lab/old", f"x{n}", "7", "7", 1, 1, ""] for n in range(3)]))
    many = document(compare("--json", rows=[["lab/old", f"x{n}", "7", "7", 1, 1, ""] for n in range(50)]))
    assert (few["outcome"], few["left_out_cases"]) == ("pass", 3)
    assert (many["outcome"], many["left_out_cases"]) == ("inconclusive", 50)
    assert "50 of 250 ids have outputs of one model only" in many["reason"]


def test_an_output_without_an_answer_is_unscored(compare: Run) -> None:
    """It is counted by itself, neither right nor wrong."""
    empty = [["lab/new", case, "", "7", 1, 1, ""] for case in range(40)]
    found = document(compare("--json", rows=empty))
    assert found["metrics"][0]["candidate"] == 1.0
    assert found["metrics"][0]["n_unscored"] == 40
    assert found["candidate"]["errors"] == {"no_answer": 40}
    assert found["outcome"] == "fail"
    assert "the candidate fails where stable does not" in found["reason"]


def test_repeats_of_a_case_are_one_piece_of_evidence(compare: Run) -> None:
    """More outputs of the same cases don't make more cases."""
    again = [[f"lab/{name}", case, "it is 7", "7", 1, 1, ""] for name in ("old", "new") for case in range(200)]
    found = document(compare("--json", rows=again))
    assert (found["n_cases"], found["repeats"]) == (200, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(("--metric", "speed"), "there is no metric 'speed'", id="unknown metric"),
        pytest.param(("--metric", "less:price"), "there is no column 'price'", id="unknown column"),
        pytest.param(("--metric", "cost"), "no column has the cost; name it with --map cost=COLUMN", id="no cost"),
        pytest.param(("--metric", "style", "--metric", "style"), "two metrics are called style", id="twice"),
        pytest.param(("--margin", "style=1 point"), "no metric has this name; there are agreement", id="idle margin"),
        pytest.param(("--margin", "agreement=5 %"), "is written like '2 points'", id="margin of the wrong kind"),
        pytest.param(("--tolerance", "2"), "expected a margin above zero", id="no unit"),
        pytest.param(("--candidate", "newest"), "there are lab/old (200), lab/new (200)", id="unknown model"),
        pytest.param(("--map", "id=model"), "no id is in both models' outputs", id="ids that don't pair"),
        pytest.param(("--confidence", "95"), "between 0.5 and 1", id="confidence in percent"),
    ],
)
def test_what_cannot_be_used_is_said(compare: Run, options: tuple[str, ...], said: str) -> None:
    """Bad input is exit 2 and one message with what to change."""
    done = compare(*options)
    assert done.code == 2
    assert said in done.err


PRIMES = "llmdrift/PRIME_FULL_EVAL.csv"
ALPACA = [f"alpacaeval/gpt-3.5-turbo-{name}.jsonl.gz" for name in ("0301", "1106", "1106_concise")]


def compared(softlaunch: Run, folder: Path, rows: Sequence[dict[str, Any]], *options: str) -> Done:
    """Compare `old` with `new` in a file of JSON lines."""
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return softlaunch("eval", "compare", "--recorded", str(path), "--stable", "old", "--candidate", "new", *options)


def both(count: int, **columns: Any) -> list[dict[str, Any]]:
    """Rows of both models with equal columns."""
    return [{"model": model, "id": number, **columns} for model in ("old", "new") for number in range(count)]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        pytest.param(float("nan"), "score is nan, not a number from 0 to 1", id="no number"),
        pytest.param(85, "score is 85, not a number from 0 to 1", id="percent"),
        pytest.param("Accepted", "score is 'Accepted', not a number from 0 to 1", id="a text"),
    ],
)
def test_scores_that_are_none_are_said_and_never_pass(softlaunch: Run, tmp_path: Path, value: object, why: str) -> None:
    """The metric is there without figures, and the reason names what was found."""
    done = compared(softlaunch, tmp_path, both(60, score=value), "--metric", "score", "--json")
    found = document(done)
    assert (found["outcome"], done.code) == ("inconclusive", 5)
    (score,) = found["metrics"]
    assert (score["name"], score["outcome"], score["n_cases"], score["n_unscored"]) == ("score", "inconclusive", 0, 120)
    assert (score["stable"], score["lower"], score["margin"]) == (None, None, None)
    (told,) = (gate["reason"] for gate in found["gates"] if gate["name"] == "score")
    assert "no case has a score in both arms (0 of stable's 60 calls and 0 of the candidate's 60 have one)" in told
    assert why in told


def test_a_judge_that_nobody_named_is_the_reason(softlaunch: Run, tmp_path: Path) -> None:
    """Recorded outputs are scored on the spot, and what must ask a model can't."""
    done = compared(softlaunch, tmp_path, both(5, answer="yes"), "--metric", "rubric")
    assert "the first: rubric asks a model, but none was given" in done.out
    assert done.code == 5


def test_references_in_lists_are_refused(softlaunch: Run, tmp_path: Path) -> None:
    """Compared as text they would never be met, and both models would look equally bad."""
    done = compared(softlaunch, tmp_path, both(5, answer="yes", reference=["yes", "yeah"]))
    assert done.code == 2
    assert 'column reference holds \'["yes","yeah"]\'' in done.err


def test_an_empty_reference_column_suggests_nothing(softlaunch: Run, tmp_path: Path) -> None:
    """Then a metric must be named, and the columns are."""
    done = compared(softlaunch, tmp_path, both(5, answer="yes", reference="", works=1))
    assert done.code == 2
    assert "Columns: model, id, answer, reference, works" in done.err


def test_stable_may_be_the_reference_of_a_judges_preferences(softlaunch: Run, tmp_path: Path) -> None:
    """AlpacaEval's file of one model: a preference of 1.25 is 25 % to 75 %, and a draw is even."""
    rows = [
        {
            "generator": "new",
            "reference_generator": "old",
            "instruction": f"question {number}",
            "output": "new text",
            "reference_output": "old text",
            "preference": 0 if number % 2 else 1.25,
        }
        for number in range(60)
    ]
    found = document(compared(softlaunch, tmp_path, rows, "--json"))
    (preference,) = found["metrics"]
    assert (preference["stable"], preference["candidate"], preference["n_cases"]) == (0.625, 0.375, 60)
    assert (found["outcome"], preference["finding"]) == ("fail", "worse")


@pytest.mark.realdata
def test_gpt_4_lost_a_third_on_the_primes(softlaunch: Run, realdata: Path) -> None:
    """0314 to 0613: from 84.0 to 50.2 percent, as published, and cheaper and faster is no excuse."""
    metrics = [part for name in ("agreement", "latency", "cost") for part in ("--metric", name)]
    arms = ("--stable", "openaichat/gpt-4-0314", "--candidate", "openaichat/gpt-4-0613")
    done = softlaunch("eval", "compare", "--recorded", str(realdata / PRIMES), *arms, *metrics, "--json")
    found = document(done)
    agreement = found["metrics"][0]
    assert (found["outcome"], done.code) == ("fail", 3)
    assert (agreement["stable"], agreement["candidate"]) == (0.84, 0.502)
    assert agreement["difference"] == pytest.approx(-0.338)
    assert -0.38 < agreement["lower"] < -0.338 < agreement["upper"] < -0.30
    assert [one["finding"] for one in found["metrics"]] == ["worse", "better", "better"]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("stable", "candidate", "difference", "finding", "outcome"),
    [
        pytest.param(0, 1, -0.0044, "no difference shown", "pass", id="a provider's update"),
        pytest.param(1, 2, -0.0176, "worse", "inconclusive", id="a prompt that asks for concise answers"),
    ],
)
def test_alpacaeval(
    softlaunch: Run, realdata: Path, stable: int, candidate: int, difference: float, finding: str, outcome: str
) -> None:
    """Judges' preferences of two models against one reference, as a paired metric."""
    files = [part for index in (stable, candidate) for part in ("--recorded", str(realdata / ALPACA[index]))]
    names = [ALPACA[index].removeprefix("alpacaeval/").removesuffix(".jsonl.gz") for index in (stable, candidate)]
    found = document(softlaunch("eval", "compare", *files, "--stable", names[0], "--candidate", names[1], "--json"))
    preference = found["metrics"][0]
    assert preference["difference"] == pytest.approx(difference, abs=1e-4)
    assert (preference["finding"], found["outcome"], preference["n_cases"]) == (finding, outcome, 805)


@pytest.mark.realdata
def test_leetcode_is_for_a_person(softlaunch: Run, realdata: Path) -> None:
    """The raw answers became unusable, the code inside of them better: that is looked at, not rejected."""
    file = str(realdata / "llmdrift" / "LEETCODE_EASY_EVAL.csv")
    metrics = ("--metric", "Directly Usable", "--metric", "recorded:label=code,column=Clean_Code_Submit,right=Accepted")
    arms = ("--stable", "gpt-4-0314", "--candidate", "gpt-4-0613")
    done = softlaunch("eval", "compare", "--recorded", file, *arms, *metrics, "--json")
    found = document(done)
    assert (found["outcome"], done.code) == ("review", 5)
    assert "the metrics disagree, a person has to decide" in found["reason"]
    assert [(one["stable"], one["candidate"]) for one in found["metrics"]] == [(0.52, 0.10), (0.52, 0.70)]
